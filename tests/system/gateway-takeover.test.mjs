/* SIGUSR2: another process takes the listening sockets over, and clients do not notice. */
import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { after, before } from 'node:test';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { check, deferred, until, within } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { getter, load } from './lib/load.mjs';
import { freePort } from './lib/ports.mjs';
import { Heir, execute } from './lib/process.mjs';

let gw;
let echo;
let gate;

before(async () => {
	echo = await Echo.start({
		answer: async (_, reply, seen) => {
			await (seen.url === '/slow' && gate?.promise);
			reply.end(seen.body || '{}');
		},
	});
	const ports = [await freePort(), await freePort(), await freePort()];
	gw = await Gateway.start({
		gateway: {
			listen: [{ address: `127.0.0.1:${ports[0]}`, http2: true }, { address: `127.0.0.1:${ports[1]}`, http2: true, tls: {} }],
			admin: [{ listen: `127.0.0.1:${ports[2]}` }],
		},
	});
	await gw.route({ name: 's', url: echo.url }, { paths: ['/s'] });
});

after(async () => {
	await gw?.close();
	await echo?.close();
});

/* Over HTTP/2, on a connection until the server says GOAWAY, then on another. */
function overHttp2() {
	let session;
	const connect = () => {
		session = http2.connect(gw.proxies[1], { rejectUnauthorized: false });
		session.on('error', () => {});
	};
	/* Node knows of a GOAWAY before it tells; nothing was sent then. */
	const open = () => {
		try {
			return session.request({ ':path': '/s' });
		} catch (error) {
			assert.match(error.code, /^ERR_HTTP2_(GOAWAY_SESSION|INVALID_SESSION)$/);
			connect();
			return session.request({ ':path': '/s' });
		}
	};
	connect();
	return async () => {
		const stream = open();
		const [fields] = await within(once(stream.resume(), 'response'), 'an answer over HTTP/2');
		await within(once(stream, 'close'), 'its end');
		return fields[':status'] === 200 ? undefined : String(fields[':status']);
	};
}

function overTls() {
	const { port } = new URL(gw.proxies[1]);
	return async () => {
		const request = https.get({ host: '127.0.0.1', port, path: '/s', rejectUnauthorized: false, agent: false });
		const [reply] = await within(once(request, 'response'), 'an answer over TLS');
		await within(once(reply.resume(), 'end'), 'its end');
		return reply.statusCode === 200 ? undefined : String(reply.statusCode);
	};
}

check('three takeovers under load: no request fails, whether kept or new, plain, TLS or HTTP/2', async () => {
	const agent = new http.Agent({ keepAlive: true });
	const loads = [load(getter(gw, '/s', agent), 2), load(getter(gw, '/s', false), 2), load(overTls(), 1), load(overHttp2(), 1)];
	const first = gw.child.pid;
	for (let i = 0; i < 3; i++) {
		const seen = loads.map((l) => l.n);
		await until(() => loads.every((l, k) => l.n > seen[k] + 5), 'all of them go on');
		const { code } = await gw.takeOver();
		assert.equal(code, 0);
	}
	assert.notEqual(gw.child.pid, first);
	for (const one of loads) {
		const { n, failed } = await one.stop();
		assert.ok(n > 15, `${n}`);
		assert.deepEqual(failed, []);
	}
	agent.destroy();
	await gw.want(201, 'POST', '/consumers', { username: 'after' });
});

check('what is under way ends in the former process', async () => {
	gate = deferred();
	const slow = gw.post('/s/slow', 'body');
	await until(() => echo.requests.some((r) => r.url === '/slow'), 'the service has it');
	const from = gw.child.lines.length;
	const former = gw.child;
	const gone = gw.takeOver();
	await former.line(/draining/, { from });
	assert.equal((await gw.get('/s')).status, 200);
	gate.resolve();
	const { status, text } = await slow;
	assert.deepEqual([status, text], [200, 'body']);
	assert.equal((await gone).code, 0);
});

check('a process that cannot start changes nothing', async () => {
	const from = gw.child.lines.length;
	const { pid } = gw.child;
	await writeFile(gw.file, 'gateway: {listen: nowhere}');
	gw.child.signal_('SIGUSR2');
	assert.match(await gw.child.line(/failed: this one stays/, { from }), /ended with status 2/);
	assert.equal((await gw.get('/s')).status, 200);
	assert.equal(gw.child.pid, pid);
	await gw.configure();
	await gw.takeOver();
	assert.equal((await gw.get('/s')).status, 200);
});

check('who is asked to end while another starts to take over ends both, and what is under way first', async () => {
	const seen = echo.requests.length;
	const former = gw.child;
	const from = former.lines.length;
	const lines = (pattern) => former.lines.slice(from).filter((l) => pattern.test(l)).length;
	gate = deferred();
	const slow = gw.post('/s/slow', 'body');
	await until(() => echo.requests.slice(seen).some((r) => r.url === '/slow'), 'the service has it');
	/* It waits for its configuration. */
	await rm(gw.file);
	await execute('mkfifo', [gw.file]);
	former.signal_('SIGUSR2');
	const pid = Number(/pid"?[=:]"?(\d+)/.exec(await former.line(/is to take over/, { from }))[1]);
	former.signal_('SIGTERM');
	await former.line(/draining/, { from });
	await gw.configure();
	await until(() => lines(/(^|\s)ready /) === 1 && lines(/draining/) === 2, 'the other is ready, and ends');
	gate.resolve();
	const { status, text } = await slow;
	assert.deepEqual([status, text], [200, 'body']);
	assert.equal((await within(former.exited, 'the former ends')).code, 0);
	await within(new Heir(former, pid).exited, 'the other ends');
	await rm(gw.file);
	await gw.configure();
	await gw.launch();
	assert.equal((await gw.get('/s')).status, 200);
});
