/*
 * relay:// and role:// without sockets: roles that have no plain listener are reached through the
 * gateway, as HTTP says and with bounded memory. role://gateway stands for a role that streams.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before } from 'node:test';
import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import WebSocket from 'ws';
import { selfSignedFiles } from './lib/certificate.mjs';
import { SANITIZED, check, event, until, within } from './lib/check.mjs';
import { abortable, request } from './lib/client.mjs';
import { Connector } from './lib/connector.mjs';
import { RawConnection } from './lib/raw.mjs';
import { KEYS, Server } from './lib/server.mjs';
import { SignalrConnector } from './lib/signalr.mjs';
import { Target, pattern, sha256, values } from './lib/target.mjs';

const MIB = 1 << 20;
let dir;
let server;
let target; /* of the connector */
let service; /* behind role://gateway */
let connector;

async function entity(on, path, body) {
	const reply = await fetch(on.admin + path, {
		method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
	});
	assert.ok(reply.ok, `${path} answered ${reply.status}`);
	return await reply.json();
}

async function publish(on, path, service, route = {}) {
	const { id } = await entity(on, '/services', typeof service === 'string' ? { url: service } : service);
	await entity(on, `/services/${id}/routes`, { paths: [path], ...route });
}

/* `server` as one sees it whose relay is below the gateway. */
function behindGateway(on) {
	return Object.create(on, { relay: { value: `${on.gateway}/r` } });
}

async function startServer(more = {}) {
	const on = await Server.start({
		relay: { listen: [], forwarded_headers: 'both' },
		gateway: { trusted_ips: ['127.0.0.1/32'] },
		env: { POSTHOUSE_LOOPS: '2' },
		...more,
	});
	await publish(on, '/r', 'role://relay');
	await publish(on, '/erp', 'relay://T1/web');
	return on;
}

const via = (path, options = {}) => request(server.gateway, path, options);
const describe = async (path, options) => (await via(path, options)).json;

before(async () => {
	target = await Target.start();
	service = await Target.start();
	dir = await mkdtemp(join(tmpdir(), 'posthouse-in-process-'));
	const pair = await selfSignedFiles(dir, 'x');
	server = await startServer({ identity: { listen: [{ address: '127.0.0.1:0', tls: pair }] } });
	await publish(server, '/in', service.url);
	await publish(server, '/out', 'role://gateway/in');
	await publish(server, '/management', 'role://management', { strip_path: false });
	await publish(server, '/id', 'role://identity');
	await publish(server, '/none', 'role://mailbox');
	connector = await Connector.start(behindGateway(server), {
		tenant: 'T1', secret: await server.addTenant('T1'), targets: { web: target.url },
	});
});

after(async () => {
	await connector?.close();
	await server?.close();
	await target?.close();
	await service?.close();
	await rm(dir, { recursive: true, force: true });
});

/* ---- the relay, whose only door is the gateway ---- */

check('a relay without a listener serves connector and clients', async () => {
	assert.equal(server.relay, undefined);
	const { status, text } = await via('/erp/status/204');
	assert.equal(status, 204, text);
	const { method, url, body } = await describe('/erp/a%20b?q=1', { method: 'POST', body: 'hello' });
	assert.deepEqual([method, url, body], ['POST', '/a%20b?q=1', 'hello']);
});

check('the target is told of the client what the gateway wrote, once', async () => {
	const authority = new URL(server.gateway).host;
	const [host, port] = authority.split(':');
	const { raw } = await describe('/erp/x');
	assert.deepEqual(values(raw, 'x-forwarded-for'), ['127.0.0.1']);
	assert.deepEqual(values(raw, 'x-forwarded-host'), [host]);
	assert.deepEqual(values(raw, 'x-forwarded-port'), [port]);
	assert.deepEqual(values(raw, 'x-forwarded-proto'), ['http']);
	assert.deepEqual(values(raw, 'x-forwarded-prefix'), ['/erp']);
	assert.deepEqual(values(raw, 'forwarded'), [`for=127.0.0.1;host="${authority}";proto=http`]);
});

check('the role sees whom a trusted proxy names as the client', async () => {
	const { raw } = await describe('/erp/x', { headers: {
		'X-Real-IP': '203.0.113.9', 'X-Forwarded-For': '203.0.113.9', 'X-Forwarded-Proto': 'https',
		'X-Forwarded-Host': 'shop.example', 'X-Forwarded-Port': '443', Forwarded: 'for=evil',
	} });
	assert.deepEqual(values(raw, 'x-forwarded-for'), ['203.0.113.9, 127.0.0.1']);
	assert.deepEqual(values(raw, 'forwarded'), ['for=203.0.113.9;host="shop.example";proto=https']);
});

