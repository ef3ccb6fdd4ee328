/* The balancer behind the proxy: shares, stickiness, health, names; acceptance checks 12, 27 and 29. */
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import net from 'node:net';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before } from 'node:test';
import { check, deferred, until } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { CLOSED_PORT, freePort } from './lib/ports.mjs';
import { ENGINE } from './lib/server.mjs';

let gw;
const things = [];

before(async () => {
	/* Each loop goes round on its own: shares are as exact as there are few. */
	gw = await Gateway.start({ loops: 2 });
});

after(() => gw?.close());

afterEach(async () => {
	while (things.length > 0) {
		await things.pop().close();
	}
});

/* `handler(echo, request, reply)` may answer itself, and then returns true. */
async function echoOf(handler = () => false, port = 0) {
	const echo = await Echo.start({
		port,
		answer: async (request, reply, seen) => {
			if (!await handler(echo, request, reply)) {
				reply.end(JSON.stringify(seen));
			}
		},
	});
	echo.address = `127.0.0.1:${echo.port}`;
	return echo;
}

const hits = (echo) => echo.requests.length;

async function echoes(n, handler) {
	const list = [];
	for (let i = 0; i < n; i++) {
		list.push(await echoOf(handler));
		things.push(list[i]);
	}
	return list;
}

const targetOf = (target) => (target.target ? target : { target: target.address ?? target });

const serve = (name, service) => gw.route({ name, ...service }, { name, paths: [`/${name}`] });

/* An upstream with targets, and the way to it on the path of its name. */
async function upstream(name, settings, targets, service = {}) {
	await gw.want(201, 'POST', '/upstreams', { name, ...settings });
	for (const target of targets) {
		await gw.want(201, 'POST', `/upstreams/${name}/targets`, targetOf(target));
	}
	await serve(name, { host: name, ...service });
}

async function ask(path, options) {
	const reply = await fetch(gw.proxy + path, options);
	const text = await reply.text();
	return { status: reply.status, headers: reply.headers, text, json: reply.ok ? JSON.parse(text) : undefined };
}

/* The target that served it. */
async function server(path, options) {
	const { status, json, text } = await ask(path, options);
	assert.equal(status, 200, text);
	return json.port;
}

/* How many of n requests each target got. */
async function shares(path, n, options = () => undefined) {
	const counts = new Map();
	let i = 0;
	await Promise.all(Array.from({ length: 4 }, async () => {
		while (i < n) {
			const port = await server(path, options(i++));
			counts.set(port, (counts.get(port) ?? 0) + 1);
		}
	}));
	return counts;
}

async function health(name) {
	const { data } = (await gw.want(200, 'GET', `/upstreams/${name}/health`)).json;
	return Object.fromEntries(data.map((t) => [t.target, t.health]));
}

async function whole(name) {
	return (await gw.want(200, 'GET', `/upstreams/${name}/health?balancer_health=1`)).json.data;
}

const ill = (name, target, word = 'unhealthy') =>
	gw.want(204, 'PUT', `/upstreams/${name}/targets/${target.address ?? target}/${word}`);

check(`check 29: shares follow the weights, on ${ENGINE}`, async () => {
	const [a, b, c, none] = await echoes(4);
	await upstream('weights', {}, [
		{ target: a.address, weight: 100 }, { target: b.address, weight: 300 },
		{ target: c.address, weight: 600 }, { target: none.address, weight: 0 },
	]);
	let counts = await shares('/weights', 1000);
	for (const [echo, share] of [[a, 100], [b, 300], [c, 600]]) {
		const got = counts.get(echo.port);
		assert.ok(Math.abs(got - share) <= share * 0.05, `${got} of 1000 instead of ${share}`);
	}
	assert.equal(hits(none), 0, 'a weight of 0 gets nothing');

	/* What a change acknowledges is in force. */
	await gw.want(200, 'PATCH', `/upstreams/weights/targets/${c.address}`, { weight: 0 });
	const before_ = hits(c);
	counts = await shares('/weights', 200);
	assert.equal(hits(c), before_);
	assert.ok(Math.abs(counts.get(a.port) - 50) <= 2.5, `${counts.get(a.port)} of 200 instead of 50`);
	await gw.want(204, 'DELETE', `/upstreams/weights/targets/${b.address}`);
	assert.deepEqual([...(await shares('/weights', 20)).keys()], [a.port]);
});

