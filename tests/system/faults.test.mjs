/* What breaks: processes that are killed, peers that stall, a full disk, wrong clocks. */
import assert from 'node:assert/strict';
import { afterEach } from 'node:test';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { check, SANITIZED, until, within } from './lib/check.mjs';
import { abortable, request, timed } from './lib/client.mjs';
import { Connector } from './lib/connector.mjs';
import { Hub, negotiate } from './lib/hub.mjs';
import { Idp, now } from './lib/idp.mjs';
import { execute } from './lib/process.mjs';
import { Recorder } from './lib/recorder.mjs';
import { Server } from './lib/server.mjs';
import { SignalrConnector } from './lib/signalr.mjs';
import { pattern, Target } from './lib/target.mjs';

const things = [];
afterEach(async () => {
	while (things.length > 0) {
		await things.pop().close();
	}
});

/* A server with a target and a connector, all closed at the end of the test. */
async function chain({ relay = {}, env = {}, connect = {} } = {}) {
	const server = await Server.start({ relay, env });
	const target = await Target.start();
	things.push(server, target);
	const secret = await server.addTenant('T1');
	const connector = await Connector.start(server, {
		tenant: 'T1', secret, targets: { web: target.url }, ...connect,
	});
	things.push(connector);
	return { server, target, secret, connector };
}

check('kill -9 of the server: the connector is back, no body file of before stays', async () => {
	const { server, target, connector } = await chain();
	const pending = request(server.relay, '/relay/T1/web/gate', { method: 'POST', body: pattern(100_000) })
		.then(() => 'answered', () => 'cut');
	await target.hits.take();
	const from = connector.seenLines;
	await server.kill();
	assert.equal(await pending, 'cut');
	target.open();
	/* What a crash left is removed when it can belong to no request any more: a day later at most. */
	await writeFile(join(server.bodies, 'req_6f1c0000-0000-4000-8000-000000000001'), 'left behind');
	server.env = { POSTHOUSE_CLOCK_OFFSET: '25h' };
	await server.restart();
	await connector.connected({ from });
	assert.equal((await request(server.relay, '/relay/T1/web/bytes/5')).status, 200);
	await server.noBodyFiles();
	const open = await until(async () => {
		const page = await server.stats('/statistics/connections?tenant=T1&active=true');
		return page.totalCount === 1 && page;
	}, 'only the live connection counts as active');
	assert.equal(open.results.length, 1);
});

check('kill -9 of the connector in mid-request: the client gets an answer in time', async () => {
	const { server, target, secret, connector } = await chain({ relay: { request_expiration: '2s' } });
	const { value } = await timed((async () => {
		const pending = request(server.relay, '/relay/T1/web/gate', { method: 'POST', body: pattern(100_000) });
		await target.hits.take();
		await connector.kill();
		return await pending;
	})());
	assert.ok([408, 502, 503].includes(value.status), `${value.status}`);
	assert.equal(value.body.length, 0);
	await server.connections(0);
	await server.noBodyFiles();
	things.push(await Connector.start(server, { tenant: 'T1', secret, targets: { web: target.url } }));
	assert.equal((await request(server.relay, '/relay/T1/web/bytes/5')).status, 200);
});

check('a target that dies, and is back: 502, then 200', async () => {
	const { server, target } = await chain();
	const pending = request(server.relay, '/relay/T1/web/gate');
	await target.hits.take();
	target.cut();
	assert.equal((await pending).status, 502);
	assert.equal((await request(server.relay, '/relay/T1/web/bytes/5')).status, 200);
	/* A kept connection that the target closed in the meantime must not cost a request. */
	for (let i = 0; i < 10; i++) {
		target.cut();
		assert.equal((await request(server.relay, '/relay/T1/web/bytes/5')).status, 200);
	}
});

check('a connector that stops reading is dropped, its memory is bounded, others go on', { timeout: 90_000 }, async () => {
	const { server, secret, connector } = await chain({
		relay: { request_expiration: '3s', keep_alive_interval: '1s' },
	});
	await server.addTenant('other').then(async (theirs) => things.push(await Connector.start(server, {
		tenant: 'other', secret: theirs,
	})));
	connector.child.freeze();
	const before = (await server.footprint()).rss;
	/* 32 MiB of inline bodies: far beyond what the socket buffers take. */
	const body = pattern(16384);
	const stuck = Array.from({ length: 2000 }, () =>
		request(server.relay, '/relay/T1/web/sink', { method: 'POST', body }).then((r) => r.status, () => 0));
	assert.equal((await request(server.relay, '/relay/other/$ping')).text, 'PONG');
	const statuses = new Set(await Promise.all(stuck));
	assert.ok([...statuses].every((s) => [0, 408, 429, 502, 503].includes(s)), [...statuses].join());
	await server.connections(1);
	if (!SANITIZED) {
		const grown = (await server.footprint()).rss - before;
		assert.ok(grown < 160 << 20, `grown by ${grown >> 20} MiB`);
	}
	assert.equal((await request(server.relay, '/relay/other/$ping')).text, 'PONG');
	const from = connector.seenLines;
	connector.child.thaw();
	await connector.connected({ from });
	assert.equal((await request(server.relay, '/relay/T1/$ping')).text, 'PONG');
	assert.ok(secret);
});

