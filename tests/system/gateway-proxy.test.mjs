/* What passes between a client and a service: headers, failures, streams of every kind; acceptance checks 25 to 28. */
import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { after, before } from 'node:test';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import WebSocket from 'ws';
import { check, Mailbox, SANITIZED, deferred, event, standstill, until, within } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { CLOSED_PORT } from './lib/ports.mjs';
import { execute } from './lib/process.mjs';
import { RawConnection } from './lib/raw.mjs';
import { values } from './lib/target.mjs';

const MIB = 1 << 20;
/* TLS without a certificate: the gateway makes one of its own. */
const LISTEN = [
	{ address: '127.0.0.1:0', http2: true },
	{ address: '127.0.0.1:0', http2: true, tls: {} },
];

let gw;
let trusting;
let echo;

before(async () => {
	gw = await Gateway.start({ gateway: { listen: LISTEN } });
	trusting = await Gateway.start({
		gateway: { trusted_ips: '127.0.0.1', real_ip_header: 'X-Forwarded-For', real_ip_recursive: true },
	});
	echo = await Echo.start();
	for (const g of [gw, trusting]) {
		await g.route({ name: 'echo', url: echo.url }, { name: 'echo', paths: ['/echo'] });
	}
});

after(async () => {
	await echo?.close();
	await trusting?.close();
	await gw?.close();
});

/* ---- 26: headers ---- */

const FORWARDED = {
	'X-Forwarded-For': '203.0.113.7, 127.0.0.1', 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'api.test',
	'X-Forwarded-Port': '8443', 'X-Forwarded-Path': '/told', 'X-Forwarded-Prefix': '/prefix', 'X-Real-IP': '203.0.113.9',
	Via: '1.0 front',
};

/* What one hop through the gateway tells a service and a client of each other; { h, raw, reply } of it. */
function assertHop({ json, headers }, { client = '1.1', port = new URL(gw.proxy).port } = {}) {
	const h = json.headers;
	assert.match(h['x-kong-request-id'], /^[0-9a-f]{32}$/);
	assert.equal(headers['x-kong-request-id'], h['x-kong-request-id'], 'one id in both directions');
	assert.equal(h['x-forwarded-port'], port);
	assert.equal(h.via.split(', ').at(-1), `${client} kong/3.10.0`);
	assert.equal(headers.via, '1.1 kong/3.10.0', 'the service answered in HTTP/1.1');
	assert.match(headers['x-kong-upstream-latency'], /^\d+$/);
	assert.match(headers['x-kong-proxy-latency'], /^\d+$/);
	assert.equal(headers['x-kong-response-latency'], undefined, 'of answers of the gateway itself');
	for (const name of ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port', 'x-forwarded-path', 'x-real-ip',
		'x-kong-request-id', 'host', 'via']) {
		assert.equal(values(json.raw, name).length, 1, name);
	}
	return h;
}

check('check 26: a client that says nothing of itself', async () => {
	const h = assertHop(await gw.get('/echo/a%20b?q=1', { Host: 'api.test:81' }));
	assert.equal(h['x-forwarded-for'], '127.0.0.1');
	assert.equal(h['x-real-ip'], '127.0.0.1');
	assert.equal(h['x-forwarded-proto'], 'http');
	assert.equal(h['x-forwarded-host'], 'api.test');
	assert.equal(h['x-forwarded-path'], '/echo/a%20b');
	assert.equal(h['x-forwarded-prefix'], '/echo');
	assert.equal(h.via, '1.1 kong/3.10.0');
	assert.equal(h.host, `127.0.0.1:${echo.port}`);
});

check('check 26: an untrusted peer is not believed', async () => {
	const reply = await gw.get('/echo/a%20b?q=1', { ...FORWARDED, 'X-Kong-Request-Id': 'f'.repeat(32) });
	const h = assertHop(reply);

	assert.equal(h['x-forwarded-for'], '203.0.113.7, 127.0.0.1, 127.0.0.1', 'what came is kept, the peer comes behind it');
	assert.equal(h['x-real-ip'], '127.0.0.1');
	assert.equal(h['x-forwarded-proto'], 'http');
	assert.equal(h['x-forwarded-host'], '127.0.0.1');
	assert.equal(h['x-forwarded-path'], '/echo/a%20b');
	assert.equal(h['x-forwarded-prefix'], '/echo');
	assert.equal(h.via, '1.0 front, 1.1 kong/3.10.0');
	assert.equal(h.host, `127.0.0.1:${echo.port}`);
	assert.notEqual(h['x-kong-request-id'], 'f'.repeat(32));
});