check('check 29: what is null is used as by default', async () => {
	const [a] = await echoes(1);
	await upstream('nulls', { algorithm: null, slots: null, hash_on: null, healthchecks: { threshold: null } },
		[{ target: a.address, weight: null }]);
	assert.deepEqual([...(await shares('/nulls', 3)).keys()], [a.port]);
});

check('check 29: hashing a header sticks, and moves only what it must', async () => {
	const list = await echoes(3);
	await upstream('header', {
		algorithm: 'consistent-hashing', hash_on: 'header', hash_on_header: 'X-User',
		hash_fallback: 'query_arg', hash_fallback_query_arg: 'user',
	}, list);
	const to = (user) => server('/header', { headers: { 'X-User': user } });
	const homes = new Map();
	for (let i = 0; i < 60; i++) {
		homes.set(`u${i}`, await to(`u${i}`));
	}
	for (const echo of list) {
		const n = [...homes.values()].filter((port) => port === echo.port).length;
		assert.ok(n >= 6, `${n} of 60 keys`);
	}
	for (const [user, port] of homes) {
		assert.equal(await to(user), port, user);
	}
	/* Without the header the fallback counts. */
	const fallback = await server('/header?user=jane');
	for (let i = 0; i < 10; i++) {
		assert.equal(await server('/header?user=jane'), fallback);
	}
	await ill('header', list[0]);
	for (const [user, port] of homes) {
		const now = await to(user);
		assert.ok(port === list[0].port ? now !== port : now === port, user);
	}
	await ill('header', list[0], 'healthy');
	for (const [user, port] of homes) {
		assert.equal(await to(user), port, user);
	}
});

check('check 29: hashing a header takes the consumer from authentication, and Host from the client', async () => {
	const list = await echoes(3);
	await upstream('who', { algorithm: 'consistent-hashing', hash_on: 'header', hash_on_header: 'X-Consumer-Username' }, list);
	await gw.make('/routes/who/plugins', { name: 'key-auth' });
	const homes = new Set();
	for (let i = 0; i < 12; i++) {
		await gw.make('/consumers', { username: `c${i}` });
		await gw.make(`/consumers/c${i}/key-auth`, { key: `k${i}` });
		homes.add(await server('/who', { headers: { apikey: `k${i}` } }));
	}
	assert.ok(homes.size > 1, 'consumers are spread');
	const home = await server('/who', { headers: { apikey: 'k0' } });
	for (let i = 0; i < 12; i++) {
		assert.equal(await server('/who', { headers: { apikey: 'k0', 'X-Consumer-Username': `c${i}` } }), home);
	}

	await upstream('hosts', { algorithm: 'consistent-hashing', hash_on: 'header', hash_on_header: 'Host' }, list);
	const hosts = new Set();
	for (let i = 0; i < 12; i++) {
		hosts.add((await gw.get('/hosts', { Host: `h${i}.test` })).json.port);
	}
	assert.ok(hosts.size > 1, 'names are spread');
});

check('check 29: hashing a cookie that the first answer gives', async () => {
	const list = await echoes(3);
	await upstream('cookie', {
		algorithm: 'consistent-hashing', hash_on: 'cookie', hash_on_cookie: 'sid', hash_on_cookie_path: '/cookie',
	}, list);
	const used = new Set();
	for (let i = 0; i < 12; i++) {
		const first = await ask('/cookie');
		const cookie = first.headers.get('set-cookie');
		assert.match(cookie, /^sid=[0-9a-f-]{36}; Path=\/cookie; SameSite=Lax; HttpOnly$/);
		used.add(first.json.port);
		for (let k = 0; k < 5; k++) {
			const next = await ask('/cookie', { headers: { Cookie: `x=y; ${cookie.split(';')[0]}` } });
			assert.equal(next.json.port, first.json.port);
			assert.equal(next.headers.get('set-cookie'), null);
		}
	}
	assert.ok(used.size > 1, 'new clients are spread');
});

