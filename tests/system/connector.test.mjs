/* Our connector: its transports and options; towards an original server: connector-original. Spec §5.4. */
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { after, before } from 'node:test';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { check, event, until } from './lib/check.mjs';
import { abortable, request, timed } from './lib/client.mjs';
import { Connector } from './lib/connector.mjs';
import { run } from './lib/process.mjs';
import { Recorder } from './lib/recorder.mjs';
import { Server } from './lib/server.mjs';
import { beginner, pattern, sha256, Target, values } from './lib/target.mjs';

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
	const recorder = await Recorder.start(server.relay);
	await connected({ url: recorder.url, settings: { max_concurrent: 2, requests_max: 4 } }, async () => {
		target.forget();
		const held = Array.from({ length: 4 }, () => relay('web/gate'));
		await target.hits.take();
		await target.hits.take();
		await recorder.invocation('down', 'RequestTarget', held.length);
		await until(async () => (await relay('web/status/200')).status === 503, 'the fifth is refused');
		assert.equal(target.running, 2);
		target.open();
		await target.hits.take();
		await target.hits.take();
		target.open();
		assert.deepEqual((await Promise.all(held)).map((r) => r.status), [200, 200, 200, 200]);
		assert.equal(target.mostRunning, 2);
	});
	await recorder.close();
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
