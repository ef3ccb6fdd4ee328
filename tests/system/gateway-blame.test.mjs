/*
 * What counts against a target of an upstream, and what is asked for again: a target is blamed for what it did, and
 * not for what a client or the gateway did.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import http2 from 'node:http2';
import https from 'node:https';
import net from 'node:net';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { after, afterEach, before } from 'node:test';
import { promisify } from 'node:util';
import { selfSigned } from './lib/certificate.mjs';
import { check, within } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { RawConnection } from './lib/raw.mjs';

const run = promisify(execFile);

let gw;
const services = [];

before(async () => {
	gw = await Gateway.start({ loops: 1 });
});

after(() => gw?.close());

afterEach(async () => {
	while (services.length > 0) {
		await services.pop().close();
	}
	await gw.clear();
});

/* HTTP by hand: `answer(socket, text)` for each piece that comes; `hits` counts connections that said something. */
async function service(answer) {
	const sockets = new Set();
	const server = net.createServer((socket) => {
		let isNew = true;
		sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)));
		socket.setEncoding('latin1').on('data', (text) => {
			made.hits += isNew ? 1 : 0;
			isNew = false;
			answer(socket, text);
		});
	}).listen(0, '127.0.0.1');
	const made = {
		hits: 0,
		async close() {
			sockets.forEach((socket) => socket.destroy());
			await new Promise((done) => server.close(done));
		},
	};
	await once(server, 'listening');
	made.port = server.address().port;
	services.push(made);
	return made;
}

async function serviceH2(answer) {
	const sessions = new Set();
	const server = http2.createServer().listen(0, '127.0.0.1');
	server.on('session', (session) => sessions.add(session.on('error', () => {})));
	server.on('stream', answer);
	await once(server, 'listening');
	services.push({
		async close() {
			sessions.forEach((session) => session.destroy());
			await new Promise((done) => server.close(done));
		},
	});
	return server.address();
}

async function echo(answer) {
	const made = await Echo.start({ answer });
	services.push(made);
	return made;
}

/* One failure of a kind that is in `unhealthy` takes a target out for good. */
async function upstream(unhealthy, targets, more = {}) {
	await gw.make('/upstreams', { name: 'up', healthchecks: { passive: { unhealthy } } });
	for (const { port } of targets) {
		await gw.make('/upstreams/up/targets', { target: `127.0.0.1:${port}` });
	}
	return await gw.route({ host: 'up', ...more }, { paths: ['/r'], strip_path: false });
}

async function health() {
	return (await gw.make('/upstreams/up/health', undefined, 'GET')).data.map((t) => t.health);
}

const STRICT = { tcp_failures: 1, timeouts: 1 };
const HEALTHY = ['HEALTHY'];

check('an answer that repeats the longest request line comes back', async (t) => {
	const longest = `/r?${'x'.repeat(8192 - 'GET /r? HTTP/1.1'.length)}`;
	const there = (url) => ({ location: `http://a.name.of.some.length.example:8080${url}` });
	let asked = 0;
	const targets = {
		http: () => echo((req, res) => {
			asked++;
			res.writeHead(301, there(req.url)).end();
		}),
		grpc: () => serviceH2((stream, headers) => {
			asked++;
			stream.respond({ ':status': 301, ...there(headers[':path']) }, { endStream: true });
		}),
	};
	for (const [protocol, target] of Object.entries(targets)) {
		await t.test(protocol, async () => {
			asked = 0;
			await upstream(STRICT, [await target(), await target()], { protocol });
			const { status, headers } = await gw.get(longest);
			assert.equal(status, 301);
			assert.ok(headers.location.endsWith(longest));
			assert.equal(asked, 1);
			assert.deepEqual(await health(), ['HEALTHY', 'HEALTHY']);
			await gw.clear();
		});
	}
});

check('an answer that is refused is not asked for again, and counts as the status 502', async (t) => {
	const refused = {
		'two lengths': '200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx',
		'too long a head': `200 OK\r\nContent-Length: 1\r\nX-Long: ${'x'.repeat(70_000)}\r\n\r\nx`,
		'another protocol': '101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n',
	};
	for (const [what, answer] of Object.entries(refused)) {
		await t.test(what, async () => {
			const one = await service((socket) => socket.write(`HTTP/1.1 ${answer}`));
			await upstream({ ...STRICT, http_failures: 2, http_statuses: [502] }, [one]);
			assert.equal((await gw.get('/r')).status, 502);
			assert.equal(one.hits, 1);
			assert.deepEqual(await health(), HEALTHY);
			assert.equal((await gw.get('/r')).status, 502);
			assert.deepEqual(await health(), ['UNHEALTHY']);
			await gw.clear();
		});
	}
});

