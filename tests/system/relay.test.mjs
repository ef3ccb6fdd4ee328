/* Relaying through our own connector: spec §3, §8, §15. */
import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { after, before } from 'node:test';
import { check, event, until } from './lib/check.mjs';
import { abortable, request, timed } from './lib/client.mjs';
import { Connector } from './lib/connector.mjs';
import { CLOSED_PORT } from './lib/ports.mjs';
import { RawConnection } from './lib/raw.mjs';
import { Recorder } from './lib/recorder.mjs';
import { Server } from './lib/server.mjs';
import { SignalrConnector } from './lib/signalr.mjs';
import { pattern, sha256, Target, values } from './lib/target.mjs';

const MEBIBYTE = 1 << 20;

let server;
let target;
let evil;
let recorder;
let connector;
/* A second tenant, whose connector shows the records. */
let hub;

before(async () => {
	server = await Server.start();
	[target, evil] = [await Target.start({ base: '/base/' }), await Target.start()];
	recorder = await Recorder.start(server.relay);
	const secret = await server.addTenant('T1');
	connector = await Connector.start(server, {
		tenant: 'T1', secret, url: recorder.url,
		targets: {
			web: target.url,
			impatient: { url: target.url, timeout: '500ms' },
			closed: `http://127.0.0.1:${CLOSED_PORT}/`,
		},
	});
	hub = await SignalrConnector.start(server, { tenant: 'T2', secret: await server.addTenant('T2') });
});

after(async () => {
	await hub?.stop();
	await connector?.close();
	await recorder?.close();
	await Promise.all([server, target, evil].map((thing) => thing?.close()));
});

function relay(path, options) {
	return request(server.relay, path, options);
}

check('check 03: $ping answers PONG', async () => {
	const reply = await relay('/relay/T1/$ping');
	assert.equal(reply.status, 200);
	assert.match(reply.headers['content-type'], /^text\/plain/);
	assert.equal(reply.headers['content-length'], '4');
	assert.equal(reply.text, 'PONG');
});

check('check 04: mode, tenant and target in any case; $ping takes GET only', async () => {
	assert.equal((await relay('/RELAY/t1/$PING')).text, 'PONG');
	const reply = await relay('/relay/T1/$ping', { method: 'POST' });
	assert.equal(reply.status, 404);
	assert.equal(reply.body.length, 0);
});

check('check 05: unknown tenants and targets, and missing parts, are 404', async () => {
	for (const path of ['/relay/nobody/x', '/relay', '/relay/', '/relay/T1/unknown', '/relay/T1', '/relay/T1/']) {
		const reply = await relay(path);
		assert.equal(reply.status, 404, path);
		assert.equal(reply.headers['content-length'], '0', path);
	}
});

check('check 06: 16384 bytes stay inline, and $echo sends them back', async () => {
	const body = pattern(16384);
	const reply = await relay('/relay/T1/$echo', { method: 'POST', body });
	assert.equal(reply.status, 200);
	assert.ok(reply.body.equals(body));

	const pending = relay('/relay/T2/x', { method: 'POST', body });
	const record = await hub.requests.take();
	assert.equal(record.bodySize, 16384);
	assert.equal(record.originalBodySize, 16384);
	assert.ok(Buffer.from(record.bodyContent, 'base64').equals(body));
	await hub.deliver(record, { body });
	assert.ok((await pending).body.equals(body));
});