check('a connection that looks alive but carries nothing is dropped by both sides', async () => {
	const server = await Server.start({ relay: { keep_alive_interval: '1s' } });
	const recorder = await Recorder.start(server.relay);
	things.push(server, recorder);
	const connector = await Connector.start(server, {
		tenant: 'T1', secret: await server.addTenant('T1'), url: recorder.url,
	});
	things.push(connector);
	recorder.freeze();
	await server.connections(0);
	recorder.cut();
	recorder.thaw();
	await server.connections(1);
	assert.equal((await request(server.relay, '/relay/T1/$ping')).text, 'PONG');
});

check('our connector notices a server that fell silent', async () => {
	const server = await Server.start({ relay: { keep_alive_interval: '1s' } });
	const recorder = await Recorder.start(server.relay);
	things.push(server, recorder);
	const connector = await Connector.start(server, {
		tenant: 'T1', secret: await server.addTenant('T1'), url: recorder.url,
	});
	things.push(connector);
	const old = [...recorder.connections];
	const from = connector.seenLines;
	for (const pair of old) {
		pair.server.pause();
		pair.client.pause();
	}
	await connector.connected({ from });
	for (const pair of old) {
		pair.client.destroy();
	}
	await server.connections(1);
	assert.equal((await request(server.relay, '/relay/T1/$ping')).text, 'PONG');
});

check('a full disk in the body store: refused, nothing left, small requests go on', async (t) => {
	const server = await Server.start();
	things.push(server);
	await server.stop();
	try {
		await execute('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', server.bodies]);
	} catch (error) {
		t.skip(`cannot mount a small disk: ${error.stderr}`);
		return;
	}
	try {
		await server.restart();
		const hub = await SignalrConnector.start(server, { tenant: 'T1', secret: await server.addTenant('T1') });
		const full = await request(server.relay, '/relay/T1/x', { method: 'POST', body: pattern(2 << 20) });
		assert.ok([503, 507].includes(full.status), `${full.status}`);
		await server.noBodyFiles();

		const pending = request(server.relay, '/relay/T1/x', { method: 'POST', body: pattern(20_000) });
		const record = await hub.requests.take();
		assert.ok((await hub.body(record)).equals(pattern(20_000)));
		const stored = await hub.storeBody(record, pattern(2 << 20));
		assert.ok([500, 503, 507].includes(stored.status), `${stored.status}`);
		await hub.deliver(record, { status: 502 });
		assert.equal((await pending).status, 502);
		await server.noBodyFiles();
		await hub.stop();
	} finally {
		await server.stop();
		await execute('umount', [server.bodies]);
	}
});

check('clock: a token from before is refused, the connector gets a new one', async () => {
	const server = await Server.start({ identity: { token_lifetime: '1h' } });
	things.push(server);
	const secret = await server.addTenant('T1');
	const old = await server.token('T1', secret);
	assert.equal((await negotiate(server, { token: old })).status, 200);
	server.env = { POSTHOUSE_CLOCK_OFFSET: '2h' };
	await server.restart();
	const refused = await negotiate(server, { token: old });
	assert.equal(refused.status, 401);
	assert.match(refused.headers.get('www-authenticate'), /invalid_token/);
	assert.equal((await negotiate(server, { token: await server.token('T1', secret) })).status, 200);
});

check('clock: a connector whose clock is wrong by hours still works', async () => {
	for (const offset of ['-3h', '3h']) {
		const { server, connector } = await chain({ connect: { env: { POSTHOUSE_CLOCK_OFFSET: offset } } });
		const reply = await request(server.relay, '/relay/T1/web/sink', { method: 'POST', body: pattern(50_000) });
		assert.equal(reply.status, 200);
		await connector.stop();
	}
});

check('a token that expires does not end a connection, and bodies get a new one', async () => {
	const idp = await Idp.start();
	things.push(idp);
	/* Over, but for the last seconds of the allowed skew. */
	idp.changes = () => ({ exp: now() - 297 });
	const { server, connector } = await chain({ relay: { authority: idp.authority } });
	const old = idp.issued.at(-1);
	idp.changes = () => ({});
	await until(async () => (await negotiate(server, { token: old })).status === 401, 'the token is over');
	const from = connector.seenLines;
	const given = idp.issued.length;
	const reply = await request(server.relay, '/relay/T1/web/chunked/50000', { method: 'POST', body: pattern(50_000) });
	assert.equal(reply.status, 200);
	assert.equal(reply.body.length, 50_000);
	assert.equal(idp.issued.length, given + 1);
	assert.ok(!connector.child.lines.slice(from).some((line) => /^ready\b/.test(line)), 'no new connection');
	await connector.stop();
});