check('least-connections leaves the busy one alone; latency prefers the fast one', async () => {
	const gate = deferred();
	const [busy, idle] = await echoes(2, async (echo) => {
		if (echo.isBusy) {
			await gate.promise;
		}
	});
	busy.isBusy = true;
	await upstream('least', { algorithm: 'least-connections' }, [busy, idle]);
	const held = [];
	while (hits(busy) < 1) {
		held.push(ask('/least'));
		await until(() => hits(busy) + hits(idle) >= held.length, 'it has arrived');
	}
	for (let i = 0; i < 20; i++) {
		assert.equal(await server('/least'), idle.port);
	}
	gate.resolve();
	await Promise.all(held);

	const [slow, fast] = await echoes(2, (echo) => echo.isSlow && new Promise((done) => {
		setTimeout(() => done(false), 100);
	}));
	slow.isSlow = true;
	await upstream('latency', { algorithm: 'latency' }, [slow, fast]);
	for (let i = 0; i < 40; i++) {
		await server('/latency');
	}
	assert.ok(hits(fast) > hits(slow) * 2, `${hits(fast)} to the fast one, ${hits(slow)} to the slow one`);
});

check('check 27: a dead target costs a try, no request', async () => {
	const [alive] = await echoes(1);
	await upstream('dead', {}, [alive, `127.0.0.1:${CLOSED_PORT}`]);
	assert.deepEqual([...await shares('/dead', 40)], [[alive.port, 40]]);
	/* Nothing was sent yet when a connection is refused: any method goes on. */
	for (let i = 0; i < 10; i++) {
		const { json } = await ask('/dead', { method: 'POST', body: 'once' });
		assert.equal(json.body, 'once');
	}
});

/* The record of a request, from the file of a file-log. */
async function record(file, path) {
	return await until(async () => {
		const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n').slice(0, -1);
		return lines.map((line) => JSON.parse(line)).find((r) => r.request.uri === path);
	}, `a record of ${path}`);
}

const BAD_GATEWAY = 'An invalid response was received from the upstream server';

check('check 27: a dead upstream is 502 after retries + 1 tries', async () => {
	const file = join(gw.dir, 'tries.log');
	await upstream('alldead', {}, [`127.0.0.1:${CLOSED_PORT}`], { retries: 3 });
	await serve('deadhost', { host: '127.0.0.1', port: CLOSED_PORT });
	for (const [name, tries] of [['alldead', 4], ['deadhost', 6]]) {
		await gw.make(`/routes/${name}/plugins`, { name: 'file-log', config: { path: file } });
		for (const method of ['GET', 'POST']) {
			const { status, text } = await ask(`/${name}?${method}`, { method });
			assert.equal(status, 502);
			assert.match(text, new RegExp(BAD_GATEWAY));
			const r = await record(file, `/${name}?${method}`);
			assert.equal(r.tries.length, tries, 'nothing was sent: any method is tried again');
			assert.deepEqual([...new Set(r.tries.map((t) => t.port))], [CLOSED_PORT]);
		}
	}
});

check('check 27: retries + 1 tries, and no second one for what may have been done', async () => {
	let tries = 0;
	const cutters = [];
	for (let i = 0; i < 3; i++) {
		const cutter = net.createServer((socket) => {
			socket.on('error', () => {});
			socket.once('data', () => {
				tries++;
				socket.destroy();
			});
		}).listen(0, '127.0.0.1');
		await once(cutter, 'listening');
		things.push(cutter);
		cutters.push(`127.0.0.1:${cutter.address().port}`);
	}
	await upstream('cut', {}, cutters, { retries: 4 });
	const { status, text } = await ask('/cut');
	assert.equal(status, 502);
	assert.match(text, new RegExp(BAD_GATEWAY));
	assert.equal(tries, 5);
	for (const method of ['POST', 'PATCH']) {
		tries = 0;
		assert.equal((await ask('/cut', { method, body: 'x' })).status, 502);
		assert.equal(tries, 1, method);
	}
	tries = 0;
	await gw.want(200, 'PATCH', '/services/cut', { retries: 0 });
	assert.equal((await ask('/cut')).status, 502);
	assert.equal(tries, 1);
});

