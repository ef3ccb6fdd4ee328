/* http-log: records arrive, in batches, through an outage and a change of configuration, within bounds. */
import assert from 'node:assert/strict';
import https from 'node:https';
import net from 'node:net';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach } from 'node:test';
import { selfSigned } from './lib/certificate.mjs';
import { check, until } from './lib/check.mjs';
import { request } from './lib/client.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { CLOSED_PORT, freePort } from './lib/ports.mjs';
import { RawConnection } from './lib/raw.mjs';

let gw;
let echo;
let sink;
let status;

/* Takes records, or answers with `status`. */
const answer = (req, res) => {
	res.statusCode = status;
	res.end();
};

before(async () => {
	gw = await Gateway.start({ loops: 1 });
	echo = await Echo.start();
});

beforeEach(async () => {
	status = 200;
	sink = await Echo.start({ answer });
	await gw.route({ name: 's', url: echo.url }, { name: 'r', paths: ['/s'] });
});

afterEach(async () => {
	await gw.clear();
	await sink.close();
});

after(async () => {
	await gw?.close();
	await echo?.close();
});

const plug = (config) => gw.make('/plugins', { name: 'http-log', config });

/* Records that arrived at `at`, in order. */
const records = (at = sink) => at.requests.flatMap((r) => JSON.parse(r.body));
const urls = (list) => list.map((r) => new URL(r.request.url).pathname);

async function metric(name) {
	const { text } = await request(gw.status, '/metrics', { method: 'GET' });
	return Number(new RegExp(`^posthouse_http_log_${name}_total (\\d+)`, 'm').exec(text)?.[1] ?? 0);
}