check('check 06: the record has the members of the protocol', async () => {
	const pending = relay('/relay/t2/Erp/api/x?y=1', {
		method: 'POST', body: 'Hello', headers: { 'X-Custom': 'v', 'content-type': 'text/plain' },
	});
	const record = await hub.requests.take();
	assert.deepEqual(Object.keys(record).sort(), [
		'acknowledgeMode', 'acknowledgeOriginId', 'bodyContent', 'bodySize', 'discardConnectorResponse',
		'enableTracing', 'httpHeaders', 'httpMethod', 'originalBodySize', 'requestId', 'requestOriginId',
		'target', 'tenantName', 'url',
	]);
	assert.match(record.requestId, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
	assert.equal(record.tenantName, 'T2');
	assert.equal(record.target.toLowerCase(), 'erp');
	assert.equal(record.url, 'api/x?y=1');
	assert.equal(record.httpMethod, 'POST');
	assert.equal(record.bodyContent, 'SGVsbG8=');
	assert.equal(record.acknowledgeMode, 0);
	assert.equal(record.discardConnectorResponse, false);
	assert.deepEqual(record.httpHeaders['X-Custom'], ['v']);
	assert.deepEqual(record.httpHeaders['Content-Type'], ['text/plain']);
	await hub.deliver(record, { status: 201 });
	assert.equal((await pending).status, 201);
});

check('check 07: 16385 bytes go through the body store, which is empty afterwards', async () => {
	const body = pattern(16385);
	const reply = await relay('/relay/T1/web/sink', { method: 'POST', body });
	assert.deepEqual(reply.json, { length: 16385, sha256: sha256(body) });
	const record = recorder.invocations('down', 'RequestTarget').at(-1);
	assert.equal(record.bodyContent, null);
	assert.equal(record.bodySize, 16385);
	const id = record.requestId.replaceAll('-', '');
	assert.equal(recorder.lines(new RegExp(`^GET /body/request/${id}\\?delete=true `)).length, 1);
	await server.noBodyFiles();
});

check('check 08: a chunked answer is stored first, and arrives with its length', async () => {
	const reply = await relay('/relay/T1/web/chunked/100000');
	assert.equal(reply.status, 200);
	assert.equal(reply.headers['content-length'], '100000');
	assert.ok(reply.body.equals(pattern(100000)));
	const { requestId } = recorder.invocations('down', 'RequestTarget').at(-1);
	const id = requestId.replaceAll('-', '');
	assert.equal(recorder.lines(new RegExp(`^POST /body/response/${id} `)).length, 1);
	const delivered = recorder.invocations('up', 'Deliver').at(-1);
	assert.equal(delivered.requestId, requestId);
	assert.equal(delivered.bodySize, 100000);
	assert.equal(delivered.bodyContent, null);
	await server.noBodyFiles();
});

check('check 08: the body endpoint answers the number of bytes', async () => {
	const pending = relay('/relay/T2/x');
	const record = await hub.requests.take();
	const stored = await hub.storeBody(record, pattern(20000));
	assert.equal(stored.status, 200);
	assert.match(stored.headers.get('content-type'), /^text\/plain/);
	assert.equal(await stored.text(), '20000');
	await hub.deliver(record, { changes: { originalBodySize: 20000, bodySize: 20000 } });
	assert.ok((await pending).body.equals(pattern(20000)));
	await server.noBodyFiles();
});

check('check 09: 50 MiB up and down are the same bytes', async () => {
	const size = 50 * MEBIBYTE;
	const up = await relay('/relay/T1/web/sink', { method: 'PUT', body: pattern(size) });
	assert.deepEqual(up.json, { length: size, sha256: sha256(pattern(size)) });
	const down = await relay(`/relay/T1/web/bytes/${size}`);
	assert.equal(down.headers['content-length'], String(size));
	assert.equal(sha256(down.body), sha256(pattern(size)));
	await server.noBodyFiles();
});

check('check 09: two Set-Cookie stay two lines; a custom header arrives once', async () => {
	const cookies = await relay('/relay/T1/web/cookies');
	assert.deepEqual(values(cookies.raw, 'set-cookie'),
		['a=1; Path=/', 'b=2; Expires=Fri, 20 Nov 2026 22:30:00 GMT']);
	for (const body of [undefined, 'a body', pattern(20000)]) {
		const reply = await relay('/relay/T1/web/x', {
			method: body ? 'POST' : 'GET', body, headers: { 'X-Once': 'only' },
		});
		assert.deepEqual(values(reply.json.raw, 'x-once'), ['only']);
	}
});

check('check 10: a hanging target is 504 after its time-out', async () => {
	const { value, ms } = await timed(relay('/relay/T1/impatient/hang'));
	assert.equal(value.status, 504);
	assert.equal(value.body.length, 0);
	assert.ok(ms >= 490, `${ms} ms`);
});

check('check 10: a closed port, and a target that closes, are 502', async () => {
	assert.equal((await relay('/relay/T1/closed/x')).status, 502);
	assert.equal((await relay('/relay/T1/web/close')).status, 502);
	assert.equal((await relay('/relay/T1/web/cut')).status, 502);
	assert.equal((await relay('/relay/T1/web/status/200')).status, 200);
});

check('check 12: a queued request is 202 at once, reaches the target, and nobody delivers', async () => {
	target.forget();
	const before = recorder.invocations('up', 'Deliver').length;
	const reply = await relay('/queue/T1/web/gate', { method: 'POST', body: 'x' });
	assert.equal(reply.status, 202);
	assert.equal(reply.body.length, 0);
	const hit = await target.hits.take();
	assert.equal(hit.method, 'POST');
	target.open();
	/* What is delivered next is the answer to the next request. */
	await relay('/relay/T1/$ping');
	assert.equal(recorder.invocations('up', 'Deliver').length, before + 1);
	assert.equal(recorder.invocations('down', 'RequestTarget').at(-2).discardConnectorResponse, true);
});

check('check 13: /trace tells both sides who handled the request', async () => {
	const reply = await relay('/trace/T1/web/');
	const id = reply.headers['relayserver-requestid'];
	assert.match(id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
	assert.ok(reply.headers['relayserver-server-version']);
	assert.ok(reply.headers['relayserver-server-machinename']);
	assert.ok(reply.headers['relayserver-connector-version']);
	assert.match(reply.headers['relayserver-targetduration'], /^(\d+:)?\d+:\d\d:\d\d(\.\d{7})?$/);
	assert.ok(!Number.isNaN(Date.parse(reply.headers['relayserver-targetstart'])));
	assert.deepEqual(values(reply.json.raw, 'RelayServer-RequestId'), [id]);
	assert.equal(values(reply.json.raw, 'RelayServer-RequestOriginId').length, 1);
	const plain = await relay('/relay/T1/web/');
	assert.equal(plain.headers['relayserver-requestid'], undefined);
});

check('check 14: path and query reach the target as they were sent', async () => {
	for (const path of ['a%20b%2Fc?x=%26', 'x%3Fy%23z%25', 'a;b=c/d,e?q=a+b&q=%2B', "it's(~)/!$&*@:", '?only=query', '']) {
		const reply = await relay(`/relay/T1/web/${path}`);
		assert.equal(reply.json.url, `/base/${path}`);
	}
});

check('check 15: no url leaves the target\'s base address', async () => {
	const paths = [
		'/evil', '//evil', `/${evil.host}/x`, `//${evil.host}/x`, `${evil.url}x`, 'http://127.0.0.1:1/',
		'HTTP:/x', `http:${evil.host}`, '../up', '../../up', 'a/../../up', '%2e%2e/up', '.%2e/up', '%2E%2E/%2e%2e/up',
		`\\\\${evil.host}\\x`, '..\\up', '%5c..%5cup', `@${evil.host}/`, '..;/up', '%2f%2fevil', '..%2fup', '.', '..',
	];
	target.forget();
	for (const path of paths) {
		const seen = target.requests.length;
		const reply = await relay(`/relay/T1/web/${path}`);
		if (target.requests.length === seen) {
			assert.ok([400, 404, 502].includes(reply.status), `${path}: ${reply.status}`);
			continue;
		}
		const { pathname } = new URL(target.requests.at(-1).url, target.url);
		assert.ok(pathname.startsWith('/base/'), `${path} became ${target.requests.at(-1).url}`);
	}
	assert.equal(evil.requests.length, 0);
});

check('check 16: the connector receives the key Host however it was spelled', async () => {
	const raw = await RawConnection.open(server.relay);
	try {
		raw.send('GET /relay/T2/x HTTP/1.1\r\nhost: relay.example\r\naccept-encoding: gzip\r\n\r\n');
		const record = await hub.requests.take();
		assert.deepEqual(record.httpHeaders.Host, ['relay.example']);
		assert.deepEqual(record.httpHeaders['Accept-Encoding'], ['gzip']);
		await hub.deliver(record);
		assert.equal((await raw.response()).status, 200);
	} finally {
		raw.close();
	}
	const reply = await relay('/relay/T1/web/x', { headers: { host: 'relay.example' } });
	assert.deepEqual(values(reply.json.raw, 'host'), [target.host]);
});

check('hop-by-hop headers end at the server in both directions', async () => {
	const pending = relay('/relay/T2/x', {
		headers: {
			Connection: 'X-Hop, keep-alive', 'X-Hop': '1', 'Keep-Alive': 'timeout=5', TE: 'trailers',
			'Proxy-Authorization': 'Basic eDp5', 'Proxy-Connection': 'keep-alive', 'X-Stays': '1',
		},
	});
	const record = await hub.requests.take();
	const names = Object.keys(record.httpHeaders).map((name) => name.toLowerCase());
	for (const name of ['connection', 'x-hop', 'keep-alive', 'te', 'proxy-authorization', 'proxy-connection']) {
		assert.ok(!names.includes(name), name);
	}
	assert.ok(names.includes('x-stays') && names.includes('host'));
	await hub.deliver(record, {
		headers: {
			Connection: ['X-Gone, close'], 'X-Gone': ['1'], 'Keep-Alive': ['timeout=99'],
			'Transfer-Encoding': ['chunked'], 'Proxy-Authenticate': ['Basic'], 'X-Kept': ['a', 'b'],
		},
		body: 'ok',
	});
	const reply = await pending;
	assert.equal(reply.text, 'ok');
	assert.deepEqual(values(reply.raw, 'x-kept'), ['a', 'b']);
	assert.deepEqual(values(reply.raw, 'transfer-encoding'), []);
	assert.deepEqual(values(reply.raw, 'x-gone'), []);
	assert.ok(!values(reply.raw, 'keep-alive').includes('timeout=99'));
});

check('check 40: HEAD keeps the target\'s Content-Length', async () => {
	for (const size of [5, 16384, 16385, 5_000_000]) {
		const reply = await relay(`/relay/T1/web/bytes/${size}`, { method: 'HEAD' });
		assert.equal(reply.status, 200);
		assert.equal(reply.headers['content-length'], String(size));
		assert.equal(reply.headers['content-type'], 'application/x-pattern');
	}
});

check('statuses without a body, and every method, pass', async () => {
	for (const status of [204, 304, 404, 418, 500, 503]) {
		assert.equal((await relay(`/relay/T1/web/status/${status}`)).status, status);
	}
	for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'REPORT']) {
		const reply = await relay('/relay/T1/web/x', { method });
		assert.equal(reply.json.method, method);
		assert.equal(reply.json.body, '');
	}
});