check('check 27: too slow is 504, an unknown name 503', async () => {
	const gate = deferred();
	const [stuck] = await echoes(1, () => gate.promise);
	await upstream('stuck', {}, [stuck], { read_timeout: 200, retries: 1 });
	for (const [method, tries] of [['GET', 2], ['POST', 1]]) {
		const already = hits(stuck);
		const { status, text } = await ask('/stuck', { method });
		assert.equal(status, 504, text);
		assert.match(text, /The upstream server is timing out/);
		await until(() => hits(stuck) - already >= tries, 'the tries have come');
		assert.equal(hits(stuck) - already, tries, `${method} is not replayed once it may have been done`);
	}
	gate.resolve(false);
	await serve('noname', { host: 'no-such-name.invalid', connect_timeout: 2000 });
	const none = await ask('/noname');
	assert.equal(none.status, 503, none.text);
	assert.match(none.text, /name resolution failed/);
	await upstream('empty', {}, []);
	const empty = await ask('/empty');
	assert.equal(empty.status, 503);
	assert.match(empty.text, /failure to get a peer from the ring-balancer/);
});

check('check 29: passive checks remove; the Admin API restores', async () => {
	const [good, bad] = await echoes(2, (echo, _, reply) => {
		if (echo.isBroken) {
			reply.statusCode = 500;
			reply.end();
			return true;
		}
		return false;
	});
	bad.isBroken = true;
	await upstream('passive', {
		healthchecks: { passive: { unhealthy: { http_failures: 3, tcp_failures: 1 } } },
	}, [good, bad]);
	assert.deepEqual(await health('passive'), { [good.address]: 'HEALTHY', [bad.address]: 'HEALTHY' });
	let failures = 0;
	for (let i = 0; i < 40; i++) {
		failures += (await ask('/passive')).status === 500;
	}
	assert.equal(failures, 3);
	assert.equal(hits(bad), 3);
	assert.deepEqual(await health('passive'), { [good.address]: 'HEALTHY', [bad.address]: 'UNHEALTHY' });
	bad.isBroken = false;
	await shares('/passive', 20);
	assert.equal(hits(bad), 3, 'without successes to count it stays away');
	await ill('passive', bad, 'healthy');
	half((await shares('/passive', 20)).get(bad.port));

	/* Checks of one kind remove, those of the other restore. */
	await gw.want(200, 'PATCH', '/upstreams/passive', { healthchecks: { active: {
		http_path: '/', healthy: { successes: 1 }, unhealthy: { interval: 0.1 },
	} } });
	bad.isBroken = true;
	await until(async () => {
		await ask('/passive');
		return (await health('passive'))[bad.address] === 'UNHEALTHY';
	}, 'traffic removes it');
	bad.isBroken = false;
	await until(async () => (await health('passive'))[bad.address] === 'HEALTHY', 'a probe restores it');
	half((await shares('/passive', 20)).get(bad.port));

	/* A refused connection counts as well, though the client sees nothing of it. */
	const dead = `127.0.0.1:${CLOSED_PORT}`;
	await gw.want(201, 'POST', '/upstreams/passive/targets', { target: dead });
	await shares('/passive', 20);
	assert.equal((await health('passive'))[dead], 'UNHEALTHY');
});

/* Of 20. Each loop goes round on its own, so one more or less is no fault. */
function half(n) {
	assert.ok(n >= 9 && n <= 11, `${n} of 20`);
}

const ACTIVE = {
	http_path: '/health',
	healthy: { interval: 0.1, successes: 2 },
	unhealthy: { interval: 0.1, http_failures: 2, tcp_failures: 1, timeouts: 1 },
};

