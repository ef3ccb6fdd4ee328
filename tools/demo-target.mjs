// The service that tools/demo makes reachable: a small order system that knows nothing
// of Posthouse. Prints its URL when it listens.
import { createServer } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';

const orders = new Map([
  [1, { id: 1, item: 'stamps', quantity: 100, status: 'open' }],
  [2, { id: 2, item: 'envelopes', quantity: 20, status: 'shipped' }],
  [3, { id: 3, item: 'parcel labels', quantity: 5, status: 'open' }],
]);
const BODY_MAX = 10_000_000;

async function readBody(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > BODY_MAX) throw Object.assign(new Error('too large'), { status: 413 });
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function sendJson(response, status, value, headers = {}) {
  const body = Buffer.from(JSON.stringify(value) + '\n');
  response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': body.length, ...headers });
  response.end(body);
}

function listOrders(url, response) {
  const status = url.searchParams.get('status');
  sendJson(response, 200, [...orders.values()].filter((order) => !status || order.status === status));
}

async function addOrder(request, response) {
  let order;
  try {
    order = JSON.parse(await readBody(request));
  } catch (error) {
    return sendJson(response, error.status ?? 400, { error: 'not a JSON order' });
  }
  const id = orders.size + 1;
  orders.set(id, { id, item: String(order.item), quantity: Number(order.quantity ?? 1), status: 'open' });
  sendJson(response, 201, orders.get(id), { Location: `/api/orders/${id}` });
}

function showOrder(id, response) {
  const order = orders.get(Number(id));
  sendJson(response, order ? 200 : 404, order ?? { error: 'no such order' });
}

async function echo(request, response) {
  const body = await readBody(request);
  sendJson(response, 200, {
    method: request.method, url: request.url, headers: request.headers, body: body.toString(),
  });
}

// Bytes whose place shows, sent as fast as they are taken.
function sendFile(url, response) {
  const size = Math.min(Number(url.searchParams.get('size') ?? 1048576), 1024 ** 3);
  const block = Buffer.from(Array.from({ length: 65536 }, (_, i) => (i * 31 + (i >> 8)) & 255));
  let left = size;
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': size });
  const more = () => {
    while (left > 0) {
      const piece = left < block.length ? block.subarray(0, left) : block;
      left -= piece.length;
      if (!response.write(piece)) return response.once('drain', more);
    }
    response.end();
  };
  more();
}

async function slow(url, response) {
  const ms = Math.min(Number(url.searchParams.get('ms') ?? 2000), 60_000);
  await wait(ms);
  sendJson(response, 200, { waitedMilliseconds: ms });
}

async function handle(request, response) {
  const url = new URL(request.url, 'http://target');
  const order = url.pathname.match(/^\/api\/orders\/(\d+)$/);
  if (url.pathname === '/echo') return echo(request, response);
  if (url.pathname === '/api/orders' && request.method === 'POST') return addOrder(request, response);
  if (request.method !== 'GET' && request.method !== 'HEAD') return sendJson(response, 405, { error: 'GET only' });
  if (url.pathname === '/api/orders') return listOrders(url, response);
  if (order) return showOrder(order[1], response);
  if (url.pathname === '/slow') return slow(url, response);
  if (url.pathname === '/file') return sendFile(url, response);
  sendJson(response, 404, { error: 'try /api/orders, /echo, /slow?ms=2000, /file?size=1048576' });
}

const server = createServer((request, response) => {
  handle(request, response).catch((error) => {
    if (response.headersSent) response.destroy();
    else sendJson(response, error.status ?? 500, { error: error.message });
  });
});
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}/`);
});
