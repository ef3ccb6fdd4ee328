/* SIGUSR2: another process takes the listening sockets over, and clients do not notice. */
import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { after, before } from 'node:test';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { selfSigned } from './lib/certificate.mjs';
import { check, deferred, until, within } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { getter, kong, load } from './lib/load.mjs';
import { freePort } from './lib/ports.mjs';
import { Heir, execute } from './lib/process.mjs';

let gw;
let echo;
let gate;

async function atFixedPorts() {
	const ports = [await freePort(), await freePort(), await freePort()];
	return {
		listen: [{ address: `127.0.0.1:${ports[0]}`, http2: true }, { address: `127.0.0.1:${ports[1]}`, http2: true, tls: {} }],
		admin: [{ listen: `127.0.0.1:${ports[2]}` }],
	};
}

before(async () => {
	echo = await Echo.start({
		answer: async (_, reply, seen) => {
			await (seen.url === '/slow' && gate?.promise);
			reply.end(seen.body || '{}');
		},
	});
	gw = await Gateway.start({ gateway: await atFixedPorts() });
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

check('a process that gets all its addresses but the last takes no connection before it gives up', async () => {
	const taken = echo.port;
	const loads = [load(getter(gw, '/s', false), 8), load(overTls(), 2)];
	await gw.configure({ status: { listen: `127.0.0.1:${taken}` } });
	for (let i = 0; i < 5; i++) {
		const from = gw.child.lines.length;
		gw.child.signal_('SIGUSR2');
		await gw.child.line(/failed: this one stays/, { from });
		assert.ok(gw.child.lines.slice(from).some((l) => l.includes(`cannot listen on 127.0.0.1:${taken}`)));
	}
	delete gw.sections.status;
	await gw.configure();
	for (const one of loads) {
		const { n, failed } = await one.stop();
		assert.ok(n > 0);
		assert.deepEqual(failed, []);
	}
});

check('a wider address, and a narrower one again, need no restart', async () => {
	const former = gw.sections.gateway;
	const wider = former.listen.map((l) => ({ ...l, address: l.address.replace('127.0.0.1', '0.0.0.0') }));
	const loads = [load(getter(gw, '/s', false), 4), load(overTls(), 2)];
	await gw.configure({ gateway: { listen: wider } });
	await gw.takeOver();
	for (const one of loads) {
		const { n, failed } = await one.stop();
		assert.ok(n > 0);
		assert.deepEqual(failed, []);
	}
	const elsewhere = gw.proxies[0].replace(/\/\/[^:]*/, '//127.0.0.2');
	assert.equal((await fetch(`${elsewhere}/s`)).status, 200);
	await gw.configure({ gateway: { listen: former.listen } });
	await gw.takeOver();
	assert.equal((await gw.get('/s')).status, 200);
	await assert.rejects(fetch(`${elsewhere}/s`));
});

check('a reload refuses what the next start would', async () => {
	const { listen } = await atFixedPorts();
	for (const [values, said] of [
		[{ listen: ['localhost:1'] }, /no address to listen on/],
		[{ listen: [listen[0], listen[0]] }, /is taken by/],
		[{ trusted_ips: ['1.2.3.4/99'] }, /is not a network/],
		[{ listen: [{ address: listen[0].address, tls: { ciphers: 'FOO' } }] }, /no such ciphers/],
	]) {
		const from = gw.child.lines.length;
		const was = gw.sections.gateway;
		await gw.configure({ gateway: values });
		gw.child.signal_('SIGHUP');
		assert.match(await gw.child.line(/configuration (not )?reloaded/, { from }), said);
		gw.sections.gateway = was;
	}
	await gw.configure();
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

/* ---- a configuration that came by POST /config ---- */

const KINDS = ['acls', 'basicauth_credentials', 'ca_certificates', 'certificates', 'consumers', 'keyauth_credentials', 'plugins', 'routes',
	'services', 'snis', 'targets', 'upstreams', 'vaults'];

/* Something of each kind, and names, ids, tags and times. */
async function everything(dir) {
	const { key, cert } = await selfSigned(dir, 'kept.example');
	const authority = await selfSigned(dir, 'authority.example');
	return {
		_format_version: '3.0',
		services: [{ name: 's', url: echo.url, tags: ['a', 'b'], created_at: 1000, routes: [
			{ name: 'open', paths: ['/open'], headers: { 'x-kind': ['on', '1', 'null'] } },
			{ name: 'load', paths: ['/load'] },
			{ paths: ['/keys'], plugins: [{ name: 'key-auth' }, { name: 'acl', config: { allow: ['friends'] } }] },
			{ paths: ['/passwords'], plugins: [{ name: 'basic-auth', instance_name: 'one' }] },
		] }],
		consumers: [{ username: 'jane', custom_id: '007', acls: [{ group: 'friends' }],
			keyauth_credentials: [{ key: 'jane-s-key', tags: ['k'] }, { key: 'short', ttl: 1000 }],
			basicauth_credentials: [{ username: 'jane', password: 'jane-s-password' }] }],
		upstreams: [{ name: 'u', targets: [{ target: '127.0.0.1:1', weight: 7 }] }],
		certificates: [{ cert, key, snis: [{ name: 'kept.example' }] }],
		ca_certificates: [{ cert: authority.cert }],
		vaults: [{ name: 'env', prefix: 'mine', config: { prefix: 'MINE_' } }],
	};
}

/* GET /config but for what a ttl has left, and the two that a key has of it. */
async function inForce(posted) {
	const { config } = (await posted.want(200, 'GET', '/config')).json;
	const [, left] = /ttl: (\d+)/.exec(config);
	assert.ok(Number(left) > 900 && Number(left) <= 1000, left);
	return config.replace(/ttl: \d+/, 'ttl: N');
}

/* A gateway that has nothing but what is posted. */
async function postedTo(fn, gateway = { declarative_text: '' }) {
	const posted = await Gateway.start({ gateway: { ...await atFixedPorts(), ...gateway } });
	try {
		await fn(posted);
	} finally {
		await posted.close();
	}
}

const basic = `Basic ${Buffer.from('jane:jane-s-password').toString('base64')}`;

check('what was posted goes along, with all that there is in it, and no request sees a gateway without it', () => postedTo(async (posted) => {
	const file = await everything(posted.dir);
	const reply = (await posted.want(201, 'POST', '/config', file)).json;
	assert.deepEqual(Object.keys(reply).sort(), KINDS);
	const before_ = await inForce(posted);
	const traffic = load(getter(posted, '/load', false), 2);
	for (let i = 0; i < 2; i++) {
		assert.equal((await posted.takeOver()).code, 0);
	}
	const { n, failed } = await traffic.stop();
	assert.ok(n > 2, `${n}`);
	assert.deepEqual(failed, []);
	assert.equal(await inForce(posted), before_);
	assert.equal((await posted.get('/open', { 'x-kind': 'on' })).status, 200);
	assert.equal((await posted.get('/keys', { apikey: 'jane-s-key' })).status, 200);
	assert.equal((await posted.get('/keys', { apikey: 'other' })).status, 401);
	assert.equal((await posted.get('/passwords', { authorization: basic })).status, 200);
	await posted.want(304, 'POST', '/config?check_hash=1', file);
	for (const secret of ['jane-s-key', 'jane-s-password', 'PRIVATE KEY']) {
		assert.ok(!posted.child.lines.some((line) => line.includes(secret)), `${secret} in the log`);
	}

	/* Nobody was there to leave it to. */
	await posted.kill();
	await posted.launch();
	assert.equal((await posted.get('/load')).status, 404);
}));

const withRoute = (path) => kong(echo.url, path, 0);
const YAML = { type: 'application/yaml' };

check('while another process starts nothing is posted that it would not have', () => postedTo(async (posted) => {
	await posted.want(201, 'POST', '/config', withRoute('/one'), YAML);
	const former = posted.child;
	const from = former.lines.length;
	/* It waits for its configuration. */
	await rm(posted.file);
	await execute('mkfifo', [posted.file]);
	const over = posted.takeOver();
	await former.line(/is to take over/, { from });
	const refused = await posted.want(503, 'POST', '/config', withRoute('/two'), YAML);
	assert.equal(refused.json.message, 'a new process is starting, nothing is loaded meanwhile');
	assert.equal(refused.headers['retry-after'], '1');
	assert.equal((await posted.get('/one')).status, 200);
	await posted.configure();
	await over;
	assert.equal((await posted.get('/one')).status, 200);
	await rm(posted.file);
	await posted.want(201, 'POST', '/config', withRoute('/two'), YAML);

	/* And again when that process failed. */
	await posted.configure();
	await writeFile(posted.file, 'gateway: {listen: nowhere}');
	const later = posted.child.lines.length;
	posted.child.signal_('SIGUSR2');
	await posted.child.line(/failed: this one stays/, { from: later });
	assert.equal((await posted.get('/two')).status, 200);
	await posted.want(201, 'POST', '/config', withRoute('/three'), YAML);
	await posted.configure();
	await posted.takeOver();
	assert.equal((await posted.get('/three')).status, 200);
}));

check('a file is in force again after a takeover, as after a reload', () => postedTo(async (posted) => {
	await posted.want(201, 'POST', '/config', withRoute('/posted'), YAML);
	assert.equal((await posted.get('/file')).status, 404);
	await posted.takeOver();
	assert.equal((await posted.get('/posted')).status, 404);
	assert.equal((await posted.get('/file')).status, 200);
}, { declarative_text: withRoute('/file') }));