check('check 29: active checks remove and restore, without traffic', async () => {
	const [good, bad] = await echoes(2, (echo, request, reply) => {
		if (request.url !== '/health') {
			return false;
		}
		echo.probes = (echo.probes ?? 0) + 1;
		echo.probeHost = request.headers.host;
		reply.statusCode = echo.isBroken ? 503 : 200;
		reply.end();
		return true;
	});
	await upstream('active', { healthchecks: { active: ACTIVE } }, [good, bad]);
	await until(() => good.probes > 1 && bad.probes > 1, 'both are probed');
	assert.equal(good.probeHost, '127.0.0.1');
	bad.isBroken = true;
	await until(async () => (await health('active'))[bad.address] === 'UNHEALTHY', 'it is removed');
	assert.deepEqual([...await shares('/active', 20)], [[good.port, 20]]);
	bad.isBroken = false;
	await until(async () => (await health('active'))[bad.address] === 'HEALTHY', 'it is restored');
	half((await shares('/active', 20)).get(bad.port));

	/* Checks go on after the upstream was changed, and stop when they are switched off. */
	await gw.want(200, 'PATCH', '/upstreams/active', { tags: ['changed'] });
	bad.isBroken = true;
	await until(async () => (await health('active'))[bad.address] === 'UNHEALTHY', 'removed after the change');
	await gw.want(204, 'DELETE', `/upstreams/active/targets/${bad.address}`);
	await gw.want(201, 'POST', '/upstreams/active/targets', { target: bad.address });
	await until(async () => (await health('active'))[bad.address] === 'UNHEALTHY', 'removed when it is new');
});

check('active checks of type tcp', async () => {
	const port = await freePort();
	const address = `127.0.0.1:${port}`;
	await upstream('tcp', { healthchecks: { active: { ...ACTIVE, type: 'tcp' } } }, [address]);
	await until(async () => (await health('tcp'))[address] === 'UNHEALTHY', 'nobody listens');
	assert.equal((await ask('/tcp')).status, 503);
	things.push(await echoOf(undefined, port));
	await until(async () => (await health('tcp'))[address] === 'HEALTHY', 'somebody listens');
	assert.equal(await server('/tcp'), port);
});

check('an upstream that was deleted is not probed, whatever calls of before last', async () => {
	const [deleted, stays, quiet] = await echoes(3);
	quiet.takeWebSockets();
	await serve('quiet', { url: quiet.url });
	await gw.want(201, 'POST', '/upstreams', { name: 'deleted', healthchecks: { active: ACTIVE } });
	await gw.want(201, 'POST', '/upstreams/deleted/targets', { target: deleted.address });
	await gw.want(201, 'POST', '/upstreams', { name: 'stays', healthchecks: { active: ACTIVE } });
	await gw.want(201, 'POST', '/upstreams/stays/targets', { target: stays.address });
	const old = await gw.webSocket('/quiet');
	things.push({ close: () => old.socket.destroy() });
	await until(() => hits(deleted) > 0, 'it is probed');
	await gw.want(204, 'DELETE', '/upstreams/deleted');

	/* The other one's probes are the clock; the first of it, for what was on its way. */
	const probesOfTheOther = async (n) => {
		const before_ = hits(stays);
		await until(() => hits(stays) >= before_ + n, `${n} probes of the other`);
	};
	await probesOfTheOther(2);
	const n = hits(deleted);
	await probesOfTheOther(5);
	assert.equal(hits(deleted), n);
	assert.ok(!old.ended);
});

