/* Our connector: its transports and options, and its behaviour towards an original server: spec §5.4, §15. */
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before } from 'node:test';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { check, event, Mailbox, until, within } from './lib/check.mjs';
import { abortable, request, timed } from './lib/client.mjs';
import { Connector } from './lib/connector.mjs';
import { Original } from './lib/original.mjs';
import { run } from './lib/process.mjs';
import { Recorder } from './lib/recorder.mjs';
import { Server } from './lib/server.mjs';
import { pattern, sha256, Target, values } from './lib/target.mjs';

let server;
let secret;
let target;

before(async () => {
	server = await Server.start();
	secret = await server.addTenant('T1');
	target = await Target.start({ base: '/base/' });
});

after(async () => {
	await target?.close();
	await server?.close();
});

/* A connector for the duration of `fn`, the only one of the tenant. */
async function connected(options, fn) {
	const connector = await Connector.start(server, {
		tenant: 'T1', secret, targets: { web: target.url }, ...options,
	});
	try {
		await server.connections(options.settings?.connections ?? 1);
		await fn(connector);
		await connector.stop();
		assert.equal(connector.child.code, 0, connector.child.story());
		await server.connections(0);
	} finally {
		target.open();
		await connector.close();
	}
}

function relay(path, options) {
	return request(server.relay, `/relay/T1/${path}`, options);
}

async function carriesAll() {
	for (const size of [0, 5, 16384, 16385, 1 << 20]) {
		const up = await relay('web/echo', { method: 'POST', body: pattern(size) });
		assert.equal(up.status, 200);
		assert.ok(up.body.equals(pattern(size)), `${size} bytes`);
	}
	const replies = await Promise.all(Array.from({ length: 50 }, (_, i) => relay(`web/x${i}`)));
	assert.deepEqual(replies.map((r) => r.json.url), replies.map((_, i) => `/base/x${i}`));
}

for (const [name, transport] of Object.entries({
	websockets: 'WebSockets', server_sent_events: 'ServerSentEvents', long_polling: 'LongPolling',
})) {
	check(`over ${name}: bodies of all sizes, many at once, and again after a cut`, async () => {
		const recorder = await Recorder.start(server.relay);
		try {
			await connected({ url: recorder.url, settings: { transports: [name] } }, async (connector) => {
				assert.match(await connector.connected(), new RegExp(`transport=${transport}`));
				await carriesAll();
				const from = connector.seenLines;
				recorder.cut();
				/* A poll that is cut before its answer is simply sent again. */
				if (name !== 'long_polling') {
					await connector.connected({ from });
				}
				await until(async () => (await relay('web/status/204')).status === 204, 'it serves again');
				await carriesAll();
			});
		} finally {
			await recorder.close();
		}
	});
}

check('without negotiation a WebSocket is opened at once', async () => {
	const recorder = await Recorder.start(server.relay);
	await connected({ url: recorder.url, settings: { negotiate: false } }, carriesAll);
	assert.equal(recorder.lines(/negotiate/).length, 0);
	await recorder.close();
});