check('http-log: the record of a WebSocket tells its own answer, whatever came after it', async () => {
	const answers = net.createServer((socket) => {
		socket.on('error', () => {});
		socket.on('data', (data) => socket.write(/upgrade: websocket/i.test(data)
			? `HTTP/1.1 101 Switching Protocols\r\nX-Room: ${'a'.repeat(200)}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`
			: `HTTP/1.1 200 OK\r\nSet-Cookie: session=other; HttpOnly\r\nX-Private: ${'b'.repeat(64)}\r\nContent-Length: 0\r\n\r\n`));
	}).listen(0, '127.0.0.1');
	await once(answers, 'listening');
	try {
		await plug({ http_endpoint: `${sink.url}/in` });
		await gw.route({ name: 'room', url: `http://127.0.0.1:${answers.address().port}` }, { paths: ['/room'] });
		const raw = await RawConnection.open(gw.proxy);
		raw.send('GET /room HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
		await raw.until(() => raw.text.includes('\r\n\r\n'), 'the WebSocket is open');
		for (let i = 0; i < 5; i++) {
			await gw.get('/room/other');
		}
		raw.close();
		await until(() => records().length === 6, 'the WebSocket is in the log');
		const { response } = records().find((r) => r.response.status === 101);
		assert.deepEqual(Object.keys(response.headers).filter((name) => !/^(connection|upgrade|via|x-kong-.*)$/.test(name)), ['x-room']);
		assert.equal(response.headers['x-room'], 'a'.repeat(200));
	} finally {
		answers.close();
	}
});

check('check 38: http-log: a record arrives for each request', async () => {
	await plug({
		http_endpoint: `${sink.url}/in?k=v`.replace('://', '://jane:secret@'),
		method: 'PUT',
		content_type: 'application/json; charset=utf-8',
		headers: { 'X-Token': 't' },
		custom_fields_by_lua: { env: "return 'test'" },
	});
	await gw.get('/s/one', { Authorization: 'Bearer hush' });
	const seen = await sink.hits.take();
	assert.equal(seen.method, 'PUT');
	assert.equal(seen.url, '/in?k=v');
	assert.equal(seen.headers['content-type'], 'application/json; charset=utf-8');
	assert.equal(seen.headers['x-token'], 't');
	assert.equal(seen.headers.authorization, `Basic ${btoa('jane:secret')}`);
	const record = JSON.parse(seen.body);
	assert.equal(record.response.status, 200);
	assert.equal(record.request.headers.authorization, 'REDACTED');
	assert.equal(record.service.name, 's');
	assert.equal(record.route.name, 'r');
	assert.equal(record.env, 'test');
	await gw.get('/s/two');
	assert.deepEqual(urls([JSON.parse((await sink.hits.take()).body)]), ['/s/two']);
});

check('check 38: http-log: sizes are those on the wire, with what the server adds', async () => {
	const chunked = await Echo.start({ answer: (req, res) => {
		res.flushHeaders();
		res.end();
	} });
	await plug({ http_endpoint: sink.url });
	await gw.route({ name: 'c', url: chunked.url }, { paths: ['/c'] });
	try {
		for (const path of ['/s/x', '/c', '/nowhere']) {
			const raw = await RawConnection.open(gw.proxy);
			const request_ = `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
			raw.send(request_);
			await raw.response();
			const { request: { size }, response } = JSON.parse((await sink.hits.take()).body);
			assert.equal(size, request_.length, path);
			/* The chunk that ends is the coding's. */
			assert.equal(response.size, raw.socket.bytesRead - (path === '/c' ? '0\r\n\r\n'.length : 0), path);
			raw.close();
		}
	} finally {
		await chunked.close();
	}
});

check('check 38: http-log: several records come in one array', async () => {
	await plug({ http_endpoint: sink.url, queue: { max_batch_size: 3, max_coalescing_delay: 0.2 } });
	for (const name of 'abcd') {
		await gw.get(`/s/${name}`);
	}
	await until(() => records().length === 4, 'all records');
	for (const { body } of sink.requests) {
		assert.ok(Array.isArray(JSON.parse(body)));
		assert.ok(JSON.parse(body).length <= 3);
	}
	assert.ok(sink.requests.length < 4);
	assert.deepEqual(urls(records()), ['/s/a', '/s/b', '/s/c', '/s/d']);
});

check('check 38: http-log: what is null is as by default, and a record is sent once', async () => {
	const { id } = await plug({
		http_endpoint: sink.url, method: null, content_type: null, timeout: null, keepalive: null, ssl_verify: null,
		queue: { max_batch_size: null, max_entries: null, max_retry_delay: null, max_coalescing_delay: null },
	});
	await gw.get('/s/once');
	const seen = await sink.hits.take();
	assert.deepEqual([seen.method, seen.headers['content-type']], ['POST', 'application/json']);
	assert.equal(JSON.parse(seen.body).request.uri, '/s/once');
	await gw.want(204, 'DELETE', `/plugins/${id}`);
	await new Promise((resolve) => setTimeout(resolve, 200));
	assert.equal(sink.requests.length, 1);
});

check('check 38: http-log: after an outage the records are sent again', async () => {
	const port = await freePort();
	const failures = await metric('failures');
	await plug({ http_endpoint: `http://127.0.0.1:${port}/`, queue: { max_retry_delay: 0.05 } });
	await gw.get('/s/a');
	await gw.get('/s/b');
	await until(async () => (await metric('failures')) > failures, 'a failed attempt');
	const late = await Echo.start({ answer, port });
	try {
		status = 500;
		await late.hits.take();
		await late.hits.take();
		status = 200;
		await until(async () => urls(records(late)).includes('/s/b'), 'the second record');
		const seen = urls(records(late));
		assert.deepEqual(seen.slice(0, 2), ['/s/a', '/s/a']);
		assert.equal(seen.at(-1), '/s/b');
	} finally {
		await late.close();
	}
});

check('check 38: http-log: what waits survives a change of the configuration, and goes to the new place', async () => {
	const { id } = await plug({ http_endpoint: `http://127.0.0.1:${CLOSED_PORT}/`, queue: { max_retry_delay: 0.05 } });
	await gw.get('/s/a');
	await gw.make(`/plugins/${id}`, { config: { http_endpoint: sink.url } }, 'PATCH');
	await gw.get('/s/b');
	await until(() => records().length === 2, 'both records');
	assert.deepEqual(urls(records()), ['/s/a', '/s/b']);
});

check('check 38: http-log: a queue is bounded, and what is dropped is counted', async () => {
	const dropped = await metric('dropped');
	status = 503;
	await plug({ http_endpoint: sink.url, queue: { max_entries: 3, max_retry_delay: 0.05 } });
	await gw.get('/s/0');
	await sink.hits.take();
	for (let i = 1; i < 6; i++) {
		assert.equal((await gw.get(`/s/${i}`)).status, 200);
	}
	await until(async () => (await metric('dropped')) === dropped + 3, 'three drops');
	const before = sink.requests.length;
	status = 200;
	await until(() => urls(records()).includes('/s/5'), 'the newest record');
	const kept = new Set(urls(records().slice(before - 1)));
	assert.deepEqual([...kept], ['/s/0', '/s/4', '/s/5']);
});

check('check 38: http-log: a batch is given up after max_retry_time', async () => {
	const dropped = await metric('dropped');
	status = 500;
	await plug({ http_endpoint: sink.url, queue: { max_retry_time: 0 } });
	await gw.get('/s/a');
	await until(async () => (await metric('dropped')) === dropped + 1, 'a drop');
	assert.equal(sink.requests.length, 1);
});

check('check 38: http-log: https: verified by the CAs of the system, by others, or not at all', async () => {
	const dir = await mkdtemp(join(tmpdir(), 'posthouse-http-log-'));
	const { key, cert } = await selfSigned(dir, 'localhost');
	let taken = 0;
	const secure = https.createServer({ key, cert }, (req, res) => req.resume().on('end', () => {
		taken++;
		res.end();
	})).listen(0, '127.0.0.1');
	await once(secure, 'listening');
	const endpoint = { http_endpoint: `https://localhost:${secure.address().port}/` };
	try {
		const failures = await metric('failures');
		const { id } = await plug({ ...endpoint, queue: { max_retry_time: 0 } });
		await gw.get('/s/a');
		await until(async () => (await metric('failures')) === failures + 1, 'a refusal of the certificate');
		assert.equal(taken, 0);
		await gw.make(`/plugins/${id}`, { config: { ssl_ca: cert } }, 'PATCH');
		await gw.get('/s/b');
		await until(() => taken === 1, 'a record with another CA');
		await gw.make(`/plugins/${id}`, { config: { ssl_ca: null, ssl_verify: false } }, 'PATCH');
		await gw.get('/s/c');
		await until(() => taken === 2, 'a record without verification');
		assert.equal((await gw.admin('PATCH', `/plugins/${id}`, { config: { ssl_ca: 'no PEM' } })).status, 400);
	} finally {
		secure.closeAllConnections();
		secure.close();
		await rm(dir, { recursive: true, force: true });
	}
});

check('check 38: http-log: what waits is sent at the end, and a dead server does not hold it up', async () => {
	const ending = await Gateway.start();
	const log = join(ending.dir, 'requests.log');
	try {
		await ending.route({ url: echo.url }, { name: 'r', paths: ['/s'] });
		await ending.make('/plugins', { name: 'http-log', config: { http_endpoint: sink.url, queue: { max_batch_size: 10, max_coalescing_delay: 3600 } } });
		await ending.make('/plugins', { name: 'file-log', config: { path: log } });
		await ending.get('/s/late');
		await ending.stop();
		assert.deepEqual(urls(records()), ['/s/late']);
		assert.equal(urls([JSON.parse(await readFile(log, 'utf8'))])[0], '/s/late');

		await ending.launch();
		for (const { id, name } of (await ending.make('/plugins', undefined, 'GET')).data) {
			if (name === 'http-log') {
				await ending.make(`/plugins/${id}`, { config: { http_endpoint: `http://127.0.0.1:${CLOSED_PORT}/` } }, 'PATCH');
			}
		}
		await ending.get('/s/lost');
		const begun = Date.now();
		await ending.stop();
		assert.ok(Date.now() - begun < 15_000, `it took ${Date.now() - begun} ms`);
		await ending.child.line(/log records were not sent before the end/);
	} finally {
		await ending.close();
	}
});