check('check 26: nor over HTTP/2 and TLS', async () => {
	const session = http2.connect(gw.proxies[1], { rejectUnauthorized: false });
	try {
		const stream = session.request({ ':path': '/echo/x', ...FORWARDED }).setEncoding('utf8');
		const head = once(stream, 'response');
		let text = '';
		stream.on('data', (data) => {
			text += data;
		});
		await event(stream, 'end', 'the answer over HTTP/2');
		const { port } = new URL(gw.proxies[1]);
		const h = assertHop({ json: JSON.parse(text), headers: (await head)[0] }, { client: '2', port });
		assert.equal(h['x-forwarded-for'], '203.0.113.7, 127.0.0.1, 127.0.0.1');
		assert.equal(h['x-real-ip'], '127.0.0.1');
		assert.equal(h['x-forwarded-proto'], 'https');
		assert.equal(h['x-forwarded-host'], '127.0.0.1');
		assert.equal(h['x-forwarded-path'], '/echo/x');
		assert.equal(h['x-forwarded-prefix'], '/echo');
		assert.equal(h.via, '1.0 front, 2 kong/3.10.0');
	} finally {
		session.destroy();
	}
});

check('HTTP/2: what differs from answer to answer stays out of the table of fields, nothing else', async () => {
	const session = http2.connect(gw.proxies[1], { rejectUnauthorized: false });
	try {
		for (let i = 0; i < 5; i++) {
			const stream = session.request({ ':path': '/echo/x' }).resume();
			const [head] = await once(stream, 'response');
			await event(stream, 'end', 'the answer');
			/* "Never indexed" is the only word that nghttp2 has for it. */
			const never = head[http2.sensitiveHeaders];
			assert.equal(never.includes('x-kong-request-id'), i > 1, `answer ${i}: ${never}`);
			assert.ok(!never.includes('content-type') && !never.includes('via'), `answer ${i}: ${never}`);
		}
	} finally {
		session.destroy();
	}
});

check('check 26: a trusted peer is', async () => {
	const h = assertHop(await trusting.get('/echo/x', FORWARDED), { port: '8443' });

	assert.equal(h['x-forwarded-for'], '203.0.113.7, 127.0.0.1, 127.0.0.1');
	assert.equal(h['x-real-ip'], '203.0.113.7', 'the last that is not trusted');
	assert.equal(h['x-forwarded-proto'], 'https');
	assert.equal(h['x-forwarded-host'], 'api.test');
	assert.equal(h['x-forwarded-path'], '/told');
	assert.equal(h['x-forwarded-prefix'], '/prefix');
	assert.equal(h.via, '1.0 front, 1.1 kong/3.10.0');

	/* What it does not say is as of any other peer. */
	const own = assertHop(await trusting.get('/echo/x', { Host: 'own.test' }), { port: new URL(trusting.proxy).port });
	assert.equal(own['x-forwarded-for'], '127.0.0.1');
	assert.equal(own['x-real-ip'], '127.0.0.1');
	assert.equal(own['x-forwarded-proto'], 'http');
	assert.equal(own['x-forwarded-host'], 'own.test');
	assert.equal(own['x-forwarded-path'], '/echo/x');
	assert.equal(own['x-forwarded-prefix'], '/echo');
});

check('check 26: which header names the client, and how far back', async () => {
	const g = await Gateway.start({ gateway: { trusted_ips: '127.0.0.1' } });
	const client = async () => assertHop(await g.get('/echo/x', FORWARDED), { port: '8443' })['x-real-ip'];
	try {
		await g.route({ url: echo.url }, { paths: ['/echo'] });
		assert.equal(await client(), '203.0.113.9', 'X-Real-IP, by default');
		await g.restart({ gateway: { real_ip_header: 'X-Forwarded-For' } });
		assert.equal(await client(), '127.0.0.1', 'the last one, where it is not recursive');
		await g.restart({ gateway: { trusted_ips: '192.0.2.0/24' } });
		const h = assertHop(await g.get('/echo/x', FORWARDED), { port: new URL(g.proxy).port });
		assert.equal(h['x-real-ip'], '127.0.0.1');
		assert.equal(h['x-forwarded-host'], '127.0.0.1', 'trust is in a network, not in all');
	} finally {
		await g.close();
	}
});

check('check 26: what Connection lists and what is of one hop goes no further', async () => {
	const { json } = await gw.get('/echo/', {
		Connection: 'keep-alive, X-Secret, x-other , upgrade', 'X-Secret': '1', 'X-OTHER': '2', 'Keep-Alive': 'timeout=5', Proxy: 'http://evil',
		TE: 'trailers, deflate', 'Proxy-Connection': 'keep-alive', Upgrade: 'h2c', 'X-Kept': '1',
	});

	assert.equal(json.headers['x-kept'], '1');
	for (const name of ['x-secret', 'x-other', 'keep-alive', 'proxy', 'proxy-connection', 'upgrade']) {
		assert.deepEqual(values(json.raw, name), [], name);
	}
	assert.deepEqual(values(json.raw, 'te'), ['trailers']);
	assert.doesNotMatch(json.headers.connection ?? '', /close|secret|other|upgrade/i);
});