check('check 29: below the threshold the upstream is down', async () => {
	const [a, b, c] = await echoes(3);
	await upstream('threshold', {
		healthchecks: { threshold: 50, passive: { unhealthy: { http_failures: 1 } } },
	}, [{ target: a.address, weight: 100 }, { target: b.address, weight: 50 }, { target: c.address, weight: 50 }]);
	await ill('threshold', b);
	await server('/threshold');
	let { health: state, details } = await whole('threshold');
	assert.equal(state, 'HEALTHY');
	assert.deepEqual(details.weight, { total: 200, available: 150, unavailable: 50 });
	await ill('threshold', c);
	const { status, text } = await ask('/threshold');
	assert.equal(status, 503, 'half of the weight is not more than half');
	assert.match(text, /failure to get a peer from the ring-balancer/);
	({ health: state, details } = await whole('threshold'));
	assert.equal(state, 'UNHEALTHY');
	assert.equal(details.healthy, false);
	await ill('threshold', c, 'healthy');
	assert.notEqual(await server('/threshold'), b.port);
});

check('check 12: health survives changes of targets, of the upstream and of others', async () => {
	const [a, b, c] = await echoes(3);
	await upstream('keep', { healthchecks: { passive: { unhealthy: { http_failures: 1 } } } }, [a, b]);
	const { id } = (await gw.want(200, 'GET', `/upstreams/keep/targets/${a.address}`)).json;
	await ill('keep', id);
	await gw.want(201, 'POST', '/upstreams/keep/targets', { target: c.address });
	await gw.want(200, 'PATCH', `/upstreams/keep/targets/${b.address}`, { weight: 10 });
	await gw.want(200, 'PATCH', '/upstreams/keep', { tags: ['t'] });
	await gw.want(201, 'POST', '/services', { name: 'other', host: 'other.test' });
	assert.deepEqual(await health('keep'),
		{ [a.address]: 'UNHEALTHY', [b.address]: 'HEALTHY', [c.address]: 'HEALTHY' });
	await shares('/keep', 40);
	assert.equal(hits(a), 0);
	await gw.want(200, 'PATCH', `/upstreams/keep/targets/${a.address}`, { weight: 50 });
	assert.equal((await health('keep'))[a.address], 'UNHEALTHY');
	await gw.want(404, 'PUT', '/upstreams/keep/targets/10.9.9.9:1/unhealthy');
	await gw.want(404, 'GET', '/upstreams/nobody/health');
});

check('names: a target of the hosts file, one address of it, and a service without an upstream', async () => {
	const [echo] = await echoes(1);
	const target = `localhost:${echo.port}`;
	await upstream('named', { healthchecks: { passive: { unhealthy: { tcp_failures: 1 } } } }, [target]);
	const { json } = await ask('/named');
	assert.equal(json.headers.host, target, 'the host is the name of the target');
	const { details, id } = await whole('named');
	assert.match(id, /^[0-9a-f-]{36}$/);
	const [host] = details.hosts;
	assert.equal(host.host, 'localhost');
	assert.equal(host.port, echo.port);
	assert.equal(host.nodeWeight, 100);
	const address = host.addresses.find((x) => x.ip === '127.0.0.1');
	assert.equal(address.health, 'HEALTHY');
	for (const other of host.addresses.filter((x) => x !== address)) {
		await ill('named', `${target}/${other.ip}`);
	}
	await ill('named', `${target}/127.0.0.1:${echo.port}`);
	assert.equal((await ask('/named')).status, 503);
	await ill('named', `${target}/127.0.0.1:${echo.port}`, 'healthy');
	assert.equal(await server('/named'), echo.port);

	await serve('plain', { host: 'localhost', port: echo.port });
	assert.equal(await server('/plain'), echo.port);
});

/*
 * Answers A questions with 127.0.0.1 and counts them by name; all else has no records. One that is silent answers
 * nothing that it is asked before speak().
 */