check('$echo: an integer repeats or cuts the body, without one it is 204', async () => {
	const echo = (path, body) => relay(`/relay/T1/$echo${path}`, { method: 'POST', body });
	assert.equal((await echo('', undefined)).status, 204);
	assert.equal((await echo('/5', 'ab')).text, 'ababa');
	assert.equal((await echo('/1', 'ab')).text, 'a');
	const large = await echo('/100000', pattern(20000));
	assert.equal(large.body.length, 100000);
	assert.ok(large.body.subarray(20000, 40000).equals(pattern(20000)));
});

check('Expect: 100-continue is answered before the body comes', async () => {
	const { hostname, port } = new URL(server.relay);
	const req = http.request({
		hostname, port, path: '/relay/T1/web/echo', method: 'POST', agent: false,
		headers: { Expect: '100-continue', 'Content-Length': 5 },
	});
	const answer = new Promise((resolve, reject) => {
		req.on('error', reject);
		req.on('continue', () => req.end('Hello'));
		req.on('response', (res) => {
			let text = '';
			res.on('data', (data) => (text += data)).on('end', () => resolve(text));
		});
	});
	req.flushHeaders();
	assert.equal(await answer, 'Hello');
});

check('pipelined requests are answered in order', async () => {
	const raw = await RawConnection.open(server.relay);
	try {
		const paths = ['bytes/3', 'bytes/20000', 'chunked/7', 'bytes/1'];
		raw.send(paths.map((p) => `GET /relay/T1/web/${p} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''));
		for (const path of paths) {
			const reply = await raw.response();
			assert.equal(reply.status, 200);
			assert.equal(reply.body.length, Number(path.split('/')[1]));
		}
	} finally {
		raw.close();
	}
});

check('a chunked request body with extensions and trailers arrives whole', async () => {
	const raw = await RawConnection.open(server.relay);
	try {
		raw.send('POST /relay/T1/web/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n' +
			'5;name=value\r\nHello\r\n6\r\n world\r\n0\r\nX-T: 1\r\n\r\n');
		const { body } = JSON.parse((await raw.response()).body);
		assert.equal(body, 'Hello world');
		raw.send('GET /relay/T1/$ping HTTP/1.1\r\nHost: x\r\n\r\n');
		assert.equal((await raw.response()).body.toString(), 'PONG');
	} finally {
		raw.close();
	}
});

check('a body over the limit is 413, told or not', async () => {
	const small = await Server.start({ relay: { max_request_body_size: '64KiB' } });
	try {
		await small.addTenant('T1');
		const told = await RawConnection.open(small.relay);
		told.send('POST /relay/T1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n');
		assert.equal((await told.response()).status, 413);
		told.close();
		const untold = await RawConnection.open(small.relay);
		untold.send('POST /relay/T1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
		untold.send(`10001\r\n${'x'.repeat(0x10001)}\r\n`);
		assert.equal((await untold.response()).status, 413);
		untold.close();
		await small.noBodyFiles();
	} finally {
		await small.close();
	}
});

check('an upload that does not end in time is 408', async () => {
	const quick = await Server.start({ relay: { request_expiration: '1s' } });
	try {
		await quick.addTenant('T1');
		const raw = await RawConnection.open(quick.relay);
		raw.send('POST /relay/T1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nonly this');
		assert.equal((await raw.response()).status, 408);
		raw.close();
		await quick.noBodyFiles();
	} finally {
		await quick.close();
	}
});

check('a client that leaves during its upload leaves nothing behind', async () => {
	const raw = await RawConnection.open(server.relay);
	raw.send('POST /relay/T1/web/sink HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n');
	raw.send(pattern(500000));
	raw.close();
	await server.noBodyFiles();
	const { done, abort } = abortable(server.relay, '/relay/T1/web/hang', {
		method: 'POST', body: pattern(100000),
	});
	target.forget();
	await target.hits.take();
	abort();
	assert.ok((await done).error);
	await server.noBodyFiles();
});

/* Who asks for it and takes next to nothing of it, until destroyed. */
async function slowReader(own, version, path) {
	if (version === 2) {
		const session = http2.connect(own.relay);
		const stream = session.request({ ':path': path });
		stream.on('error', () => {});
		session.on('error', () => {});
		await event(stream, 'response');
		return session;
	}
	const socket = net.connect(new URL(own.relay).port, '127.0.0.1');
	socket.on('error', () => {});
	socket.write(`GET ${path} HTTP/1.1\r\nHost: relay\r\n\r\n`);
	await event(socket, 'readable');
	return socket;
}

for (const store of ['file', 'memory']) {
	const size = 8 * MEBIBYTE;
	const path = `/relay/T1/web/bytes/${size}`;
	const withOwn = async (settings, fn) => {
		const own = await Server.start({
			relay: {
				listen: [{ address: '127.0.0.1:0', http2: true }], ...(store === 'memory' && { bodies: 'memory' }), ...settings,
			},
		});
		let theirs;
		try {
			theirs = await Connector.start(own, { tenant: 'T1', secret: await own.addTenant('T1'), targets: { web: target.url } });
			await fn(own, (n) => until(async () => await own.metric('posthouse_relay_body_bytes') === n, `${n} bytes count`));
		} finally {
			await theirs?.close();
			await own.close();
		}
	};

	check(`${store}: a stored answer counts until it is taken`, () => withOwn({ bodies_bytes_max: 2 * size }, async (own, counted) => {
		for (const version of [1, 2]) {
			const readers = [await slowReader(own, version, path), await slowReader(own, version, path)];
			await counted(2 * size);
			assert.equal((await request(own.relay, path)).status, 502, 'there is no room for a third');
			readers[0].destroy();
			await counted(size);
			readers[1].destroy();
			await counted(0);
			assert.equal((await request(own.relay, path)).body.length, size);
			await counted(0);
		}
	}));

	check(`${store}: who takes too little of a stored answer is cut off`, () => withOwn({ endpoint_timeout: '4s', answer_rate_min: '1GiB' }, async (own, counted) => {
		for (const version of [1, 2]) {
			const reader = await slowReader(own, version, path);
			await counted(size);
			await counted(0);
			reader.destroy();
		}
	}));
}