/* Passes everything but upgrades: what some proxies do. Bodies beyond `max` are refused, as many do. */
async function upgradeless(upstream, max = Infinity) {
	const { hostname, port } = new URL(upstream);
	const proxy = http.createServer((req, res) => {
		const size = Number(req.headers['content-length'] ?? 0);
		proxy.largest = Math.max(proxy.largest, size);
		const status = size > max ? 413 : proxy.status;
		if (status) {
			res.writeHead(status, { 'Content-Length': 0 }).end();
			req.resume();
			return;
		}
		const up = http.request({ hostname, port, path: req.url, method: req.method, headers: req.headers }, (r) => {
			res.writeHead(r.statusCode, r.headers);
			r.pipe(res);
		});
		up.on('error', () => res.destroy());
		res.on('close', () => up.destroy());
		req.pipe(up);
	});
	proxy.largest = 0;
	proxy.on('upgrade', (req, socket) => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'));
	proxy.listen(0, '127.0.0.1');
	await once(proxy, 'listening');
	proxy.url = `http://127.0.0.1:${proxy.address().port}`;
	proxy.end = () => {
		proxy.closeAllConnections();
		return new Promise((done) => proxy.close(done));
	};
	return proxy;
}

check('where WebSockets do not pass, it falls back to server-sent events', async () => {
	const proxy = await upgradeless(server.relay);
	await connected({ url: proxy.url }, async (connector) => {
		assert.match(await connector.connected(), /transport=ServerSentEvents/);
		await carriesAll();
	});
	await proxy.end();
});

/* A target that holds `n` requests, then answers all in one moment. */
async function burst(n, size) {
	const held = [];
	const service = http.createServer((req, res) => {
		held.push(res);
		if (held.length === n) {
			held.splice(0).forEach((r) => r.end(pattern(size)));
		}
	});
	service.listen(0, '127.0.0.1');
	await once(service, 'listening');
	service.url = `http://127.0.0.1:${service.address().port}/`;
	service.end = () => {
		service.closeAllConnections();
		return new Promise((done) => service.close(done));
	};
	return service;
}

const readies = (connector) => connector.child.lines.filter((l) => /^ready /.test(l)).length;

for (const transport of ['server_sent_events', 'long_polling']) {
	check(`over ${transport}: a burst of answers goes in pieces that the server takes`, async () => {
		const [n, size] = [300, 16_000];
		const service = await burst(n, size);
		const proxy = await upgradeless(server.relay);
		await connected({ url: proxy.url, targets: { web: service.url }, settings: { transports: [transport] } }, async (connector) => {
			const replies = await Promise.all(Array.from({ length: n }, (_, i) => relay(`web/${i}`)));
			assert.ok(replies.every((r) => r.status === 200 && r.body.equals(pattern(size))));
			assert.ok(proxy.largest > size && proxy.largest <= 512 << 10, `${proxy.largest} bytes at once`);
			assert.equal(readies(connector), 1);
		});
		await proxy.end();
		await service.end();
	});

	check(`over ${transport}: where less passes it is sent in less, and what is too large alone is given up`, async () => {
		const impatient = await Server.start({ relay: { request_expiration: '3s' } });
		const [n, size] = [30, 8000];
		const service = await burst(n, size);
		const proxy = await upgradeless(impatient.relay, 20_000);
		const connector = await Connector.start(impatient, {
			tenant: 'T1', secret: await impatient.addTenant('T1'), url: proxy.url,
			targets: { burst: service.url, web: target.url }, settings: { transports: [transport] },
		});
		const ask = (path) => request(impatient.relay, `/relay/T1/${path}`);
		try {
			const replies = await Promise.all(Array.from({ length: n }, (_, i) => ask(`burst/${i}`)));
			assert.deepEqual(replies.map((r) => r.status), Array(n).fill(200));
			for (let i = 0; i < 3; i++) {
				const [large, small] = await Promise.all([ask('web/bytes/16000'), ask('web/bytes/8000')]);
				assert.deepEqual([large.status, small.status], [408, 200]);
			}
			const given = connector.child.lines.filter((l) => /refuses a message as too large/.test(l));
			assert.equal(given.length, 3, 'each one once');
			assert.equal(readies(connector), 1);
		} finally {
			await connector.close();
			await proxy.end();
			await service.end();
			await impatient.close();
		}
	});
}

check('a connection that is lost by an answer names its status', async () => {
	const proxy = await upgradeless(server.relay);
	await connected({ url: proxy.url, settings: { transports: ['server_sent_events'] } }, async (connector) => {
		assert.equal((await relay('web/x')).status, 200);
		const from = connector.seenLines;
		proxy.status = 503;
		const answered = relay('web/x');
		await connector.child.line(/connection lost.*ServerSentEvents: the server answered 503/, { from });
		proxy.status = undefined;
		assert.equal((await answered).status, 200);
	});
	await proxy.end();
});

check('several connections share the work, over several threads', async () => {
	await connected({ settings: { connections: 4, loops: 2 } }, async (connector) => {
		/* The server counts a connection before its connector says so. */
		await until(() => connector.child.lines.filter((l) => /^ready /.test(l)).length === 4, 'all four are ready');
		await carriesAll();
	});
});

check('max_concurrent: the others wait; requests_max: the next is 503', async () => {
	await connected({ settings: { max_concurrent: 2, requests_max: 4 } }, async () => {
		target.forget();
		const held = Array.from({ length: 4 }, () => relay('web/gate'));
		await target.hits.take();
		await target.hits.take();
		await until(async () => (await relay('web/status/200')).status === 503, 'the fifth is refused');
		assert.equal(target.running, 2);
		target.open();
		await target.hits.take();
		await target.hits.take();
		target.open();
		assert.deepEqual((await Promise.all(held)).map((r) => r.status), [200, 200, 200, 200]);
		assert.equal(target.mostRunning, 2);
	});
});

check('max_concurrent: what waited for its place is not begun when its request is over', async () => {
	const own = await Server.start({ relay: { request_expiration: '4s' } });
	const connector = await Connector.start(own, {
		tenant: 'T1', secret: await own.addTenant('T1'), targets: { web: target.url }, settings: { max_concurrent: 1 },
	});
	const order = (path) => request(own.relay, `/relay/T1/web/${path}`, { method: 'POST', body: 'x' });
	try {
		target.forget();
		assert.equal((await request(own.relay, '/queue/T1/web/gate')).status, 202);
		await target.hits.take();
		const begun = Date.now();
		const over = order('over');
		const left = abortable(own.relay, '/relay/T1/web/left');
		await until(() => Date.now() - begun > 2000, 'some time goes by');
		const wanted = order('wanted');
		left.abort();
		assert.equal((await over).status, 408);
		target.open();
		assert.equal((await wanted).status, 200);
		assert.equal((await order('next')).status, 200);
		assert.deepEqual(target.requests.map((r) => r.url), ['gate', 'wanted', 'next'].map((path) => `/base/${path}`));
	} finally {
		target.open();
		await connector.close();
		await own.close();
	}
});

check('SIGHUP adds and removes targets; connection and running requests stay', async () => {
	await connected({}, async (connector) => {
		target.forget();
		const running = relay('web/gate');
		await target.hits.take();
		assert.equal((await relay('new/x')).status, 404);
		await connector.write({ targets: { new: { url: target.url } } });
		connector.reload();
		await until(async () => (await relay('new/x')).status === 200, 'the new target is there');
		assert.equal((await relay('web/x')).status, 404);
		target.open();
		assert.equal((await running).text, 'through the gate');
		await connector.write({ targets: { new: { url: 'nonsense' } } });
		connector.reload();
		await connector.child.line(/not reloaded/);
		assert.equal((await relay('new/x')).status, 200);
		assert.equal(connector.child.lines.filter((l) => /^ready /.test(l)).length, 1);
	});
});

check('the health file exists while connected', async () => {
	const file = join(server.dir, 'healthy');
	const exists = () => access(file).then(() => true, () => false);
	const recorder = await Recorder.start(server.relay);
	await connected({ url: recorder.url, settings: { health_file: file } }, async (connector) => {
		assert.ok(await exists());
		recorder.freeze();
		recorder.cut();
		await until(async () => !(await exists()), 'the health file goes');
		const from = connector.seenLines;
		recorder.thaw();
		recorder.cut();
		await connector.connected({ from });
		assert.ok(await exists());
	});
	assert.ok(!(await exists()));
	await recorder.close();
});

check('a missing secret is a wrong configuration', async () => {
	const missing = await run(['connect', '--server', server.relay, '--tenant', 'T1']);
	assert.equal(missing.code, 2);
	assert.match(missing.stderr, /secret/);
});

check('a catch-all, and targets given as in the original', async () => {
	const env = {
		RelayConnector__RelayServerBaseUri: server.relay,
		RelayConnector__TenantName: 'T1',
		RelayConnector__TenantSecret: secret,
		RelayConnector__Targets__web__Type: 'RelayWebTarget',
		RelayConnector__Targets__web__Url: target.url,
	};
	const { Child } = await import('./lib/process.mjs');
	const child = new Child('original names', ['connect', 'RelayConnector:Targets:** CATCH-ALL **:Type=RelayWebTarget',
		`RelayConnector:Targets:** CATCH-ALL **:Url=${target.url}all/`], { env });
	await child.line(/^ready /);
	assert.equal((await relay('web/x')).json.url, '/base/x');
	assert.equal((await relay('whatever/x')).json.url, '/base/all/x');
	await child.stop();
	await server.connections(0);
	const wrong = await run(['connect', 'RelayConnector:Targets:a:Url=http://x'], { env });
	assert.equal(wrong.code, 2);
	assert.match(wrong.stderr, /The following targets have no "Type" provided: "a"/);
});

/* Such a trip is used again at once, for whoever comes next. */
check('who is answered before his body came leaves none of it to others', async () => {
	const early = [['GET', '$ping', 200], ['POST', '$ping', 404], ['GET', '$echo', 204], ['POST', '$echo/2000000000', 400],
		['POST', 'web/status/201', 201], ['POST', 'nowhere', 404]];
	const alien = Buffer.alloc(5 << 20, 'A');
	await connected({}, async (connector) => {
		for (let round = 0; round < 5 && connector.child.isRunning; round++) {
			const answers = early.map(([method, path]) => relay(path, {
				method, body: alien, headers: { 'Content-Length': String(alien.length) },
			}));
			const sizes = [20_000, 1_000_000, 2_000_000];
			const others = await Promise.all(sizes.map((n) => relay('web/sink', { method: 'POST', body: pattern(n) })));
			assert.deepEqual(others.map((r) => r.status), sizes.map(() => 200));
			assert.deepEqual(others.map((r) => r.json.sha256), sizes.map((n) => sha256(pattern(n))));
			assert.deepEqual((await Promise.all(answers)).map((r) => r.status), early.map(([, , status]) => status));
		}
	});
});

check('a queued body that no target takes is given up at once', async () => {
	await connected({}, async () => {
		for (const path of ['nosuch/', '$ping', '$echo', 'web/status/200']) {
			const reply = await request(server.relay, `/queue/T1/${path}`, { method: 'POST', body: pattern(30_000) });
			assert.equal(reply.status, 202);
			await server.noBodyFiles();
		}
		await until(async () => await server.metric('posthouse_relay_requests_in_flight') === 0, 'no request in flight');
	});
});

/* What event streams do: a head, and then something now and then. */
check('an answer without end ends with its request', async () => {
	const own = await Server.start({ relay: { request_expiration: '1s', endpoint_timeout: '2s' } });
	let open = 0;
	const endless = http.createServer((req, res) => {
		const timer = setInterval(() => res.write('x'.repeat(req.url.includes('big') ? 20_000 : 10)), 50);
		open += 1;
		res.on('close', () => {
			open -= 1;
			clearInterval(timer);
		});
	});
	endless.listen(0, '127.0.0.1');
	await once(endless, 'listening');
	const theirs = await own.addTenant('T1');
	const connector = await Connector.start(own, {
		tenant: 'T1', secret: theirs, targets: { web: `http://127.0.0.1:${endless.address().port}/` },
		settings: { max_concurrent: 1 },
	});
	try {
		const ping = async () => (await request(own.relay, '/relay/T1/$ping')).status === 200;
		for (const path of ['', 'big']) {
			assert.equal((await request(own.relay, `/relay/T1/web/${path}`)).status, 408);
			await until(() => open === 0, `${path}: the target is left`);
			assert.equal((await request(own.relay, `/queue/T1/web/${path}`)).status, 202);
			await until(ping, `${path}: the next has its place`);
			await until(() => open === 0, `${path}: the target is left for the next`);
		}
		const gone = abortable(own.relay, '/relay/T1/web/big');
		await until(() => open === 1, 'the target is asked');
		gone.abort();
		await until(() => open === 0, 'the target is left with its visitor');
		assert.ok(await ping());
		await own.noBodyFiles();
	} finally {
		await connector.close();
		endless.closeAllConnections();
		endless.close();
		await own.close();
	}
});

check('a body of /queue that cannot be fetched in its time holds no place at the server', async () => {
	const own = await Server.start({ relay: { endpoint_timeout: '2s' } });
	const recorder = await Recorder.start(own.relay);
	const connector = await Connector.start(own, {
		tenant: 'T1', secret: await own.addTenant('T1'), url: recorder.url, targets: { web: target.url },
		settings: { use_http_keep_alive: false },
	});
	try {
		recorder.isClosed = true;
		assert.equal((await request(own.relay, '/queue/T1/web/x', { method: 'POST', body: pattern(30_000) })).status, 202);
		await until(async () => await own.metric('posthouse_relay_requests_in_flight') === 0, 'the request is over');
		recorder.isClosed = false;
		assert.equal((await request(own.relay, '/relay/T1/web/x')).status, 200);
		await own.noBodyFiles();
	} finally {
		await connector.close();
		await recorder.close();
		await own.close();
	}
});

check('an answer without end that is discarded holds a place at the server for its time only', async () => {
	const own = await Server.start({ relay: { request_expiration: '60s', endpoint_timeout: '3s' } });
	const secret = await own.addTenant('T1', { maximumConcurrentConnectorRequests: 2 });
	await beginner((req, res) => res.flushHeaders(), async (url, begun) => {
		const connector = await Connector.start(own, { tenant: 'T1', secret, targets: { web: url } });
		try {
			for (let i = 0; i < 2; i++) {
				assert.equal((await request(own.relay, '/queue/T1/web/events', { method: 'POST', body: pattern(20_000) })).status, 202);
			}
			const open = [await begun.take(), await begun.take()];
			assert.equal((await request(own.relay, '/relay/T1/$ping')).status, 200);
			assert.ok(open.every((res) => !res.destroyed), 'the targets are not left for that');
			await until(async () => await own.metric('posthouse_relay_requests_in_flight') === 0, 'both are done');
			await own.noBodyFiles();
		} finally {
			await connector.close();
			await own.close();
		}
	});
});

check('a small answer that takes longer than a transfer may is not lost', async () => {
	const own = await Server.start({ relay: { endpoint_timeout: '1s' } });
	const slow = http.createServer((req, res) => {
		res.setHeader('X-Slow', '1');
		if (req.url === '/known') {
			res.setHeader('Content-Length', 10);
		}
		res.write('12345');
		setTimeout(() => res.end('67890'), 2500);
	});
	slow.listen(0, '127.0.0.1');
	await once(slow, 'listening');
	const theirs = await own.addTenant('T1');
	const connector = await Connector.start(own, {
		tenant: 'T1', secret: theirs, targets: { web: `http://127.0.0.1:${slow.address().port}/` },
	});
	try {
		await Promise.all(['known', 'unknown'].map(async (path) => {
			const reply = await request(own.relay, `/relay/T1/web/${path}`);
			assert.equal(reply.text, '1234567890');
			assert.equal(reply.headers['x-slow'], '1');
		}));
		await own.noBodyFiles();
	} finally {
		await connector.close();
		slow.close();
		await own.close();
	}
});

check('$echo/N does not keep others waiting', async () => {
	await connected({}, async () => {
		for (let i = 0; i < 4; i++) {
			assert.equal((await request(server.relay, '/queue/T1/$echo/1073741824', { method: 'POST', body: 'x' })).status, 202);
		}
		const { ms } = await timed(relay('$ping'));
		assert.ok(ms < 3000, `${Math.round(ms)} ms`);
		const reply = await relay('$echo/4000001', { method: 'POST', body: 'abc' });
		assert.ok(reply.body.equals(Buffer.alloc(4_000_001, 'abc')));
	});
});

check('$echo/N: as many bytes as were asked for, whatever the length of the body', async () => {
	await connected({}, async () => {
		for (const size of [10, 20_000, 40_000, 5 << 20]) {
			for (const n of [0, 10, 16_384, 16_385, 20_000, 100_000, 1 << 20]) {
				const reply = await relay(`$echo/${n}`, { method: 'POST', body: Buffer.alloc(size, 'x') });
				assert.equal(reply.status, 200, `${n} of ${size}`);
				assert.ok(reply.body.equals(Buffer.alloc(n, 'x')), `${n} of ${size}`);
			}
			/* Little must not become much: it has to lie at the server until it is taken. */
			for (const [n, status] of [[size + (4 << 20), 200], [size + (4 << 20) + 1, 400]]) {
				assert.equal((await relay(`$echo/${n}`, { method: 'POST', body: Buffer.alloc(size, 'x') })).status, status);
			}
		}
	});
});

check('redirects are passed on, or followed where the target says so', async () => {
	const other = await Target.start();
	const hops = http.createServer((req, res) => {
		const n = Number(/\/hop\/(\d+)/.exec(req.url)?.[1] ?? 0);
		const status = Number(/status=(\d+)/.exec(req.url)?.[1] ?? 302);
		const to = /to=([^&]+)/.exec(req.url)?.[1];
		req.resume();
		res.writeHead(status, { Location: n > 0 ? `/hop/${n - 1}?to=${to}` : decodeURIComponent(to) }).end();
	});
	hops.listen(0, '127.0.0.1');
	await once(hops, 'listening');
	const url = `http://127.0.0.1:${hops.address().port}/`;
	const to = encodeURIComponent(`${other.url}end`);
	await connected({ targets: { plain: url, follow: { url, follow_redirects: true } } }, async () => {
		const plain = await relay(`plain/hop/3?to=${to}`);
		assert.equal(plain.status, 302);
		assert.equal(plain.headers.location, `/hop/2?to=${to}`);
		const followed = await relay(`follow/hop/3?to=${to}`, { headers: { Authorization: 'Bearer secret', 'X-Kept': '1' } });
		assert.equal(followed.status, 200);
		assert.equal(followed.json.url, '/end');
		assert.deepEqual(values(followed.json.raw, 'authorization'), []);
		assert.deepEqual(values(followed.json.raw, 'x-kept'), ['1']);
		assert.equal((await relay(`follow/hop/49?to=${to}`)).status, 200);
		assert.equal((await relay(`follow/hop/50?to=${to}`)).status, 302);
		const post = { method: 'POST', body: 'abc' };
		assert.equal((await relay(`follow/hop/0?to=${to}`, post)).json.method, 'GET');
		const kept = await relay(`follow/hop/0?status=307&to=${to}`, post);
		assert.equal(kept.json.method, 'POST');
		assert.equal(kept.json.body, 'abc');
	});
	hops.closeAllConnections();
	await new Promise((done) => hops.close(done));
	await other.close();
});

for (const transport of ['websockets', 'server_sent_events', 'long_polling']) {
	check(`SIGTERM over ${transport}: running requests are answered, others take the rest, then it goes`, async () => {
		await connected({ settings: { transports: [transport] } }, async (connector) => {
			target.forget();
			const pending = relay('web/gate');
			await target.hits.take();
			const ended = connector.stop();
			const rest = Array.from({ length: 20 }, () => relay('web/status/200'));
			const other = await Connector.start(server, { tenant: 'T1', secret, targets: { web: target.url } });
			for (let i = 0; i < 20; i++) {
				rest.push(relay('web/status/200'));
			}
			assert.deepEqual((await Promise.all(rest)).map((r) => r.status), Array(40).fill(200));
			target.open();
			assert.equal((await pending).text, 'through the gate');
			await ended;
			await other.stop();
		});
	});
}

check('require_active_connection: a connector that leaves is none', async () => {
	const own = await Server.start({ relay: { require_active_connection: true } });
	const theirs = await own.addTenant('T1');
	const connector = await Connector.start(own, { tenant: 'T1', secret: theirs, targets: { web: target.url } });
	try {
		target.forget();
		const pending = request(own.relay, '/relay/T1/web/gate');
		await target.hits.take();
		const ended = connector.stop();
		await until(async () => (await request(own.relay, '/relay/T1/$ping')).status === 503, 'it has left');
		target.open();
		assert.equal((await pending).text, 'through the gate');
		await ended;
	} finally {
		target.open();
		await connector.close();
		await own.close();
	}
});

/* ---- towards an original server ---- */

async function original(options, fn, connect = {}) {
	const theirs = await Original.start(options);
	theirs.dir = server.dir;
	const connector = await Connector.start(theirs, {
		tenant: 'TestTenant1', secret: '<Strong!Passw0rd>', targets: { web: target.url }, ...connect,
	});
	try {
		await fn(theirs, await theirs.links.take(), connector);
	} finally {
		target.open();
		await connector.close();
		await theirs.close();
	}
}

check('check 41: a secret with special characters is form-encoded', async () => {
	await original({}, (theirs, link) => {
		assert.equal(Buffer.from(theirs.credentials.slice(6), 'base64').toString(), 'TestTenant1:%3CStrong%21Passw0rd%3E');
		assert.equal(theirs.grant, 'grant_type=client_credentials&scope=connector');
		assert.equal(link.authorization, `Bearer ${theirs.tokens[0]}`);
		assert.deepEqual(link.records[0], { protocol: 'json', version: 1 });
	});
});

check('SIGTERM towards a server that does not know what leaving is', () => original({}, async (theirs, link, connector) => {
	target.forget();
	link.request({ url: 'gate' });
	await target.hits.take();
	const ended = connector.stop();
	await until(() => link.records.some((r) => r.target === 'Leave'), 'it leaves');
	/* Behind the answer to that. */
	link.request({ url: 'status/200' });
	const refused = await link.delivered.take();
	assert.equal(refused.httpStatusCode, 503);
	assert.equal(refused.requestFailed, true);
	target.open();
	assert.equal((await link.delivered.take()).httpStatusCode, 200);
	await ended;
	assert.equal(connector.child.code, 0, connector.child.story());
}));

check('the shape of a response', async () => {
	await original({}, async (theirs, link) => {
		const requestId = link.request({ url: 'bytes/5' });
		const delivered = await link.delivered.take();
		assert.equal(delivered.requestId, requestId);
		assert.deepEqual(Object.keys(delivered).sort(), [
			'bodyContent', 'bodySize', 'connectionId', 'httpHeaders', 'httpStatusCode', 'originalBodySize',
			'requestDuration', 'requestFailed', 'requestId', 'requestOriginId', 'requestStart',
		]);
		assert.equal(delivered.bodySize, 5);
		assert.ok(Buffer.from(delivered.bodyContent, 'base64').equals(pattern(5)));
		assert.deepEqual(delivered.httpHeaders['Content-Type'], ['application/x-pattern']);
		link.request({ url: 'x', enableTracing: true });
		const traced = await link.delivered.take();
		assert.match(traced.requestDuration, /^00:00:00(\.\d{7})?$/);
		assert.ok(!Number.isNaN(Date.parse(traced.requestStart)));
		assert.match(traced.httpHeaders['RelayServer-TargetDuration'][0], /^0:00:00\.\d{7}$/);
		link.request({ target: 'nowhere' });
		const failed = await link.delivered.take();
		assert.equal(failed.httpStatusCode, 404);
		assert.equal(failed.requestFailed, true);
	});
});

check('a refused token at the body endpoints: a new one, once', async () => {
	await original({}, async (theirs, link) => {
		theirs.answer(/GET \/body\/request/, 401);
		theirs.answer(/POST \/body\/response/, 401);
		const requestId = link.request({ url: 'echo', httpMethod: 'POST', body: pattern(100_000) });
		const delivered = await link.delivered.take();
		assert.equal(delivered.httpStatusCode, 200);
		assert.equal(delivered.bodySize, 100_000);
		assert.equal(delivered.bodyContent, null);
		assert.equal(sha256(theirs.uploads.get(requestId.replaceAll('-', ''))), sha256(pattern(100_000)));
		assert.equal(theirs.tokens.length, 3);
		theirs.answer(/GET \/body\/request/, 401, 2);
		link.request({ url: 'echo', httpMethod: 'POST', body: pattern(100_000) });
		assert.equal((await link.delivered.take()).httpStatusCode, 502);
		theirs.answer(/POST \/body\/response/, 413);
		link.request({ url: 'bytes/5000000' });
		assert.equal((await link.delivered.take()).httpStatusCode, 502);
	});
});

const upload = (acknowledgeMode, changes) => ({
	acknowledgeMode, acknowledgeOriginId: randomUUID(), url: 'sink', httpMethod: 'POST', body: pattern(100_000), ...changes,
});

function uploaded(delivered) {
	assert.equal(delivered.httpStatusCode, 200);
	assert.equal(JSON.parse(Buffer.from(delivered.bodyContent, 'base64')).sha256, sha256(pattern(100_000)));
}

check('a body that is not to be had for a moment is fetched again', () => original({}, async (theirs, link) => {
	target.forget();
	for (const mode of [0, 1, 2, 3]) {
		theirs.answer(/GET \/body\/request/, 503, 2);
		link.request(upload(mode));
		uploaded(await link.delivered.take());
	}
	theirs.answer(/GET \/body\/request/, 401);
	theirs.answer(/POST \/token/, 503);
	link.request(upload(2));
	uploaded(await link.delivered.take());
	assert.equal(target.requests.length, 5);
	theirs.answer(/GET \/body\/request/, 404);
	link.request(upload(2));
	assert.equal((await link.delivered.take()).httpStatusCode, 502, 'it is over');
	assert.equal(link.acknowledged.length, 4);
	assert.equal(theirs.count(/GET \/body\/request/), 4 * 3 + 2 + 1);
}));

check('what breaks off in its body is done again, unless the mode forbids it', () => original({}, async (theirs, link) => {
	const breakOff = async (mode, changes) => {
		target.forget();
		theirs.hold();
		link.request(upload(mode, changes));
		const half = await theirs.held.take();
		await target.hits.take();
		half.destroy();
	};
	for (const mode of [1, 2, 3]) {
		await breakOff(mode);
		uploaded(await link.delivered.take());
		assert.equal(target.requests.length, 2);
		assert.equal(link.acknowledged.length, mode === 3 ? 2 : mode);
	}
	await breakOff(2, { discardConnectorResponse: true });
	await target.hits.take();
	await until(() => link.acknowledged.length === 3, 'it is acknowledged');
	/* Its answer has begun by then. */
	const asked = theirs.count(/POST \/body\/response/);
	theirs.hold();
	const requestId = link.request(upload(2, { target: '$echo', url: '' }));
	const half = await theirs.held.take();
	await until(() => theirs.count(/POST \/body\/response/) > asked, 'its answer is uploaded');
	half.destroy();
	assert.equal((await link.delivered.take()).bodySize, 100_000);
	assert.equal(sha256(theirs.uploads.get(requestId.replaceAll('-', ''))), sha256(pattern(100_000)));
	await breakOff(0);
	assert.equal((await link.delivered.take()).httpStatusCode, 502);
}));

check('a body that is not to be had in all the time: its request is not taken for done', () => original({
	endpointTimeout: '00:00:01',
}, async (theirs, link, connector) => {
	const never = () => theirs.answer(/GET \/body\/request/, 503, Infinity);
	const again = async (to, requestId, mode, changes) => {
		theirs.refuse.clear();
		target.forget();
		to.request(upload(mode, { requestId, ...changes }));
		await target.hits.take();
	};
	for (const mode of [1, 2, 3]) {
		never();
		const requestId = link.request(upload(mode));
		assert.equal((await link.delivered.take()).httpStatusCode, 502);
		assert.equal(link.acknowledged.length, 0);
		await again(link, requestId, mode);
		uploaded(await link.delivered.take());
		if (mode !== 3) {
			await link.acknowledged.take();
		}
	}
	const discardConnectorResponse = true;
	never();
	const job = link.request(upload(2, { discardConnectorResponse }));
	await connector.child.line(/body of a request without a client cannot be fetched/);
	assert.equal(link.acknowledged.length, 0);
	await again(link, job, 2, { discardConnectorResponse });
	await link.acknowledged.take();

	/* The server has sent it to somebody else meanwhile, whose answer ours must not be. */
	never();
	const asked = theirs.count(/GET \/body\/request/);
	const moved = link.request(upload(2));
	await until(() => theirs.count(/GET \/body\/request/) > asked, 'its body is asked for');
	const since = Date.now();
	link.ws.terminate();
	const next = await theirs.links.take();
	await until(() => Date.now() - since > 2500, 'its time is over');
	const ping = next.request({ target: '$ping' });
	assert.equal((await next.delivered.take()).requestId, ping);
	assert.equal(next.acknowledged.length, 0);
	await again(next, moved, 2);
	uploaded(await next.delivered.take());
}));

/* A service that begins an answer; `fn` gets what it answers with. */
async function beginner(begin, fn) {
	const begun = new Mailbox('the target is asked');
	const service = http.createServer((req, res) => {
		begin(req, res);
		begun.put(res);
	});
	service.listen(0, '127.0.0.1');
	await once(service, 'listening');
	try {
		await fn(`http://127.0.0.1:${service.address().port}/`, begun);
	} finally {
		service.closeAllConnections();
		service.close();
	}
}

check('an answer is gathered until its request is over, which nothing but 404 says', () => beginner((req, res) => {
	res.writeHead(200, req.url === '/known' ? { 'Content-Length': 10 } : {});
	res.write('12345');
}, (url, begun) => original({ endpointTimeout: '00:00:00.5000000' }, async (theirs, link) => {
	const begin = async (path, statuses) => {
		const id = link.request({ url: path });
		const line = new RegExp(`POST /body/response/${id.replaceAll('-', '')}`);
		for (const status of statuses) {
			theirs.answer(new RegExp(line), status);
		}
		return { res: await begun.take(), id, asked: (n) => until(() => theirs.count(line) >= n, `it asks ${n} times`) };
	};
	for (const path of ['known', 'unknown']) {
		const { res, asked } = await begin(path, [408, 401, 200]);
		/* The fourth gets no answer. */
		await asked(5);
		res.end('67890');
		const delivered = await link.delivered.take();
		assert.equal(delivered.httpStatusCode, 200);
		assert.equal(Buffer.from(delivered.bodyContent, 'base64').toString(), '1234567890');
	}
	assert.equal(theirs.tokens.length, 3, 'a refused token is not used again');
	assert.equal(theirs.uploads.size, 0);
	const grows = await begin('unknown', [408]);
	await grows.asked(2);
	grows.res.end(pattern(50_000));
	assert.equal((await link.delivered.take()).bodySize, 50_005);
	assert.equal(sha256(theirs.uploads.get(grows.id.replaceAll('-', ''))), sha256(Buffer.concat([Buffer.from('12345'), pattern(50_000)])));
	const over = await begin('unknown', [408, 404]);
	await event(over.res, 'close', 'the target is left');
	assert.equal((await link.delivered.take()).httpStatusCode, 502);
}, { targets: { web: url } })));

check('what waited for its place is begun unless the server says that it is over', () => beginner(() => {}, (url, begun) => original({}, async (theirs, link) => {
	for (const status of [404, 405, 401, 410]) {
		theirs.answer(/GET \/body\/response/, status);
		link.request({ url: 'first' });
		const first = await begun.take();
		const since = Date.now();
		link.request({ url: 'second' });
		await until(() => Date.now() - since > 1200, 'it waits for a while');
		first.end();
		await link.delivered.take();
		if (status !== 410) {
			(await begun.take()).end();
		}
		assert.equal((await link.delivered.take()).httpStatusCode, status === 410 ? 502 : 200);
	}
	assert.equal(theirs.count(/GET \/body\/response/), 4);
	assert.equal(begun.length, 0);
}, { targets: { web: url }, settings: { max_concurrent: 1 } })));

check('a discarded answer is read for a time, and ten times as long where there is room', () => beginner((req, res) => {
	const timer = setInterval(() => res.write('x'.repeat(100_000)), 20);
	res.begunAt = Date.now();
	res.lasted = () => Date.now() - res.begunAt;
	res.left = once(res, 'close').then(() => clearInterval(timer));
	res.stop = () => {
		clearInterval(timer);
		res.end();
	};
}, async (url, begun) => {
	const run = (settings, fn) => original({ endpointTimeout: '00:00:00.3000000' }, async (theirs, link) => {
		const job = async (acknowledgeMode = 2) => {
			link.request({ discardConnectorResponse: true, acknowledgeMode, acknowledgeOriginId: randomUUID() });
			return await begun.take();
		};
		await fn(link, job);
	}, { targets: { web: url }, settings });
	const isLeft = async (link, res) => {
		await within(res.left, 'the target is left');
		await link.acknowledged.take();
	};
	await run({ max_concurrent: 1 }, async (link, job) => {
		let res = await job();
		await link.acknowledged.take(); /* its place at the server may be needed */
		assert.ok(res.lasted() > 250, 'its time is over');
		await until(() => res.lasted() > 1000 && res.socket.bytesWritten > 2 << 20, 'a job of some time and size');
		res.stop();
		await res.left;
		assert.ok(res.writableFinished);
		res = await job();
		link.request({ target: '$ping' });
		await isLeft(link, res);
		assert.equal((await link.delivered.take()).httpStatusCode, 200);
		assert.ok(res.lasted() > 250, 'its time is its own');
		res = await job();
		await isLeft(link, res);
		assert.ok(res.lasted() > 2500, 'nobody waited');
	});
	for (const [settings, mode, acknowledgements] of [
		[{ max_concurrent: 1 }, 2, 1], [{ requests_max: 1 }, 2, 1], [{ requests_max: 1 }, 1, 1], [{ requests_max: 1 }, 0, 0],
		[{ requests_max: 1 }, 3, 0],
	]) {
		await run(settings, async (link, job) => {
			const res = await job(mode);
			await until(() => res.lasted() > 600, 'its time is over');
			link.request({ target: '$ping' });
			assert.equal((await link.delivered.take()).httpStatusCode, 200);
			await within(res.left, 'the target is left');
			assert.ok(res.lasted() < 2500, 'it made room');
			assert.equal(link.acknowledged.length, acknowledgements, `mode ${mode}`);
		});
	}
}));

check('acknowledgements by mode, and before the response', async () => {
	await original({}, async (theirs, link) => {
		const origin = 'aaaaaaaa-0000-4000-8000-000000000001';
		const send = (acknowledgeMode, changes) => link.request({
			acknowledgeMode, acknowledgeOriginId: origin, url: 'x', ...changes,
		});
		for (const mode of [1, 2]) {
			const requestId = send(mode);
			await link.delivered.take();
			assert.equal((await link.acknowledged.take()).requestId, requestId);
			const order = link.records.filter((r) => r.type === 1).slice(-2).map((r) => r.target);
			assert.deepEqual(order, ['Acknowledge', 'Deliver']);
		}
		target.forget();
		const requestId = send(3);
		const [url] = values((await target.hits.take()).raw, 'RelayServer-AcknowledgeUrl');
		assert.equal(url, `${theirs.relay}/acknowledge/${origin}/${requestId}`);
		await link.delivered.take();
		assert.equal(link.acknowledged.length, 0);
		/* Nobody but the connector can acknowledge what no target saw. */
		for (const what of ['nowhere', '$ping', '$echo']) {
			send(3, { target: what });
			await link.delivered.take();
			await link.acknowledged.take();
		}
		send(2, { discardConnectorResponse: true });
		await link.acknowledged.take();
		assert.equal(link.delivered.length, 0);
	});
});

check('a request that is sent again while it runs here, or after it was done here, is done once', async () => {
	await original({}, async (theirs, first) => {
		const links = [first, await theirs.links.take()];
		/* Something else may be sent twice, as nobody knows what arrived. */
		const of = async (box, requestId) => {
			for (;;) {
				const record = await box.take();
				if (record.requestId === requestId) {
					return record;
				}
			}
		};
		const ping = (link) => of(link.delivered, link.request({ target: '$ping' }));
		target.forget();
		for (const acknowledgeMode of [1, 2]) {
			const [lost, link] = links;
			const requestId = randomUUID();
			const send = (to) => to.request({
				requestId, requestOriginId: randomUUID(), acknowledgeOriginId: randomUUID(), acknowledgeMode, url: 'gate',
			});
			send(lost);
			await target.hits.take();
			await ping(lost);
			assert.equal(lost.acknowledged.length, acknowledgeMode === 1 ? 1 : 0);
			lost.ws.terminate();
			send(link);
			await ping(link);
			assert.equal(link.acknowledged.length, acknowledgeMode === 1 ? 1 : 0, 'what is acknowledged is so here, too');
			target.open();
			assert.equal((await of(link.delivered, requestId)).httpStatusCode, 200);
			send(link);
			await ping(link);
			const told = link.records.filter((r) => r.target === 'Acknowledge' && r.arguments[0].requestId === requestId);
			assert.equal(told.length, 2);
			links[0] = await theirs.links.take();
			link.acknowledged.items.length = 0;
		}
		assert.equal(target.requests.length, 2);
	}, { settings: { connections: 2 } });
});

check('Manual: what another process of the server sends again is done again, since its URL is another one', async () => {
	await original({}, async (theirs, link) => {
		target.forget();
		const origins = [randomUUID(), randomUUID()];
		const requestId = randomUUID();
		const send = (acknowledgeOriginId) => link.request({
			requestId, requestOriginId: origins[0], acknowledgeOriginId, acknowledgeMode: 3, url: 'gate',
		});
		const told = async () => values((await target.hits.take()).raw, 'RelayServer-AcknowledgeUrl')[0];
		send(origins[0]);
		assert.ok((await told()).includes(origins[0]));
		send(origins[0]);
		send(origins[1]);
		assert.ok((await told()).includes(origins[1]));
		target.open();
		await link.delivered.take();
		await link.delivered.take();
		/* Nobody acknowledged it. */
		send(origins[0]);
		await told();
		target.open();
		await link.delivered.take();
		assert.equal(target.requests.length, 3);
		assert.equal(link.acknowledged.length, 0);
	});
});

check('a response whose arrival is not known is sent again after a reconnect', async () => {
	await original({}, async (theirs, link) => {
		link.completes = false;
		const ids = [1, 2, 3].map(() => link.request({ url: 'x' }));
		for (const _ of ids) {
			await link.delivered.take();
		}
		link.ws.terminate();
		const next = await theirs.links.take();
		const again = [];
		for (const _ of ids) {
			again.push((await next.delivered.take()).requestId);
		}
		assert.deepEqual(again.sort(), ids.sort());
	});
});

check('close semantics: come back, with an error, for good', async () => {
	await original({}, async (theirs, link, connector) => {
		link.send({ type: 7, allowReconnect: true });
		const second = await theirs.links.take();
		second.send({ type: 7, error: 'Connection closed with an error.' });
		const third = await theirs.links.take();
		third.send({ type: 7 });
		await within(connector.child.exited, 'the connector ends');
		assert.equal(connector.child.code, 1);
		assert.equal(theirs.count(/negotiate/), 3);
		assert.equal(theirs.count(/well-known/), 1, 'discovery is read once');
	});
});

check('a server that sends nonsense is left, and tried again', async () => {
	await original({}, async (theirs, link) => {
		link.ws.send('nonsense\x1e');
		const next = await theirs.links.take();
		next.invoke('RequestTarget', { requestId: 'x' });
		next.invoke('Unknown', {});
		next.request({ url: 'x', httpHeaders: { 'X-Bad': ['a\r\nb'] } });
		assert.equal((await next.delivered.take()).httpStatusCode, 400);
		next.request({ url: 'x', httpMethod: 'BAD METHOD' });
		assert.equal((await next.delivered.take()).httpStatusCode, 400);
		next.request({ url: 'x' });
		assert.equal((await next.delivered.take()).httpStatusCode, 200);
	});
});

check('a first connection that is refused is tried every second', async () => {
	const theirs = await Original.start({});
	theirs.dir = server.dir;
	theirs.answer(/negotiate/, 404, 2);
	const connector = await Connector.start(theirs, { tenant: 'T', secret: 's', wait: false });
	await theirs.links.take();
	assert.equal(theirs.count(/negotiate/), 3);
	await connector.close();
	await theirs.close();
});

check('Configure changes the heartbeat', async () => {
	await original({}, async (theirs, link) => {
		link.invoke('Configure', {
			tenantName: 'T', keepAliveInterval: '00:00:00.2000000', enableTracing: true,
			reconnectMinimumDelay: null, reconnectMaximumDelay: null,
		});
		link.request({ url: 'x' });
		assert.ok((await link.delivered.take()).httpHeaders['RelayServer-RequestId']);
		await theirs.links.take();
		assert.ok(link.records.filter((r) => r.type === 6).length >= 2, 'pings, until the silence was noticed');
	});
});

check('a proxy from the environment is used for the server', async () => {
	const seen = [];
	const proxy = http.createServer((req, res) => {
		seen.push(`${req.method} ${req.url}`);
		res.writeHead(502).end();
	});
	proxy.on('connect', (req, socket) => {
		seen.push(`CONNECT ${req.url}`);
		net.connect(1, '127.0.0.1').on('error', () => socket.destroy());
	});
	proxy.listen(0, '127.0.0.1');
	await once(proxy, 'listening');
	const connector = await Connector.start(server, {
		tenant: 'T1', secret, url: 'http://relay.invalid:5000', wait: false,
		env: { http_proxy: `http://127.0.0.1:${proxy.address().port}` },
	});
	await until(() => seen.length > 0, 'the proxy is asked');
	assert.equal(seen[0], 'GET http://relay.invalid:5000/.well-known/relayserver-configuration');
	await connector.close();
	await new Promise((done) => proxy.close(done));
});
