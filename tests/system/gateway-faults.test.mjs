/* What breaks around a gateway: kills, a second process, a lost database, reloads and rotation under load. */
import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { once } from 'node:events';
import { afterEach } from 'node:test';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { selfSigned } from './lib/certificate.mjs';
import { check, deferred, event, SANITIZED, SLOWNESS, until, within } from './lib/check.mjs';
import { request } from './lib/client.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { getter, kong, load } from './lib/load.mjs';
import { execute } from './lib/process.mjs';
import { ENGINE } from './lib/server.mjs';

const PG = process.env.POSTHOUSE_TEST_PG;

const things = [];
afterEach(async () => {
	while (things.length > 0) {
		await things.pop().close();
	}
});

async function start(sections = {}, echoOptions) {
	const echo = await Echo.start(echoOptions);
	things.push(echo);
	const gw = await Gateway.start(sections);
	things.push(gw);
	return { gw, echo };
}

check(`kill -9 between writes: what was acknowledged is there, on ${ENGINE}`, async () => {
	const { gw, echo } = await start();
	await gw.route({ name: 's', url: echo.url }, { paths: ['/s'] });
	const acknowledged = [];
	for (let round = 0; round < 3; round++) {
		const target = acknowledged.length + 5;
		const writers = [0, 1].map(async (writer) => {
			for (let i = 0; ; i++) {
				const name = `c${round}-${writer}-${i}`;
				/* The kill may come before, within or after a write. */
				const reply = await gw.admin('POST', '/consumers', { username: name }).catch(() => undefined);
				if (reply?.status !== 201) {
					return;
				}
				acknowledged.push(name);
			}
		});
		await until(() => acknowledged.length >= target, 'some were acknowledged');
		await gw.kill();
		await Promise.all(writers);
		await gw.launch();
		assert.equal((await gw.get('/s')).status, 200, 'routes are there at the first request');
		for (const name of acknowledged) {
			await gw.want(200, 'GET', `/consumers/${name}`);
		}
	}
});

check('two processes on one database: the other one follows within 2 s', async () => {
	const { gw: one, echo } = await start();
	const two = await Gateway.start({ database: one.database });
	things.push(two);
	const follows = async (ask, what) => {
		const began = performance.now();
		await until(ask, what);
		const took = performance.now() - began;
		assert.ok(took < 2000 * SLOWNESS, `${what}: after ${took.toFixed()} ms`);
	};
	await one.route({ name: 's', url: echo.url }, { name: 'r', paths: ['/s'] });
	assert.equal((await one.get('/s')).status, 200);
	await follows(async () => (await two.get('/s')).status === 200, 'a new route');
	await two.make('/services/s/plugins', { name: 'key-auth' });
	assert.equal((await two.get('/s')).status, 401);
	await follows(async () => (await one.get('/s')).status === 401, 'a plugin');
	await one.make('/consumers', { username: 'jane' });
	await one.make('/consumers/jane/key-auth', { key: 'k' });
	await follows(async () => (await two.get('/s', { apikey: 'k' })).status === 200, 'a credential');
	await two.make('/consumers/jane', undefined, 'DELETE');
	await follows(async () => (await one.get('/s', { apikey: 'k' })).status === 401, 'a consumer that is gone');
	await one.make('/routes/r', undefined, 'DELETE');
	await follows(async () => (await two.get('/s')).status === 404, 'a route that is gone');
});

const psql = (sql) => execute('psql', ['-qX', '-v', 'ON_ERROR_STOP=1', '-c', sql, PG]);