check('check 26: the answer loses what its service lists in Connection, and what the gateway says itself', async () => {
	const head = {
		Connection: 'X-Hop, x-other', 'X-Hop': '1', 'X-OTHER': '2', 'Keep-Alive': 'timeout=3', 'X-Kept': '1', Server: 'hop', Via: '1.1 back',
		'X-Kong-Request-Id': 'other', 'X-Kong-Upstream-Latency': 'other', 'X-Kong-Proxy-Latency': 'other',
	};
	const hop = await Echo.start({
		answer: (req, res, seen) => {
			res.writeHead(200, head);
			res.end(seen.headers['x-kong-request-id']);
		},
	});
	try {
		await gw.route({ name: 'hop', url: hop.url }, { paths: ['/hop'] });
		const { headers, raw, text } = await gw.get('/hop');
		assert.equal(headers['x-kept'], '1');
		assert.equal(headers.server, 'hop');
		assert.equal(headers['x-hop'], undefined);
		assert.equal(headers['x-other'], undefined);
		assert.notEqual(headers['keep-alive'], 'timeout=3');
		assert.equal(headers.via, '1.1 back, 1.1 kong/3.10.0');
		assert.deepEqual(values(raw, 'x-kong-request-id'), [text]);
		for (const name of ['x-kong-upstream-latency', 'x-kong-proxy-latency']) {
			assert.equal(values(raw, name).length, 1, name);
			assert.match(headers[name], /^\d+$/);
		}
	} finally {
		await hop.close();
	}
});

check('check 26: preserve_host sends the client\'s Host', async () => {
	await gw.route({ name: 'kept', url: echo.url }, { paths: ['/kept'], preserve_host: true, strip_path: false });
	const { json } = await gw.get('/kept/x', { Host: 'client.test:81' });
	assert.equal(json.headers.host, 'client.test:81');
	assert.equal(json.headers['x-forwarded-host'], 'client.test');
	assert.equal(json.headers['x-forwarded-port'], new URL(gw.proxy).port, 'that of the listener, whatever a client writes');
	assert.equal(json.headers['x-forwarded-prefix'], undefined);
	assert.equal(json.url, '/kept/x');
	const old = await RawConnection.open(gw.proxy);
	old.send('GET /kept/x HTTP/1.0\r\n\r\n');
	const { headers } = JSON.parse(String((await old.response()).body));
	assert.equal(headers.host, `127.0.0.1:${echo.port}`, 'of a client that says none');
	assert.equal(headers['x-forwarded-host'], undefined);
});

/* ---- 27: failures ---- */

/* Takes connections, reads a request and closes: what comes back is an error, and `tries` counts. */
async function closing() {
	const server = net.createServer((socket) => {
		server.tries += 1;
		socket.on('error', () => {});
		socket.once('data', () => socket.destroy());
	});
	server.tries = 0;
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	server.url = `http://127.0.0.1:${server.address().port}`;
	return server;
}

check('a dead service is 502', async () => {
	await gw.route({ name: 'dead', url: `http://127.0.0.1:${CLOSED_PORT}`, retries: 2 }, { paths: ['/dead'] });
	const reply = await gw.get('/dead', { Accept: 'application/json' });
	assert.equal(reply.status, 502);
	assert.equal(reply.json.message, 'An invalid response was received from the upstream server');
	assert.equal(reply.headers.server, 'kong/3.10.0');
	assert.match(reply.headers['x-kong-response-latency'], /^\d+$/);
	assert.match((await gw.get('/dead')).headers['content-type'], /^application\/json|^text\/plain/);
});

check('a service that closes is tried retries + 1 times, a POST once', async () => {
	const service = await closing();
	try {
		await gw.route({ name: 'closing', url: service.url, retries: 3 }, { paths: ['/closing'] });
		assert.equal((await gw.get('/closing')).status, 502);
		assert.equal(service.tries, 4);
		service.tries = 0;
		assert.equal((await gw.post('/closing', 'once')).status, 502);
		assert.equal(service.tries, 1);
	} finally {
		service.close();
	}
});

/*
 * Closes a connection once `tell(text)` of what came on it, as often as `cuts` says, with what each of them got
 * in `seen`; behind these is an echo, which keeps no connection.
 */