check('what is told on the way to a role takes no room from the client', async () => {
	const headers = Object.fromEntries(Array.from({ length: 97 }, (_, i) => [`x-${i}`, 'y']));
	const { raw } = await describe('/out/x', { headers });
	assert.equal(raw.filter(([name]) => /^x-\d+$/.test(name)).length, 97);
});

check('a second pass through the gateway keeps what the first one said', async () => {
	const { raw } = await describe('/out/x', { headers: {
		'X-Real-IP': '203.0.113.9', 'X-Forwarded-For': '203.0.113.9', 'X-Forwarded-Proto': 'https',
		'X-Forwarded-Host': 'shop.example', 'X-Forwarded-Port': '443',
	} });
	assert.deepEqual(values(raw, 'x-forwarded-for'), ['203.0.113.9, 127.0.0.1']);
	assert.deepEqual(values(raw, 'x-forwarded-proto'), ['https']);
	assert.deepEqual(values(raw, 'x-forwarded-host'), ['shop.example']);
	assert.deepEqual(values(raw, 'x-forwarded-port'), ['443']);
	assert.deepEqual(values(raw, 'x-real-ip'), ['203.0.113.9']);
});

check('a second pass through the gateway believes the first one who the client is, and no client', async () => {
	const { id } = await entity(server, '/consumers', { username: 'ida' });
	await entity(server, `/consumers/${id}/key-auth`, { key: 'idas' });
	await publish(server, '/keyed', 'role://gateway/in', { name: 'keyed' });
	await entity(server, '/routes/keyed/plugins', { name: 'key-auth' });
	const forged = { 'X-Consumer-ID': 'forged', 'X-Consumer-Groups': 'forged', X_Consumer_Username: 'forged' };
	const told = async (path, headers) => (await describe(path, { headers })).raw.filter(([name]) => /^x.consumer/i.test(name));

	assert.deepEqual(await told('/out/x', forged), []);
	assert.deepEqual(await told('/keyed/x', { apikey: 'idas', ...forged }), [['X-Consumer-ID', id], ['X-Consumer-Username', 'ida']]);
});

check('one client is not taken for the one before it on the same connection', async () => {
	const peer = async (headers) => /for=([^;]*)/.exec(values((await describe('/erp/x', { headers })).raw, 'forwarded')[0])[1];
	for (let i = 0; i < 5; i++) {
		assert.equal(await peer({ 'X-Real-IP': `203.0.113.${i}` }), `203.0.113.${i}`);
		assert.equal(await peer({}), '127.0.0.1');
	}
});