/* Answers come over connections of their own if they are large, or if WebSockets do not pass. */
for (const transport of ['websockets', 'server_sent_events', 'long_polling']) {
	check(`SIGTERM drains: requests in flight are answered over ${transport}, new ones are not taken`, async () => {
		const { server, target } = await chain({ relay: { request_expiration: '20s' }, connect: { settings: { transports: [transport] } } });
		const pending = ['/relay/T1/web/gate', '/relay/T1/web/gate/100000'].map((path) => request(server.relay, path));
		await target.hits.take();
		await target.hits.take();
		const ended = server.stop();
		await until(async () => (await request(server.relay, '/relay/T1/web/bytes/5')).status === 503, 'no more are taken');
		assert.notEqual((await request(server.status, '/health/ready')).status, 200);
		target.open();
		assert.equal((await pending[0]).text, 'through the gate');
		assert.deepEqual((await pending[1]).body, pattern(100_000));
		await ended;
	});
}

check('SIGUSR2: a connector without work goes to the heir, whatever others wait for', async () => {
	const { server } = await chain({ relay: { request_expiration: '60s' } });
	await server.addTenant('T2');
	const waiting = abortable(server.relay, '/relay/T2/web/a', { ms: 60_000 });
	await until(async () => await server.metric('posthouse_relay_requests_queued') === 1, 'it waits');
	const former = server.child;
	await server.takeOver();
	/* The former process may accept one more, and answers it with 503. */
	const { ms } = await timed(until(async () => (await request(server.relay, '/relay/T1/$ping')).status === 200, 'the heir answers'));
	assert.ok(ms < 10_000, `${ms} ms`);
	assert.ok(former.isRunning, 'where the other request still waits');
	waiting.abort();
	assert.ok((await waiting.done).error);
	assert.equal((await within(former.exited, 'the former process ends')).code, 0);
});

check('SIGHUP reloads the configuration without dropping a connection', async () => {
	const { server } = await chain();
	const hub = await Hub.open(server, { token: await server.token('T1', await server.newSecret('T1')) });
	await server.configure({ management: { api_keys: [{ key: 'new-key', may: 'read' }] } });
	process.kill(server.child.pid, 'SIGHUP');
	await until(async () => (await server.manage('GET', '/management/tenants', undefined, 'new-key')).status === 200,
		'the new key is known');
	assert.equal((await server.manage('GET', '/management/tenants', undefined, 'read-key')).status, 401);
	assert.equal(hub.socket.readyState, 1);
	hub.close();
});

check('drain_timeout is that of the last reload', async () => {
	const server = await Server.start();
	things.push(server);
	const config = JSON.parse(await readFile(server.config, 'utf8'));
	await writeFile(server.config, JSON.stringify({ ...config, drain_timeout: '4321ms' }));
	process.kill(server.child.pid, 'SIGHUP');
	await server.child.line(/configuration reloaded/);
	await server.stop();
	const line = await until(() => server.child.lines.find((l) => /"draining"/.test(l)), 'draining is told');
	assert.equal(JSON.parse(line).timeout_ms, 4321);
});

check('as many loops run as were asked for', async () => {
	const server = await Server.start({ env: { POSTHOUSE_LOOPS: '65' } });
	things.push(server);
	const tasks = `/proc/${server.child.pid}/task`;
	const names = await Promise.all((await readdir(tasks)).map((id) => readFile(join(tasks, id, 'comm'), 'utf8')));
	assert.equal(names.filter((name) => /^loop/.test(name)).length, 65);
});

check('a request is answered by the rules that it came under, however often they were replaced', async () => {
	/* Rules come to loops one by one. */
	const { server, target } = await chain({ env: { POSTHOUSE_LOOPS: '1' } });
	const rule = (value) => ({ relay: { interceptors: [{ set_response_headers: { 'X-Rule': value } }] } });
	const replace = async (value) => {
		await server.configure(rule(value));
		process.kill(server.child.pid, 'SIGHUP');
		await until(async () => (await request(server.relay, '/relay/T1/web/bytes/5')).headers['x-rule'] === value, `rule ${value}`);
	};

	await replace('first');
	target.forget();
	const pending = request(server.relay, '/relay/T1/web/gate');
	await target.hits.take();
	await replace('second');
	target.open();
	assert.equal((await pending).headers['x-rule'], 'first');
});

check('a configuration that is wrong names its key, and the exit code is 2', async () => {
	const server = await Server.start();
	things.push(server);
	await server.stop();
	await server.configure({ relay: { request_expiration: 'soon' } });
	await assert.rejects(server.launch(), /request_expiration/);
	await server.child.exited;
	assert.equal(server.child.code, 2);
});

check('a body folder that cannot be written to fails the start', async () => {
	const server = await Server.start();
	things.push(server);
	await server.stop();
	await mkdir(join(server.dir, 'file'), { recursive: true });
	await server.configure({ relay: { bodies: 'file:/proc/nowhere' } });
	await assert.rejects(server.launch(), /bodies|\/proc\/nowhere/);
});