check('an answer that breaks off in its head is a failure of the connection, and asked for again', async () => {
	const cuts = await service((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Le'));
	await upstream({ tcp_failures: 2 }, [cuts], { retries: 1 });
	assert.equal((await gw.get('/r')).status, 502);
	assert.equal(cuts.hits, 2);
	assert.deepEqual(await health(), ['UNHEALTHY']);
});

check('a target is not blamed for a name that a client asks it for', async () => {
	const server = https.createServer({ ...await selfSigned(gw.dir, 'good.test'), SNICallback: (sni, done) => {
		done(sni === 'good.test' ? null : new Error('no such name'));
	} }, (req, res) => res.end()).listen(0, '127.0.0.1');
	await once(server, 'listening');
	services.push(server);
	const { route } = await upstream(STRICT, [server.address()], { protocol: 'https' });
	await gw.make(`/routes/${route.id}`, { preserve_host: true }, 'PATCH');
	const ask = async (host) => (await gw.get(`/r?host=${host}`, { Host: host })).status;
	assert.equal(await ask('bad.test'), 502);
	assert.deepEqual(await health(), HEALTHY);
	assert.equal(await ask('good.test'), 200);
	/* Nor when a plugin makes the name of what the client sends. */
	await gw.make(`/routes/${route.id}`, { preserve_host: false }, 'PATCH');
	await gw.make(`/routes/${route.id}/plugins`, { name: 'request-transformer', config: { replace: { headers: ['Host:$(query_params.host)'] } } });
	assert.equal(await ask('bad.test'), 502);
	assert.deepEqual(await health(), HEALTHY);
	assert.equal(await ask('good.test'), 200);
});

check('a target is not praised for an answer that is cut', async () => {
	const held = [];
	let isDead = false;
	const one = await service((socket) => {
		if (isDead) {
			socket.destroy();
			return;
		}
		held.push(socket);
		socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n');
	});
	await upstream(STRICT, [one], { retries: 0 });
	await gw.make('/upstreams/up', { healthchecks: { passive: { healthy: { successes: 1 } } } }, 'PATCH');
	const clients = [await RawConnection.open(gw.proxy), await RawConnection.open(gw.proxy)];
	for (const client of clients) {
		client.send('GET /r HTTP/1.1\r\nHost: a\r\n\r\n');
		await client.until(() => client.text.includes('hello'), 'the stream is open');
	}
	isDead = true;
	assert.equal((await gw.get('/r')).status, 502);
	assert.deepEqual(await health(), ['UNHEALTHY']);
	held[0].destroy();
	await clients[0].closed();
	assert.deepEqual(await health(), ['UNHEALTHY'], 'by the target');
	const left = within(once(held[1], 'close'), 'the target is left');
	clients[1].close();
	await left;
	assert.deepEqual(await health(), ['UNHEALTHY'], 'by its client');
});

check('a target that has sent a head is not blamed for the body', async (t) => {
	const bodies = {
		'cut in the middle': (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc'),
		'quiet for read_timeout': (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: hello\n\n'),
		'longer than it said': (socket) => socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc'),
	};
	for (const [what, answer] of Object.entries(bodies)) {
		await t.test(what, async () => {
			const one = await service(answer);
			await upstream({ ...STRICT, http_failures: 1 }, [one], { read_timeout: /quiet/.test(what) ? 1000 : 60_000 });
			const client = await RawConnection.open(gw.proxy);
			client.send('GET /r HTTP/1.1\r\nHost: a\r\n\r\n');
			assert.match(await client.rest(), /^HTTP\/1\.1 200 /);
			assert.deepEqual(await health(), HEALTHY);
			await gw.clear();
		});
	}
	await t.test('cut while a plugin collects it', async () => {
		const one = await service((socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"a"'));
		const { route } = await upstream(STRICT, [one]);
		await gw.make(`/routes/${route.id}/plugins`, { name: 'response-transformer', config: { add: { json: ['b:c'] } } });
		assert.equal((await gw.get('/r')).status, 502);
		assert.deepEqual(await health(), HEALTHY);
	});
	await t.test('but for its status', async () => {
		await gw.clear();
		const one = await service((socket) => socket.end('HTTP/1.1 500 Oops\r\nContent-Length: 10\r\n\r\nabc'));
		await upstream({ http_failures: 1 }, [one]);
		const client = await RawConnection.open(gw.proxy);
		client.send('GET /r HTTP/1.1\r\nHost: a\r\n\r\n');
		assert.match(await client.rest(), /^HTTP\/1\.1 500 /);
		assert.deepEqual(await health(), ['UNHEALTHY']);
	});
});

check('a target may cut an upload that does not come, and none that is complete', async () => {
	const one = await service((socket) => socket.destroy());
	await upstream(STRICT, [one], { retries: 0 });
	const client = await RawConnection.open(gw.proxy);
	client.send('POST /r HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc');
	assert.equal((await client.response()).status, 502);
	assert.equal(one.hits, 1);
	assert.deepEqual(await health(), HEALTHY);
	client.socket.destroy();

	assert.equal((await gw.post('/r', 'abc')).status, 502);
	assert.deepEqual(await health(), ['UNHEALTHY']);
});

check('the gateway is out of descriptors: 503, no blame, no further try', async () => {
	const one = await echo((req, res) => res.end('ok'));
	await upstream(STRICT, [one]);
	const client = await RawConnection.open(gw.proxy);
	const pid = String(gw.child.pid);
	const { stdout } = await run('prlimit', ['--pid', pid, '--nofile', '--output=SOFT', '--noheadings']);
	await run('prlimit', ['--pid', pid, '--nofile=3:']);
	try {
		client.send('GET /r HTTP/1.1\r\nHost: a\r\n\r\n');
		const reply = await client.response();
		assert.equal(reply.status, 503);
		assert.match(String(reply.body), /The gateway has no connection left for this request/);
	} finally {
		await run('prlimit', ['--pid', pid, `--nofile=${stdout.trim()}:`]);
	}
	const line = await gw.child.line(/a request cannot be sent to its service/);
	assert.match(line, /out of descriptors, ports or memory/);
	assert.deepEqual(await health(), HEALTHY);
	client.send('GET /r HTTP/1.1\r\nHost: a\r\n\r\n');
	assert.equal((await client.response()).status, 200);
	assert.equal(one.requests.length, 1);
	client.socket.destroy();
});

check('an idle connection to one service makes room for a new one to another', async () => {
	const other = await Gateway.start({ loops: 1 });
	const pid = String(other.child.pid);
	try {
		for (const name of ['one', 'two']) {
			const { url } = await echo((req, res) => res.end(name));
			await other.route({ name, url }, { paths: [`/${name}`] });
		}
		const client = await RawConnection.open(other.proxy);
		const get = async (path) => {
			client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
			return String((await client.response()).body);
		};
		assert.equal(await get('/one'), 'one');
		const used = new Set((await fs.readdir(`/proc/${pid}/fd`)).map(Number));
		let free = 0;
		while (used.has(free)) {
			free++;
		}
		await run('prlimit', ['--pid', pid, `--nofile=${free}:`]);
		assert.equal(await get('/two'), 'two');
		assert.equal(await get('/one'), 'one');
		client.socket.destroy();
	} finally {
		await other.close();
	}
});

check('clients leave descriptors for services and for the Admin API', async () => {
	const other = await Gateway.start({ loops: 1 });
	const clients = [];
	try {
		const one = await echo((req, res) => res.end('ok'));
		await other.route({ url: one.url }, { paths: ['/r'] });
		await run('prlimit', ['--pid', String(other.child.pid), '--nofile=100:']);
		const { hostname, port } = new URL(other.proxy);
		const refused = new Promise((done) => {
			for (let i = 0; i < 150; i++) {
				const socket = net.connect(Number(port), hostname);
				socket.on('error', () => {}).on('close', done);
				clients.push(socket);
			}
		});
		await within(refused, 'the first client too many');
		await other.child.line(/out of descriptors: accepting pauses/);
		clients[0].write('GET /r HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
		const [answer] = await within(once(clients[0], 'data'), 'the answer');
		assert.match(String(answer), /^HTTP\/1\.1 200 /);
		await other.want(200, 'GET', '/routes');
	} finally {
		clients.forEach((socket) => socket.destroy());
		await other.close();
	}
});

check('a WebSocket is no matter for a service over HTTP/2, which answers', async () => {
	let headers;
	const one = await serviceH2((stream, got) => {
		headers = got;
		stream.respond({ ':status': 200 });
		stream.end('plain');
	});
	await upstream(STRICT, [one], { protocol: 'grpc' });
	const client = await RawConnection.open(gw.proxy);
	client.send('GET /r HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
		+ 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n');
	const reply = await client.response();
	assert.equal(reply.status, 200);
	assert.equal(String(reply.body), 'plain');
	assert.equal(headers.upgrade, undefined);
	assert.deepEqual(await health(), HEALTHY);
	client.socket.destroy();
});