check('addresses in the discovery document lead back through the gateway', async () => {
	const found = await behindGateway(server).discovery();
	assert.ok(found.connectorEndpoint.startsWith(`${server.gateway}/r/connector`), found.connectorEndpoint);
	const told = (await via('/r/.well-known/relayserver-configuration', { headers: {
		'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'api.example', 'X-Forwarded-Port': '443' } })).json;
	assert.ok(told.connectorEndpoint.startsWith('https://api.example/r/connector'), told.connectorEndpoint);
});

for (const transport of ['WebSockets', 'SSE', 'LongPolling']) {
	check(`a SignalR connector over ${transport} through role://relay`, async () => {
		const tenant = `S${transport}`;
		const secret = await server.addTenant(tenant);
		await publish(server, `/${tenant}`, `relay://${tenant}/web`);
		/* Several, so that some change the loop. */
		const hubs = await Promise.all([1, 2, 3].map(() => SignalrConnector.start(behindGateway(server), {
			tenant, secret, transport,
			answer: async (r) => ({ status: 200, body: Buffer.concat([Buffer.from('>'), await hubs[0].body(r)]) }),
		})));
		const sent = pattern(300_000);
		for (const body of [Buffer.from('small'), sent, Buffer.from('again')]) {
			const reply = await via(`/${tenant}/x`, { method: 'POST', body });
			assert.equal(reply.status, 200, reply.text);
			assert.equal(sha256(reply.body), sha256(Buffer.concat([Buffer.from('>'), body])));
		}
		await Promise.all(hubs.map((hub) => hub.stop()));
	});
}

/* ---- other roles ---- */

check('a role checks its keys as ever', async () => {
	const path = '/management/tenants/T1';
	assert.equal((await via(path)).status, 401);
	const reply = await via(path, { headers: { 'Api-Key': KEYS.read } });
	assert.equal(reply.status, 200, reply.text);
	assert.equal(reply.json.name, 'T1');
});

check('its connections are kept, and counted with the others', async () => {
	const role = /role="management"/;
	await via('/management/tenants', { headers: { 'Api-Key': KEYS.read } });
	const before = await server.metric('posthouse_http_connections_total', role);
	const requests = await server.metric('posthouse_http_requests_total', role);
	for (let i = 0; i < 20; i++) {
		await via('/management/tenants', { headers: { 'Api-Key': KEYS.read } });
	}
	assert.equal(await server.metric('posthouse_http_requests_total', role), requests + 20);
	/* One for each loop, at most. */
	assert.ok(await server.metric('posthouse_http_connections_total', role) <= before + 1);
	assert.ok(await server.metric('posthouse_http_connections', role) >= 1);
});

check('a role that listens with TLS only, and one that does not run', async () => {
	const reply = await via('/id/.well-known/jwks.json');
	assert.equal(reply.status, 200, reply.text);
	assert.ok(reply.json.keys.length > 0);
	const meta = (await via('/id/.well-known/openid-configuration')).json;
	assert.equal(meta.jwks_uri, `${server.gateway}/id/.well-known/jwks.json`);
	assert.equal((await via('/none/')).status, 503);
});

/* ---- bodies ---- */

for (const path of ['/out', '/erp']) {
	check(`large bodies both ways through ${path}`, async () => {
		const up = pattern(6 * MIB);
		const sunk = (await via(`${path}/sink`, { method: 'POST', body: up })).json;
		assert.deepEqual(sunk, { length: up.length, sha256: sha256(up) });
		for (const kind of ['bytes', 'chunked']) {
			const down = await via(`${path}/${kind}/${6 * MIB}`);
			assert.equal(sha256(down.body), sha256(up), kind);
		}
		const some = pattern(200_001);
		assert.equal(sha256((await via(`${path}/echo`, { method: 'POST', body: some })).body), sha256(some));
	});
}

/* A body of unknown length, sent on while it comes. */
check('a chunked request body is streamed', async () => {
	const { port } = new URL(server.gateway);
	const req = http.request({ port, path: '/out/sink', method: 'POST', agent: false });
	service.forget();
	const piece = pattern(100_000);
	const hash = createHash('sha256');
	req.write(piece);
	hash.update(piece);
	await service.hits.take();
	for (let i = 0; i < 30; i++) {
		req.write(piece);
		hash.update(piece);
	}
	req.end();
	const [res] = await event(req, 'response', 'the answer');
	let text = '';
	for await (const part of res) {
		text += part;
	}
	assert.deepEqual(JSON.parse(text), { length: 3_100_000, sha256: hash.digest('hex') });
});

check('slow readers hold neither memory nor other requests', async () => {
	const size = 16 * MIB;
	const { port } = new URL(server.gateway);
	const before = (await server.footprint()).rss;
	const slow = await Promise.all([1, 2].map(async () => {
		const req = http.request({ port, path: `/out/bytes/${size}`, agent: false }).end();
		const [res] = await once(req, 'response');
		res.pause();
		return res;
	}));
	/* All that fits in between is there when nothing more moves. */
	let moved = -1;
	await until(async () => {
		const now = await server.metric('posthouse_process_resident_bytes');
		const still = now === moved;
		moved = now;
		return still || SANITIZED; /* which remembers what was freed */
	}, 'the bytes stand still');
	assert.equal((await via('/out/status/200')).status, 200);
	if (!SANITIZED) {
		const grown = (await server.footprint()).rss - before;
		assert.ok(grown < 8 * MIB, `grew by ${grown}`);
	}
	for (const res of slow) {
		const hash = createHash('sha256');
		for await (const part of res) {
			hash.update(part);
		}
		assert.equal(hash.digest('hex'), sha256(pattern(size)));
	}
});

/* ---- ends ---- */

check('a client that goes takes the call to the service with it', async () => {
	service.forget();
	const call = abortable(server.gateway, '/out/hang');
	await service.hits.take();
	call.abort();
	await call.done;
	await until(() => service.running === 0, 'the service is left');
	target.forget();
	const relayed = abortable(server.gateway, '/erp/hang');
	await target.hits.take();
	const aborted = () => server.metric('posthouse_relay_requests_total', /aborted/);
	const before = await aborted();
	relayed.abort();
	await relayed.done;
	await until(async () => await aborted() === before + 1, 'the relay gives it up');
});

check('an answer that is cut does not look whole', async () => {
	const call = await abortable(server.gateway, '/out/cut').done;
	assert.ok(call.error, 'the client was told of an end');
	assert.equal((await via('/out/close')).status, 502);
});

check('a client that stops sending in the middle of a body', async () => {
	const raw = await RawConnection.open(server.gateway);
	service.forget();
	raw.send('POST /out/sink HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n');
	raw.send(pattern(200_000));
	await service.hits.take();
	raw.close();
	await until(() => service.running === 0, 'the service is left');
});

check('a service that takes too long', async () => {
	await publish(server, '/quick', { url: 'role://gateway/in', read_timeout: 200, retries: 0 });
	const reply = await via('/quick/hang');
	assert.equal(reply.status, 504, reply.text);
});

check('a route that leads to itself ends', async () => {
	await publish(server, '/loop', 'role://gateway/loop');
	const reply = await via('/loop');
	assert.equal(reply.status, 508, reply.text);
	assert.equal((await via('/out/status/200')).status, 200);
});

/* ---- WebSockets ---- */

check('WebSockets, with large messages and slow readers', async () => {
	const upstream = http.createServer();
	const sockets = new WebSocket.Server({ server: upstream, perMessageDeflate: false, maxPayload: 64 * MIB });
	sockets.on('connection', (ws) => ws.on('message', (data) => ws.send(data)));
	upstream.listen(0, '127.0.0.1');
	await once(upstream, 'listening');
	await publish(server, '/ws-in', `http://127.0.0.1:${upstream.address().port}`);
	await publish(server, '/ws', 'role://gateway/ws-in');
	const ws = new WebSocket(`${server.gateway.replace('http', 'ws')}/ws`, { perMessageDeflate: false, maxPayload: 64 * MIB });
	try {
		await event(ws, 'open', 'the WebSocket opens');
		const back = [];
		ws.on('message', (data) => back.push(data));
		ws.send('hello');
		await until(() => back.length === 1, 'an echo');
		assert.equal(back[0].toString(), 'hello');
		ws._socket.pause();
		const big = pattern(4 * MIB);
		for (let i = 0; i < 3; i++) {
			ws.send(big);
		}
		assert.equal((await via('/out/status/200')).status, 200);
		ws._socket.resume();
		await until(() => back.length === 4, 'all echoes');
		for (const data of back.slice(1)) {
			assert.equal(sha256(data), sha256(big));
		}
		const [other] = sockets.clients;
		const gone = once(other, 'close');
		ws.close(4001, 'enough');
		const [code] = await within(gone, 'the service learns of the end');
		assert.equal(code, 4001);
	} finally {
		ws.terminate();
		sockets.close();
		upstream.closeAllConnections();
		upstream.close();
	}
});

check('a WebSocket through a role ends when nothing has passed for read_timeout', async () => {
	const sockets = new WebSocket.Server({ port: 0, host: '127.0.0.1' });
	await once(sockets, 'listening');
	await publish(server, '/still-in', `http://127.0.0.1:${sockets.address().port}`);
	await publish(server, '/still', { url: 'role://gateway/still-in', read_timeout: 1000 });
	const accepted = once(sockets, 'connection');
	const ws = new WebSocket(`${server.gateway.replace('http', 'ws')}/still`);
	const closed = event(ws, 'close', 'the client is told');
	try {
		const [service] = await within(accepted, 'the WebSocket opens');
		await Promise.all([closed, event(service, 'close', 'the service is told')]);
	} finally {
		ws.terminate();
		sockets.close();
	}
});

/* ---- the end of the process ---- */

/* Large answers, and all over long polling, come over new connections through the gateway. */
for (const transport of ['websockets', 'long_polling']) {
	check(`SIGTERM lets what is under way end, also where a connection is still to be made: ${transport}`, async () => {
		const other = await startServer();
		let own;
		try {
			await publish(other, '/management', 'role://management', { strip_path: false });
			own = await Connector.start(behindGateway(other), {
				tenant: 'T1', secret: await other.addTenant('T1'), targets: { web: target.url }, settings: { transports: [transport] },
			});
			target.forget();
			const waiting = ['/erp/gate', '/erp/gate/100000'].map((path) => request(other.gateway, path));
			await target.hits.take();
			await target.hits.take();
			/* The gateway has the head of this one and waits for the rest of its small body. */
			const late = await RawConnection.open(other.gateway);
			late.send(`GET /management/tenants HTTP/1.1\r\nHost: x\r\nApi-Key: ${KEYS.read}\r\nContent-Length: 2\r\n\r\n{`);
			await until(async () => await other.metric('posthouse_http_requests_total', /role="gateway"/) >= 3, 'its head is there');
			const idle = await RawConnection.open(other.gateway);
			other.child.signal_('SIGTERM');
			await until(async () => (await request(other.gateway, '/erp/bytes/5')).status === 503, 'no more are taken');
			late.send('}');
			const answer = await late.response();
			assert.equal(answer.status, 200, answer.body?.toString());
			target.open();
			assert.equal((await waiting[0]).text, 'through the gate');
			assert.deepEqual((await waiting[1]).body, pattern(100_000));
			await idle.closed();
			const end = await within(other.child.exited, 'the server ends');
			assert.equal(end.code, 0);
		} finally {
			await own?.close();
			await other.close();
		}
	});
}