check('the database is away: the proxy goes on, the Admin API says so', { skip: ENGINE !== 'postgres' }, async () => {
	const { gw, echo } = await start();
	await gw.route({ name: 's', url: echo.url }, { paths: ['/s'] });
	await gw.make('/services/s/plugins', { name: 'key-auth' });
	await gw.make('/consumers', { username: 'jane' });
	await gw.make('/consumers/jane/key-auth', { key: 'k' });
	const name = /\/(system_\w+)/.exec(gw.database)[1];
	const away = `UPDATE pg_database SET datallowconn = false WHERE datname = '${name}'`;
	await psql(`${away}; `);
	await psql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${name}'`);
	const reachable = async (url) => /^kong_datastore_reachable (\d)$/m.exec((await request(url, '/metrics')).text)?.[1];
	const bothSay = (value) => async () => await reachable(gw.status) === value && await reachable(gw.adminUrl) === value;
	const traffic = load(async () => {
		const { status, text } = await gw.get('/s', { apikey: 'k' });
		return status === 200 ? undefined : `${status} ${text}`;
	}, 2);
	try {
		for (const [method, path, body] of [['GET', '/services'], ['POST', '/consumers', { username: 'x' }]]) {
			const { status, json } = await gw.admin(method, path, body);
			assert.ok(status >= 500 && status <= 503, `${status}`);
			assert.ok(json.message.length > 0);
			assert.doesNotMatch(json.message, /FATAL|pg_|system_/, 'nothing of the database leaks');
		}
		const asked = async (path) => await request(gw.status, path);
		const ready = await asked('/status/ready');
		assert.deepEqual([ready.status, ready.json.message], [503, 'failed to connect to database']);
		assert.deepEqual((await asked('/status')).json.database, { reachable: false });
		await gw.child.line(/cannot be read/);
		await until(bothSay('0'), 'the metrics tell it');
	} finally {
		await psql(`UPDATE pg_database SET datallowconn = true WHERE datname = '${name}'`);
	}
	await until(async () => (await gw.admin('POST', '/consumers', { username: 'after' })).status === 201,
		'writes work again');
	await until(bothSay('1'), 'the metrics tell that, too');
	await until(async () => (await request(gw.status, '/status/ready')).status === 200, 'it is ready again');
	const { n, failed } = await traffic.stop();
	assert.ok(n > 0);
	assert.deepEqual(failed, []);
});

/* Lines of the start may still come. */
function reloadTold(child) {
	const told = new Promise((resolve) => child.on('line', function look(line) {
		if (/configuration (not )?reloaded/.test(line)) {
			child.off('line', look);
			resolve(line);
		}
	}));
	return within(told, 'the reload is told');
}

const RELOADS = SANITIZED ? 60 : 300;

check(`SIGHUP with a good and a bad file ${RELOADS} times: no request fails, memory stays`, { timeout: 240_000 }, async () => {
	const echo = await Echo.start({ answer: (_, reply) => reply.end('{}') });
	things.push(echo);
	const dir = await Gateway.start();
	things.push(dir);
	const file = join(dir.dir, 'kong.yml');
	await writeFile(file, kong(echo.url, '/v0'));
	const gw = await Gateway.start({ gateway: { declarative: file } });
	things.push(gw);
	const agent = new http.Agent({ keepAlive: true });
	const traffic = load(getter(gw, '/load', agent), 2);
	const rss = [];
	for (let i = 1; i <= RELOADS; i++) {
		const isGood = i % 2 === 1;
		await writeFile(file, isGood ? kong(echo.url, `/v${i}`) : `${kong(echo.url, '/bad')}- {name: nobody}\n`);
		const said = reloadTold(gw.child);
		gw.child.signal_('SIGHUP');
		const line = await said;
		assert.match(line, isGood ? /configuration reloaded/ : /configuration not reloaded.*kong\.yml:\d+: /);
		if (i % 50 === 0) {
			rss.push(await gw.rss());
		}
	}
	assert.equal((await gw.get(`/v${RELOADS - 1}`)).status, 200);
	assert.equal((await gw.get(`/v${RELOADS - 3}`)).status, 404);
	assert.equal((await gw.get('/bad')).status, 404);
	const { n, failed } = await traffic.stop();
	agent.destroy();
	assert.ok(n > RELOADS, `${n} requests`);
	assert.deepEqual(failed, []);
	if (!SANITIZED) {
		/* One generation of 200 routes takes some 100 KiB: 100 of them would be seen. */
		const grown = rss.at(-1) - rss[1];
		assert.ok(grown < 4 << 20, `grown by ${grown >> 10} KiB: ${rss.map((r) => r >> 10)}`);
	}
});

/* One request on a TLS connection of its own: the name in the certificate. */
async function subject(port, path) {
	const request = https.get({
		host: '127.0.0.1', port, path, servername: 'rotate.test', rejectUnauthorized: false, agent: false,
	});
	const [reply] = await within(once(request, 'response'), 'an answer over TLS');
	const { CN } = reply.socket.getPeerCertificate().subject;
	for await (const chunk of reply) {
		void chunk;
	}
	assert.equal(reply.statusCode, 200);
	return CN;
}

