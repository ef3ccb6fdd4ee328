/* Time limits, readiness, forwarded headers and access rules of the relay: spec §3.2, §4.4, §10. */
import assert from 'node:assert/strict';
import { readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { check, SLOWNESS, until } from './lib/check.mjs';
import { request, timed } from './lib/client.mjs';
import { Server } from './lib/server.mjs';
import { SignalrConnector } from './lib/signalr.mjs';
import { pattern, values } from './lib/target.mjs';

const OK = () => ({ status: 200, body: 'ok' });

let server;
let secret;
let hub;
const seen = [];

before(async () => {
	server = await Server.start({
		relay: {
			forwarded_headers: 'both',
			interceptors: [
				{ set_request_headers: { 'X-Set': 'by rule' }, remove_request_headers: ['X-Secret'] },
				{ set_response_headers: { 'X-Answer': 'by rule' }, remove_response_headers: ['X-Powered-By'] },
				{ when: { path: 'old/' }, rewrite: { from: 'old/', to: 'new/' } },
				{ when: { method: ['POST'], target: 'x', header: 'X-Note: *' }, strip_authorization: true },
				{
					when: { path: 'static/' },
					answer: { status: 410, headers: { 'Retry-After': '60' }, body: 'gone for good' },
				},
			],
		},
	});
	secret = await server.addTenant('T1');
	hub = await SignalrConnector.start(server, {
		tenant: 'T1', secret,
		answer: (record) => {
			seen.push(record);
			return { headers: { 'X-Powered-By': ['much'] }, body: JSON.stringify(record) };
		},
	});
});

after(async () => {
	await hub?.stop();
	await server?.close();
});

check('check 11: without a connector the client waits until the expiration, then 408', async () => {
	const hasty = await Server.start({ relay: { request_expiration: '1s' } });
	try {
		await hasty.addTenant('absent');
		const { value, ms } = await timed(request(hasty.relay, '/relay/absent/web/', {
			method: 'POST', body: pattern(20000),
		}));
		assert.equal(value.status, 408);
		assert.equal(value.headers['content-length'], '0');
		assert.ok(ms >= 990 && ms < 3000 * SLOWNESS, `${ms} ms`);
		await hasty.noBodyFiles();
	} finally {
		await hasty.close();
	}
});

check('check 11: with require_active_connection it is 503 at once', async () => {
	const strict = await Server.start({ relay: { require_active_connection: true, request_expiration: '30s' } });
	try {
		const theirs = await strict.addTenant('T1');
		const { value, ms } = await timed(request(strict.relay, '/relay/T1/web/'));
		assert.equal(value.status, 503);
		assert.equal(value.headers['content-length'], '0');
		assert.ok(ms < 5000, `${ms} ms`);

		const one = await SignalrConnector.start(strict, { tenant: 'T1', secret: theirs, answer: OK });
		await strict.connections(1);
		assert.equal((await request(strict.relay, '/relay/T1/web/')).status, 200);
		await one.stop();
		await strict.connections(0);
		assert.equal((await request(strict.relay, '/relay/T1/web/')).status, 503);
	} finally {
		await strict.close();
	}
});

check('a request that waits is served when a connector comes in time, and not after its end', async () => {
	const patient = await Server.start({ relay: { request_expiration: '2s' } });
	try {
		const theirs = await patient.addTenant('T1');
		const expired = await request(patient.relay, '/relay/T1/expired', { method: 'POST', body: pattern(30000) });
		assert.equal(expired.status, 408);
		const waiting = request(patient.relay, '/relay/T1/waiting', { method: 'POST', body: pattern(30000) });
		const late = await SignalrConnector.start(patient, { tenant: 'T1', secret: theirs });
		const record = await late.requests.take();
		assert.equal(record.target, 'waiting');
		assert.ok((await late.body(record)).equals(pattern(30000)));
		await late.deliver(record, OK());
		assert.equal((await waiting).text, 'ok');
		assert.equal(late.received.length, 1);
		await patient.noBodyFiles();
		await late.stop();
	} finally {
		await patient.close();
	}
});

check('check 32: a tenant that requires authentication', async () => {
	const theirs = await server.addTenant('locked', { requireAuthentication: true });
	const lockedHub = await SignalrConnector.start(server, { tenant: 'locked', secret: theirs, answer: OK });
	try {
		const without = await request(server.relay, '/relay/locked/x');
		assert.equal(without.status, 401);
		assert.equal(without.headers['www-authenticate'], undefined);
		assert.equal(without.body.length, 0);
		const wrong = await request(server.relay, '/relay/locked/x', { headers: { Authorization: 'Bearer a.b.c' } });
		assert.equal(wrong.status, 401);
		assert.equal(lockedHub.received.length, 0);
		const token = lockedHub.token;
		const good = await request(server.relay, '/relay/locked/x', { headers: { Authorization: `Bearer ${token}` } });
		assert.equal(good.status, 200);
		assert.deepEqual(lockedHub.received[0].httpHeaders.Authorization, [`Bearer ${token}`]);
	} finally {
		await lockedHub.stop();
	}
});

check('check 33: forwarded headers are added, also where the client sent some', async () => {
	seen.length = 0;
	await request(server.relay, '/relay/T1/x', { headers: { Host: 'relay.example:8080' } });
	const first = seen[0].httpHeaders;
	assert.deepEqual(first['X-Forwarded-For'], ['127.0.0.1']);
	assert.deepEqual(first['X-Forwarded-Host'], ['relay.example']);
	assert.deepEqual(first['X-Forwarded-Proto'], ['http']);
	assert.match(first.Forwarded[0], /for="?127\.0\.0\.1"?/);
	assert.match(first.Forwarded[0], /proto=http/);
	assert.match(first.Forwarded[0], /host="?relay\.example/);

	const spoofed = await request(server.relay, '/relay/T1/x', {
		headers: { 'X-Forwarded-For': '203.0.113.9', 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'evil.example' },
	});
	assert.equal(spoofed.status, 200);
	const second = seen[1].httpHeaders;
	const chain = second['X-Forwarded-For'].join(', ').split(/\s*,\s*/);
	assert.equal(chain.at(-1), '127.0.0.1');
	assert.deepEqual(second['X-Forwarded-Proto'], ['http'], 'an untrusted client does not set the scheme');
});

check('interceptor rules: headers, rewriting and a direct answer', async () => {
	seen.length = 0;
	const reply = await request(server.relay, '/relay/T1/x/old/page?q=1', { headers: { 'X-Secret': 'no' } });
	assert.equal(reply.headers['x-answer'], 'by rule');
	assert.equal(reply.headers['x-powered-by'], undefined);
	assert.deepEqual(seen[0].httpHeaders['X-Set'], ['by rule']);
	assert.equal(seen[0].httpHeaders['X-Secret'], undefined);
	assert.equal(seen[0].url, 'new/page?q=1');
	const headers = { Authorization: 'Bearer x', 'X-Note': 'private' };
	await request(server.relay, '/relay/T1/x/a', { method: 'POST', headers });
	await request(server.relay, '/relay/T1/x/a', { headers });
	assert.equal(seen[1].httpHeaders.Authorization, undefined);
	assert.deepEqual(seen[2].httpHeaders.Authorization, ['Bearer x']);
	const direct = await request(server.relay, '/relay/T1/x/static/logo');
	assert.equal(direct.status, 410);
	assert.equal(direct.text, 'gone for good');
	assert.equal(direct.headers['retry-after'], '60');
	assert.equal(seen.length, 3);
});

check('no limit for requests is none for the bodies of those that wait in /queue', async () => {
	const own = await Server.start({
		relay: { request_expiration: '0', queue_max_age: '72h' }, statistics: { maintenance_interval: '1s' },
	});
	let late;
	try {
		const theirs = await own.addTenant('T1');
		const age = async (name, hours) => {
			const then = new Date(Date.now() - hours * 3600_000);
			await utimes(join(own.bodies, name), then, then);
		};
		assert.equal((await request(own.relay, '/queue/T1/web/', { method: 'POST', body: pattern(100_000) })).status, 202);
		const [waiting] = await own.bodyFiles();
		const left = waiting.replace(/[0-9a-f]{8}$/, '00000000');
		await writeFile(join(own.bodies, left), 'x');
		await age(waiting, 71);
		await age(left, 74);
		await until(async () => !(await own.bodyFiles()).includes(left), 'what nobody waits for is removed');
		assert.ok((await readFile(join(own.bodies, waiting))).equals(pattern(100_000)));
		late = await SignalrConnector.start(own, { tenant: 'T1', secret: theirs });
		assert.ok((await late.body(await late.requests.take())).equals(pattern(100_000)));
	} finally {
		await late?.stop();
		await own.close();
	}
});