async function cutting(tell, cuts) {
	const service = { cuts, seen: new Mailbox('a connection is cut') };
	const behind = await Echo.start({ answer: (_, res, seen) => {
		res.setHeader('Connection', 'close');
		res.end(JSON.stringify(seen));
	} });
	const server = net.createServer((socket) => {
		let text = '';
		socket.on('error', () => {});
		if (service.cuts === 0) {
			const to = net.connect(behind.port, '127.0.0.1').on('error', () => {});
			socket.pipe(to).pipe(socket);
			return;
		}
		service.cuts--;
		socket.on('data', (data) => {
			text += data.toString('latin1');
			if (tell(text)) {
				socket.destroy();
				service.seen.put(text);
				text = '';
			}
		});
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	service.url = `http://127.0.0.1:${server.address().port}`;
	service.close = async () => {
		server.close();
		await behind.close();
	};
	return service;
}

const hasHead = (text) => text.includes('\r\n\r\n');
const hasAll = (text) => text.endsWith('0\r\n\r\n');
const CHUNKED = { 'Transfer-Encoding': 'chunked', Connection: 'close' };

check('a small body of unknown length is sent again with another try', async () => {
	for (const tell of [hasHead, hasAll]) {
		const service = await cutting(tell, 3);
		const { service: { id }, route } = await gw.route({ url: service.url, retries: 3 }, { paths: ['/unknown'] });
		const put = (body, method = 'PUT') => gw.send(method, '/unknown', { body, headers: CHUNKED });
		try {
			const { status, json } = await put('small');
			assert.equal(status, 200);
			assert.equal(json.body, 'small');
			assert.equal(json.headers['transfer-encoding'], 'chunked', 'it was streamed');
			assert.equal(service.cuts, 0);
			service.cuts = 4;
			assert.equal((await put('small')).status, 502, 'only retries + 1 times');
			service.cuts = 1;
			assert.equal((await put('small', 'POST')).status, 502, 'it may have been acted on');
			if (tell === hasAll) {
				service.cuts = 1;
				assert.equal((await put('x'.repeat(65537))).status, 502, 'more than body_replay_max');
				service.cuts = 1;
				assert.equal((await put('x'.repeat(65536))).status, 200);
				await gw.make(`/routes/${route.id}`, { request_buffering: false }, 'PATCH');
				service.cuts = 1;
				assert.equal((await put('small')).status, 502, 'nothing is kept');
			}
		} finally {
			await service.close();
			await gw.make(`/routes/${route.id}`, undefined, 'DELETE');
			await gw.make(`/services/${id}`, undefined, 'DELETE');
		}
	}
});

check('a body that goes on while its service is tried again', async () => {
	const service = await cutting((text) => text.includes('first'), 2);
	const { route } = await gw.route({ name: 'goes-on', url: service.url }, { paths: ['/goes-on'] });
	const session = http2.connect(gw.proxy);
	try {
		const raw = await RawConnection.open(gw.proxy);
		raw.send('PUT /goes-on HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n');
		for (let i = 0; i < 2; i++) {
			assert.match(await service.seen.take(), /first/, 'it does not wait for the rest');
		}
		raw.send('6\r\nsecond\r\n0\r\n\r\n');
		const reply = await raw.response();
		assert.equal(reply.status, 200);
		assert.equal(JSON.parse(reply.body).body, 'firstsecond');
		raw.close();

		service.cuts = 2;
		const stream = session.request({ ':method': 'PUT', ':path': '/goes-on' }).setEncoding('utf8');
		const answered = once(stream, 'response');
		let text = '';
		stream.on('data', (data) => {
			text += data;
		});
		stream.write('first');
		for (let i = 0; i < 2; i++) {
			await service.seen.take();
		}
		stream.end('second');
		await event(stream, 'end', 'the answer over HTTP/2');
		assert.equal((await answered)[0][':status'], 200);
		assert.equal(JSON.parse(text).body, 'firstsecond');
	} finally {
		session.destroy();
		await service.close();
		await gw.make(`/routes/${route.id}`, undefined, 'DELETE');
	}
});

check('a slow service is 504, a name that does not resolve 503', async () => {
	const slow = await Echo.start({ answer: () => {} });
	try {
		await gw.route({ name: 'slow', url: slow.url, read_timeout: 200, retries: 0 }, { paths: ['/slow'] });
		const late = await gw.get('/slow', { Accept: 'application/json' });
		assert.equal(late.status, 504);
		assert.equal(late.json.message, 'The upstream server is timing out');

		await gw.route({ name: 'noname', url: 'http://no-such-host.invalid', retries: 0 }, { paths: ['/noname'] });
		const nobody = await gw.get('/noname', { Accept: 'application/json' });
		assert.equal(nobody.status, 503);
		assert.equal(nobody.json.message, 'name resolution failed');
	} finally {
		await slow.close();
	}
});

/* ---- 28: streams ---- */

check('check 28: a WebSocket passes both ways, with and without TLS', async (t) => {
	const server = new WebSocket.Server({ port: 0, host: '127.0.0.1' });
	await once(server, 'listening');
	server.on('connection', (socket, req) => {
		socket.send(JSON.stringify({ url: req.url, headers: req.headers }));
		socket.on('message', (data) => (data === 'close' ? socket.close(4002, 'as asked') : socket.send(data)));
	});
	try {
		await gw.route({ name: 'ws', url: `http://127.0.0.1:${server.address().port}` }, { paths: ['/ws'] });
		for (const [url, proto] of [[gw.proxies[0], 'http'], [gw.proxies[1], 'https']]) {
			for (const compress of [false, true]) {
				await t.test(`${proto}${compress ? ', compressed' : ''}`, async () => {
					const client = new WebSocket(`${url.replace('http', 'ws')}/ws/room?x=1`, ['chat'],
						{ perMessageDeflate: compress, rejectUnauthorized: false });
					const messages = new Mailbox('a message');
					client.on('message', (data) => messages.put(data));
					await event(client, 'open', 'the WebSocket opens');
					assert.equal(client.protocol, 'chat');
					const { url: asked, headers } = JSON.parse(await messages.take());
					assert.equal(asked, '/room?x=1');
					assert.equal(headers.upgrade, 'websocket');
					assert.match(headers.connection, /upgrade/i);
					assert.equal(headers['x-forwarded-prefix'], '/ws');
					assert.equal(headers['x-forwarded-proto'], proto);
					const big = Buffer.alloc(3 * MIB, 'x');
					client.send(big);
					client.send('text: ü');
					assert.ok(big.equals(await messages.take()), 'a frame of bytes');
					assert.equal(await messages.take(), 'text: ü', 'a frame of text');
					const pong = event(client, 'pong', 'an answer to a ping');
					client.ping('are you there?');
					assert.equal(String((await pong)[0]), 'are you there?');
					const closed = event(client, 'close', 'the WebSocket closes');
					/* From either side. */
					compress ? client.send('close') : client.close(4001, 'enough');
					assert.equal((await closed)[0], compress ? 4002 : 4001);
				});
			}
		}
	} finally {
		server.close();
	}
});

check('check 28: a WebSocket ends when neither side has sent anything for read_timeout', async (t) => {
	const TIMES = 8;
	const EVERY_MS = 250;
	const SILENCE_MS = 1500;
	const server = new WebSocket.Server({ port: 0, host: '127.0.0.1' });
	await once(server, 'listening');
	/* Says TIMES things, longer than the silence all in all, and when the last one was said. */
	const talk = async (socket) => {
		let last;
		for (let i = 0; i < TIMES; i++) {
			last = performance.now();
			socket.send(`${i}`);
			await pause(EVERY_MS);
		}
		return last;
	};
	try {
		await gw.route({ name: 'quiet', url: `http://127.0.0.1:${server.address().port}`, read_timeout: SILENCE_MS }, { paths: ['/quiet'] });
		for (const talks of ['the service', 'the client', 'nobody']) {
			await t.test(`${talks} talks`, async () => {
				const accepted = once(server, 'connection');
				const begun = performance.now();
				const client = new WebSocket(`${gw.proxies[0].replace('http', 'ws')}/quiet`);
				const opened = event(client, 'open', 'the WebSocket opens');
				const [service] = await within(accepted, 'the service sees it');
				const ends = [client, service].map((side) => event(side, 'close', 'an end'));
				await opened;
				/* In order, not by a reset. */
				ends.push(event(client._socket, 'end', 'the client is told'), event(service._socket, 'end', 'the service is told'));
				const heard = [];
				client.on('message', (data) => heard.push(data));
				service.on('message', (data) => heard.push(data));
				const speaker = { 'the service': service, 'the client': client }[talks];
				const last = speaker ? await talk(speaker) : begun;
				await until(() => heard.length === (speaker ? TIMES : 0), 'all of it has come');
				await Promise.all(ends);
				const silence = performance.now() - last;
				assert.ok(silence > SILENCE_MS - 100, `open until ${silence} ms after the last word`);
			});
		}
		await t.test('the client reads late', async () => {
			const accepted = once(server, 'connection');
			const client = new WebSocket(`${gw.proxies[0].replace('http', 'ws')}/quiet`, { perMessageDeflate: false });
			const opened = event(client, 'open', 'the WebSocket opens');
			const [service] = await within(accepted, 'the service sees it');
			await opened;
			const message = event(client, 'message', 'all of it comes');
			client._socket.pause();
			service.send(Buffer.alloc(32 * MIB, 'x')); /* more than buffers on the way take */
			await pause(2 * SILENCE_MS);
			client._socket.resume();
			assert.equal((await message)[0].length, 32 * MIB);
			client.close();
		});
	} finally {
		for (const socket of server.clients) {
			socket.terminate();
		}
		server.close();
	}
});

check('check 28: a 101 that is no WebSocket is 502', async () => {
	const heads = ['', 'Upgrade: h2c\r\nConnection: Upgrade\r\n', 'Upgrade: h2c, websocket\r\nConnection: Upgrade\r\n'];
	let head;
	const ended = new Mailbox('the connection of the service ends');
	const server = net.createServer((socket) => {
		socket.on('error', () => {});
		socket.on('close', () => ended.put(true));
		socket.once('data', () => socket.write(`HTTP/1.1 101 Switching Protocols\r\n${head}\r\n`));
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	try {
		await gw.route({ name: 'no-ws', url: `http://127.0.0.1:${server.address().port}`, retries: 0 }, { paths: ['/no-ws'] });
		for (head of heads) {
			const raw = await RawConnection.open(gw.proxy);
			raw.send('GET /no-ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
				'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAccept: application/json\r\n\r\n');
			const reply = await raw.response();
			assert.equal(reply.status, 502, head);
			assert.equal(JSON.parse(reply.body).message, 'An invalid response was received from the upstream server');
			await ended.take();
			/* The client's connection goes on. */
			raw.send('GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n');
			assert.equal((await raw.response()).status, 404);
			raw.close();
		}
	} finally {
		server.close();
	}
});

check('check 28: events are passed on as they come, over both versions', async () => {
	let events;
	const service = await Echo.start({
		answer: (req, res) => {
			res.writeHead(200, { 'Content-Type': 'text/event-stream' });
			events = res;
			res.write('data: 0\n\n');
		},
	});
	try {
		await gw.route({ name: 'sse', url: service.url }, { paths: ['/sse'] });
		for (const send of [h1Events, h2Events]) {
			let text = '';
			const close = await send((data) => {
				text += data;
			});
			for (let i = 0; i < 5; i++) {
				await until(() => text.endsWith(`data: ${i}\n\n`), `event ${i}`);
				events.write(`data: ${i + 1}\n\n`);
			}
			const gone = once(events, 'close');
			close();
			await within(gone, 'the service sees that the client has gone');
		}
	} finally {
		await service.close();
	}
});

async function h1Events(take) {
	const req = http.get(`${gw.proxy}/sse`);
	req.on('error', () => {});
	const [res] = await event(req, 'response');
	res.on('error', () => {});
	res.on('data', take);
	return () => req.destroy();
}

async function h2Events(take) {
	const session = http2.connect(gw.proxies[1], { rejectUnauthorized: false });
	const stream = session.request({ ':path': '/sse' });
	stream.on('error', () => {});
	stream.on('data', take);
	await event(stream, 'response');
	return () => session.destroy();
}

/* Counts what it gets, and sends as much as the path asks for. */
async function bulk() {
	const server = http.createServer((req, res) => {
		let n = 0;
		req.on('data', (data) => {
			n += data.length;
		});
		req.on('end', () => {
			if (req.method === 'POST') {
				res.end(String(n));
			} else {
				res.writeHead(200, { 'Content-Length': req.url.slice(1) });
				Readable.from(zeros(Number(req.url.slice(1)))).pipe(res);
			}
		});
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	return server;
}

function* zeros(size) {
	const chunk = Buffer.alloc(MIB);
	for (let sent = 0; sent < size; sent += MIB) {
		yield chunk;
	}
}

const UPLOAD = ['-X', 'POST', '-T', '-', '-H', 'Expect:'];

const GIB = 1024 * MIB;

/* [name, size, listener, route, what curl is told, whether the upload has its length] */
const BULKS = [
	['HTTP/1 with its length', GIB, 0, '/buffers', [], true],
	['HTTP/1 in chunks, without buffering', GIB, 0, '/streams', [], false],
	['HTTP/2', GIB / 4, 1, '/buffers', ['--http2'], false],
];

/* A sanitizer is some times slower: there it is a quarter. What was freed is kept, so that memory tells nothing. */
const BULK_SHARE = SANITIZED ? 4 : 1;
const BULK_MEMORY = 8 * MIB;

async function inConstantMemory(pass) {
	const before = await gw.rss();
	await gw.forgetPeak();
	await pass();
	const grown = await gw.peakRss() - before;
	assert.ok(SANITIZED || grown < BULK_MEMORY, `memory grew by ${grown / MIB} MiB`);
}

check('check 28: uploads and downloads of 1 GiB pass in constant memory', { timeout: 120_000 }, async (t) => {
	const server = await bulk();
	const { service } = await gw.route({ name: 'bulk', url: `http://127.0.0.1:${server.address().port}` }, { paths: ['/buffers'] });
	await gw.make(`/services/${service.id}/routes`, { paths: ['/streams'], request_buffering: false, response_buffering: false });
	try {
		for (const [name, bytes, listener, path, args, isLong] of BULKS) {
			const url = gw.proxies[listener] + path;
			const size = bytes / BULK_SHARE;
			const length = isLong ? ['-H', `Content-Length: ${size}`, '-H', 'Transfer-Encoding:'] : [];
			await t.test(`up, ${name}`, () => inConstantMemory(async () => {
				const curl = execute('curl', ['-sSk', ...args, ...UPLOAD, ...length, url]);
				Readable.from(zeros(size)).pipe(curl.child.stdin);
				assert.equal((await curl).stdout, String(size));
			}));
			await t.test(`down, ${name}`, () => inConstantMemory(async () => {
				const { stdout } = await execute('curl', ['-sSk', ...args, '-o', '/dev/null', '-w', '%{http_code} %{size_download}', `${url}/${size}`]);
				assert.equal(stdout, `200 ${size}`);
			}));
		}
	} finally {
		server.close();
	}
});

check('check 28: what is not taken waits at its sender, in both directions', async () => {
	const size = 64 * MIB;
	const [taken, sender] = [deferred(), deferred()];
	const service = http.createServer((req, res) => {
		if (req.method === 'POST') {
			taken.promise.then(() => req.resume().on('end', () => res.end('taken')));
		} else {
			sender.resolve(req.socket);
			res.writeHead(200, { 'Content-Length': size });
			Readable.from(zeros(size)).pipe(res);
		}
	}).listen(0, '127.0.0.1');
	await once(service, 'listening');
	await gw.route({ name: 'held', url: `http://127.0.0.1:${service.address().port}` }, { paths: ['/held'] });
	try {
		await inConstantMemory(async () => {
			const [res] = await event(http.get(`${gw.proxy}/held`), 'response');
			const up = http.request(`${gw.proxy}/held`, { method: 'POST', headers: { 'Content-Length': size } });
			const answered = event(up, 'response', 'the upload is answered');
			Readable.from(zeros(size)).pipe(up);
			const socket = await sender.promise;
			assert.ok(await standstill(() => socket.bytesWritten) < size, 'the service was made to wait');
			assert.ok(await standstill(() => up.socket.bytesWritten) < size, 'the client was made to wait');
			taken.resolve();
			let n = 0;
			for await (const data of res) {
				n += data.length;
			}
			assert.equal(n, size);
			assert.equal((await answered)[0].statusCode, 200);
		});
	} finally {
		service.closeAllConnections();
		service.close();
	}
});

/* ---- 28: HTTP/2 and gRPC ---- */

check('check 28: curl speaks HTTP/2, with and without TLS', async () => {
	const ask = async (url, ...args) => JSON.parse((await execute('curl', [
		'-sSk', ...args, '-w', '\n{"version":"%{http_version}"}', `${url}/echo/x`])).stdout.split('\n')[0]);

	for (const [url, flag] of [[gw.proxies[0], '--http2-prior-knowledge'], [gw.proxies[1], '--http2']]) {
		const { stdout } = await execute('curl', ['-sSk', flag, '-d', 'body', '-w', '\n%{http_version}', `${url}/echo/x`]);
		const [text, version] = stdout.split('\n');
		const seen = JSON.parse(text);
		assert.equal(version, '2');
		assert.equal(seen.body, 'body');
		assert.equal(seen.headers.via, '2 kong/3.10.0');
		assert.equal(seen.headers['x-forwarded-proto'], url.split(':')[0]);
	}
	assert.equal((await ask(gw.proxies[1], '--http1.1')).headers.via, '1.1 kong/3.10.0');
});

check('check 28: h2load and many streams of one connection, over HTTP/2', async () => {
	for (const url of gw.proxies) {
		const { stdout } = await execute('h2load', ['-n', '2000', '-c', '4', '-m', '32', `${url}/echo/x`]);
		assert.match(stdout, /2000 succeeded, 0 failed, 0 errored/, stdout);
		assert.match(stdout, /status codes: 2000 2xx/, stdout);
		const session = http2.connect(url, { rejectUnauthorized: false });
		try {
			const replies = await Promise.all(Array.from({ length: 100 }, async (_, i) => {
				const stream = session.request({ ':method': 'POST', ':path': `/echo/${i}` }).setEncoding('utf8');
				const head = event(stream, 'response', `answer ${i}`);
				stream.end(`body ${i}`);
				let text = '';
				for await (const data of stream) {
					text += data;
				}
				return { status: (await head)[0][':status'], ...JSON.parse(text) };
			}));
			replies.forEach((reply, i) => assert.deepEqual([reply.status, reply.url, reply.body], [200, `/${i}`, `body ${i}`]));
		} finally {
			session.destroy();
		}
	}
});

check('a reload leaves TLS of the gateway as it is', async () => {
	process.kill(gw.child.pid, 'SIGHUP');
	await gw.child.line(/reload/i);
	assert.ok(!gw.child.lines.some((l) => /cert and key are required|not reloaded|cannot reload/i.test(l)), gw.child.story());
	const { stdout } = await execute('curl', ['-sSk', '--http2', '-o', '/dev/null', '-w', '%{http_code}', `${gw.proxies[1]}/echo/x`]);
	assert.equal(stdout, '200');
});

check('check 25: HTTPS that a trusted peer took is HTTPS', async () => {
	for (const g of [gw, trusting]) {
		await g.route({ name: 'tls-only', url: echo.url }, { name: 'tls-only', paths: ['/tls-only'], protocols: ['https'],
			https_redirect_status_code: 302 });
	}
	const told = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'api.test' };
	assert.equal((await trusting.get('/tls-only', told)).status, 200);
	const plain = await trusting.get('/tls-only', { ...told, 'X-Forwarded-Proto': 'http' });
	assert.equal(plain.status, 302);
	assert.equal(plain.headers.location, 'https://api.test/tls-only');
	const old = await RawConnection.open(gw.proxy);
	old.send('GET /tls-only HTTP/1.0\r\n\r\n');
	assert.equal((await old.response()).status, 426, 'of whom nobody knows where to');
	const untrusted = await gw.get('/tls-only', told);
	assert.equal(untrusted.status, 302);
	assert.notEqual(new URL(untrusted.headers.location).hostname, 'api.test');
});

check('bytes of a service that is no HTTP are 502', async () => {
	const server = net.createServer((socket) => {
		socket.on('error', () => {});
		socket.once('data', () => socket.end('SSH-2.0-OpenSSH\r\n'));
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	try {
		await gw.route({ name: 'ssh', url: `http://127.0.0.1:${server.address().port}`, retries: 0 }, { paths: ['/ssh'] });
		const raw = await RawConnection.open(gw.proxy);
		raw.send('GET /ssh HTTP/1.1\r\nHost: x\r\n\r\n');
		assert.equal((await raw.response()).status, 502);
		raw.close();
	} finally {
		server.close();
	}
});

check('a body over the limit is 413 in the form that the client reads, over both versions', async () => {
	const small = await Gateway.start({ gateway: { listen: [LISTEN[0]], body_memory_max: '1KiB' } });
	const session = http2.connect(small.proxy);
	try {
		const { route } = await small.route({ url: echo.url }, { paths: ['/b'] });
		await small.make(`/routes/${route.id}/plugins`, { name: 'request-transformer', config: { add: { body: ['a:1'] } } });
		const big = 'x'.repeat(5000);
		const chunks = `1388\r\n${big}\r\n0\r\n\r\n`;
		const type = 'Content-Type: application/json\r\nAccept: application/json';
		for (const framing of [`Content-Length: 5000\r\n\r\n${big}`, `Transfer-Encoding: chunked\r\n\r\n${chunks}`]) {
			const raw = await RawConnection.open(small.proxy);
			raw.send(`POST /b HTTP/1.1\r\nHost: x\r\n${type}\r\n${framing}`);
			const reply = await raw.response({ method: 'POST' });
			assert.equal(reply.status, 413);
			assert.equal(JSON.parse(reply.body).message, 'Payload too large');
			/* The connection goes on behind the body. */
			raw.send('GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n');
			assert.equal((await raw.response()).status, 404);
			raw.close();
		}
		const stream = session.request({ ':method': 'POST', ':path': '/b', 'content-type': 'application/json', accept: 'text/plain' });
		stream.setEncoding('utf8').on('error', () => {}).end(big);
		let text = '';
		stream.on('data', (d) => {
			text += d;
		});
		const [head] = await within(once(stream, 'response'), 'an answer');
		await within(once(stream, 'end'), 'its end');
		assert.equal(head[':status'], 413);
		assert.match(text, /^Payload too large\nrequest_id: [0-9a-f]{32}\n$/);
	} finally {
		session.close();
		await small.close();
	}
});