check('a certificate is rotated under load without a failed request', { timeout: 120_000 }, async () => {
	const { gw, echo } = await start({ gateway: { listen: [{ address: '127.0.0.1:0', tls: {} }] } });
	const { port } = new URL(gw.proxies[0]);
	await gw.route({ name: 's', url: echo.url }, { paths: ['/s'], protocols: ['https'] });
	const pairs = [await selfSigned(gw.dir, 'first'), await selfSigned(gw.dir, 'second')];
	const { id } = await gw.make('/certificates', { ...pairs[0], snis: ['rotate.test'] });
	assert.equal(await subject(port, '/s'), 'first');
	const traffic = load(async () => {
		const name = await subject(port, '/s');
		return ['first', 'second'].includes(name) ? undefined : name;
	}, 2);
	for (let i = 1; i <= 30; i++) {
		const seen = traffic.n;
		await gw.make(`/certificates/${id}`, pairs[i % 2], 'PATCH');
		assert.equal(await subject(port, '/s'), ['first', 'second'][i % 2], 'in force when acknowledged');
		await until(() => traffic.n > seen, 'traffic goes on');
	}
	const { n, failed } = await traffic.stop();
	assert.ok(n >= 30);
	assert.deepEqual(failed, []);
});

check('SIGTERM: requests and a WebSocket under way end in their time, new ones are refused', async () => {
	const gate = deferred();
	const { gw, echo } = await start({}, {
		answer: async (_, reply, seen) => {
			await gate.promise;
			reply.end(JSON.stringify(seen));
		},
	});
	echo.server.on('upgrade', (_, socket, head) => {
		socket.on('error', () => {});
		socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
			'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n');
		socket.write(head);
		socket.pipe(socket);
	});
	await gw.route({ name: 's', url: echo.url }, { paths: ['/s'] });
	const slow = gw.post('/s/slow', 'body');
	await echo.hits.take();
	const upgrade = http.get(`${gw.proxy}/s/ws`, {
		headers: {
			Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
			'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
		},
		agent: false,
	});
	const [answer, socket] = await event(upgrade, 'upgrade', 'the WebSocket is open');
	assert.equal(answer.statusCode, 101);
	/* What flows through a tunnel is none of the proxy's business. */
	const roundTrip = async (text) => {
		const back = event(socket, 'data', `${text} comes back`);
		socket.write(text);
		assert.equal(String((await back)[0]), text);
	};
	await roundTrip('before');

	gw.child.signal_('SIGTERM');
	await gw.child.line(/draining/);
	const { hostname, port } = new URL(gw.proxy);
	await until(async () => {
		const probe = net.connect({ host: hostname, port });
		try {
			await once(probe, 'connect');
			return false;
		} catch {
			return true;
		} finally {
			probe.destroy();
		}
	}, 'nobody new gets in');
	const ready = await request(gw.status, '/status/ready');
	assert.deepEqual([ready.status, ready.json.message], [503, 'shutting down']);
	await roundTrip('while it drains');
	gate.resolve();
	const { status, json } = await slow;
	assert.equal(status, 200);
	assert.equal(json.body, 'body');
	await roundTrip('the last one');
	assert.ok(gw.child.isRunning);
	socket.end();
	const { code } = await within(gw.child.exited, 'it ends when nothing is under way');
	assert.equal(code, 0);
});

/* It sends as long as it can. */
function uploadWithoutEnd(url) {
	const { hostname, port } = new URL(url);
	const socket = net.connect({ host: hostname, port });
	const piece = '1\r\nx\r\n'.repeat(10_000);
	const pour = () => {
		while (socket.writable && socket.write(piece)) {
			/* more */
		}
	};
	socket.on('error', () => {});
	socket.on('drain', pour);
	socket.write('POST /s HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n');
	pour();
	return socket;
}

for (const reads of [true, false]) {
	check(`SIGTERM: uploads to a service that reads ${reads ? 'all' : 'nothing'} end with drain_timeout`, async () => {
		const gw = await Gateway.start({ drain_timeout: '1s' });
		things.push(gw);
		const seen = deferred();
		const sockets = [];
		const service = net.createServer((socket) => {
			sockets.push(socket);
			socket.on('error', () => {});
			socket.once('data', () => {
				seen.resolve();
				if (!reads) {
					socket.pause();
				}
			});
		});
		service.listen(0, '127.0.0.1');
		await once(service, 'listening');
		await gw.route({ name: 's', url: `http://127.0.0.1:${service.address().port}` }, { paths: ['/s'] });
		for (let i = 0; i < 4; i++) {
			sockets.push(uploadWithoutEnd(gw.proxy));
		}
		try {
			await within(seen.promise, 'the service sees an upload');
			gw.child.signal_('SIGTERM');
			assert.equal((await within(gw.child.exited, 'it ends')).code, 0);
		} finally {
			service.close();
			sockets.forEach((socket) => socket.destroy());
		}
	});
}