async function nameServer({ isSilent = false } = {}) {
	const socket = dgram.createSocket('udp4');
	const asked = new Map();
	const held = [];
	const reply = (data, from) => socket.send(data, from.port, from.address);
	socket.on('message', (query, from) => {
		const labels = [];
		let at = 12;
		while (query[at] > 0) {
			labels.push(query.toString('latin1', at + 1, at + 1 + query[at]));
			at += query[at] + 1;
		}
		const end = at + 5;
		const isA = query.readUInt16BE(at + 1) === 1;
		const name = labels.join('.').toLowerCase();
		const head = Buffer.from(query.subarray(0, 12));
		if (isA) {
			asked.set(name, (asked.get(name) ?? 0) + 1);
		}
		head.writeUInt16BE(0x8580, 2);
		head.writeUInt16BE(isA ? 1 : 0, 6);
		head.writeUInt32BE(0, 8);
		const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 127, 0, 0, 1]);
		const data = Buffer.concat([head, query.subarray(12, end), ...(isA ? [record] : [])]);
		if (isSilent) {
			held.push([data, from]);
		} else {
			reply(data, from);
		}
	});
	socket.bind(0, '127.0.0.1');
	await once(socket, 'listening');
	return {
		asked,
		address: `127.0.0.1:${socket.address().port}`,
		speak() {
			isSilent = false;
			for (const [data, from] of held.splice(0)) {
				reply(data, from);
			}
		},
		close: () => socket.close(),
	};
}

check('names: the resolver, the hosts file, the order and the times of the configuration', async () => {
	const [echo] = await echoes(1);
	const names = await nameServer();
	const dir = await mkdtemp(join(tmpdir(), 'posthouse-dns-'));
	await writeFile(join(dir, 'hosts'), '127.0.0.1 of-the-file.test\n');
	const asking = await Gateway.start({ loops: 1, gateway: {
		dns_resolver: names.address, dns_hostsfile: join(dir, 'hosts'), dns_order: 'LAST,A', dns_valid_ttl: '1h',
	} });
	try {
		for (const host of ['of-the-file.test', 'of-the-server.test']) {
			await asking.route({ url: `http://${host}:${echo.port}` }, { paths: [`/${host}`] });
			assert.equal((await asking.get(`/${host}`)).status, 200, host);
		}
		assert.deepEqual([...names.asked], [['of-the-server.test', 1]]);
		await asking.stop();
		await asking.configure({ gateway: { dns_order: 'LAST,MX' } });
		await assert.rejects(asking.launch(), /dns_order: 'MX' is none of/);
		await asking.configure({ gateway: { dns_order: 'A', dns_resolver: 'no address' } });
		await assert.rejects(asking.launch(), /dns_resolver: 'no address' is no address/);
	} finally {
		await asking.close();
		names.close();
		await rm(dir, { recursive: true, force: true });
	}
});

check('names: a resolver that is silent costs the time of a connection; what it says later is taken', async () => {
	const [echo] = await echoes(1);
	const names = await nameServer({ isSilent: true });
	const asking = await Gateway.start({ loops: 1, gateway: { dns_resolver: names.address, dns_order: 'A' } });
	const times = { connect_timeout: 300, retries: 3 };
	/* The resolver itself gives up after 14 s. */
	const ms = 8000;
	try {
		await asking.route({ url: `http://plain.test:${echo.port}`, ...times }, { paths: ['/plain'] });
		await asking.want(201, 'POST', '/upstreams', { name: 'unnamed' });
		await asking.want(201, 'POST', '/upstreams/unnamed/targets', { target: `target.test:${echo.port}` });
		await asking.route({ host: 'unnamed', ...times }, { paths: ['/target'] });
		for (const path of ['/plain', '/target', '/plain', '/target']) {
			const { status, text } = await asking.send('GET', path, { ms });
			assert.equal(status, 503, path);
			assert.match(text, /name resolution failed/);
		}
		assert.deepEqual([...names.asked.keys()].sort(), ['plain.test', 'target.test']);
		assert.equal(hits(echo), 0);
		names.speak();
		for (const path of ['/plain', '/target']) {
			await until(async () => (await asking.get(path)).status === 200, path);
		}
	} finally {
		await asking.close();
		names.close();
	}
});

check('a service of tcp is kept, and the log says that it has no effect', async () => {
	const from = gw.child.lines.length;
	await gw.make('/services', { name: 'stream', host: 'localhost', port: 1, protocol: 'tcp' });
	assert.match(await gw.child.line(/are not proxied/, { from }), /"entity":"services"/);
	await gw.make('/services/stream', undefined, 'DELETE');
});
