/* Management and statistics REST, identity's token endpoint, and the life of an origin: spec §11 to §14. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check, SLOWNESS, until } from './lib/check.mjs';
import { abortable, request } from './lib/client.mjs';
import { Connector } from './lib/connector.mjs';
import { freePort } from './lib/ports.mjs';
import { basic, KEYS, Server } from './lib/server.mjs';
import { SignalrConnector } from './lib/signalr.mjs';
import { pattern, Target } from './lib/target.mjs';

const TENANTS = '/management/tenants';
const TENANT = {
	name: 'Branch1', displayName: 'Branch 1', description: null, requireAuthentication: false,
	maximumConcurrentConnectorRequests: 0, keepAliveInterval: '00:00:20', enableTracing: null,
	reconnectMinimumDelay: null, reconnectMaximumDelay: null,
};

let server;

before(async () => {
	server = await Server.start({
		relay: { request_expiration: '3s', tenant_info_cache_duration: '10s' },
		statistics: { connection_last_seen_update_interval: '1s' },
	});
});

after(() => server?.close());

const manage = (...args) => server.manage(...args);
const read = async (path) => (await manage('GET', path)).json();

check('check 35: keys and rights', async () => {
	assert.equal((await manage('GET', TENANTS, undefined, null)).status, 401);
	assert.equal((await manage('GET', TENANTS, undefined, 'READ-KEY')).status, 401);
	assert.equal((await manage('GET', TENANTS, undefined, null)).headers.get('www-authenticate'), null);
	assert.equal((await manage('POST', TENANTS, { name: 'x' }, KEYS.read)).status, 403);
	assert.equal((await manage('GET', TENANTS, undefined, KEYS.write)).status, 403);
	assert.equal((await manage('GET', TENANTS, undefined, KEYS.read)).status, 200);
});

check('check 35: the life of a tenant', async () => {
	const created = await manage('POST', TENANTS, TENANT, KEYS.write);
	assert.equal(created.status, 202);
	assert.equal(created.headers.get('location'), null);
	assert.equal(await created.text(), '');
	assert.deepEqual(await read(`${TENANTS}/bRANCH1`), TENANT);

	const changed = { ...TENANT, name: 'ignored', displayName: null, keepAliveInterval: '00:00:30' };
	assert.equal((await manage('PUT', `${TENANTS}/branch1`, changed)).status, 202);
	assert.deepEqual(await read(`${TENANTS}/Branch1`), { ...changed, name: 'Branch1' });

	assert.equal((await manage('PUT', `${TENANTS}/nobody`, TENANT)).status, 404);
	assert.equal((await manage('GET', `${TENANTS}/nobody`)).status, 404);
	assert.equal((await manage('DELETE', `${TENANTS}/branch1`)).status, 204);
	assert.equal((await manage('DELETE', `${TENANTS}/branch1`)).status, 404);
});

check('check 35: pages are ordered by the normalised name', async () => {
	for (const name of ['beta', 'Alpha', 'GAMMA']) {
		assert.equal((await manage('POST', TENANTS, { name })).status, 202);
	}
	const page = await read(`${TENANTS}?skip=1&take=1`);
	assert.deepEqual(Object.keys(page).sort(), ['offset', 'pageSize', 'results', 'totalCount']);
	assert.deepEqual([page.totalCount, page.offset, page.pageSize], [3, 1, 1]);
	assert.deepEqual(page.results.map((t) => t.name), ['beta']);
	const all = await read(TENANTS);
	assert.equal(all.pageSize, 10);
	assert.deepEqual(all.results.map((t) => t.name), ['Alpha', 'beta', 'GAMMA']);
	assert.equal((await manage('GET', `${TENANTS}?skip=x`)).status, 400);
	assert.equal((await manage('GET', `${TENANTS}?take=-1`)).status, 400);
});

check('check 35: what is wrong is told, not taken', async () => {
	assert.equal((await manage('POST', TENANTS, { name: 'ALPHA' })).status, 409);
	assert.equal((await manage('POST', TENANTS, { displayName: 'no name' })).status, 400);
	assert.equal((await manage('POST', TENANTS, { name: 'x'.repeat(101) })).status, 400);
	assert.equal((await manage('POST', TENANTS, { name: 'y', keepAliveInterval: 'soon' })).status, 400);
	const headers = { 'Api-Key': KEYS.readwrite };
	const post = (type, body) => fetch(server.management + TENANTS, {
		method: 'POST', headers: { ...headers, 'Content-Type': type }, body,
	});
	assert.equal((await post('application/json', '{"name":')).status, 400);
	assert.equal((await post('text/plain', '{"name":"z"}')).status, 415);
	for (const bytes of ['%ff', '%00', 'a%00', '%ed%a0%80']) {
		const path = await manage('GET', `${TENANTS}/${bytes}`);
		assert.equal(path.status, 404);
		assert.equal(await path.text(), await (await manage('GET', `${TENANTS}/nobody`)).text());
		assert.deepEqual((await server.stats(`/statistics/requests?tenant=${bytes}`)).results, []);
	}
	assert.equal((await post('application/json; charset=utf-8', '{"NAME":"z","credentials":[]}')).status, 202);
});

check('check 36: PUT without requireAuthentication resets it; config stays where none is given', async () => {
	await manage('POST', TENANTS, { ...TENANT, name: 'reset', requireAuthentication: true,
		maximumConcurrentConnectorRequests: 5 });
	assert.equal((await manage('PUT', `${TENANTS}/reset`, { displayName: 'only this' })).status, 202);
	assert.deepEqual(await read(`${TENANTS}/reset`), {
		...TENANT, name: 'reset', displayName: 'only this', requireAuthentication: false,
		maximumConcurrentConnectorRequests: 0,
	});
});

check('check 36: a new tenant is relayable within ten seconds though it was unknown before', async () => {
	assert.equal((await request(server.relay, '/relay/fresh/x')).status, 404);
	await manage('POST', TENANTS, { name: 'fresh' });
	await until(async () => (await request(server.relay, '/relay/fresh/x')).status === 408,
		'the tenant is known', 11_500 * SLOWNESS);
});

check('secrets: several a tenant, shown once, hashed, with an end', async () => {
	await manage('POST', TENANTS, { name: 'keys' });
	const path = `${TENANTS}/keys/secrets`;
	const made = [];
	for (let i = 0; i < 2; i++) {
		const reply = await manage('POST', path, {});
		assert.ok([200, 201].includes(reply.status), `${reply.status}`);
		made.push(await reply.json());
		assert.ok(await server.token('keys', made[i].secret));
	}
	const listing = JSON.stringify(await read(path));
	assert.ok(made.every(({ secret }) => !listing.includes(secret)));
	assert.equal((await manage('DELETE', `${path}/${made[0].id}`)).status, 204);
	await assert.rejects(server.token('keys', made[0].secret), /40[01]/);
	assert.ok(await server.token('keys', made[1].secret));
	const past = await manage('POST', path, { expiration: '2001-01-01T00:00:00Z' });
	if (past.status < 300) {
		await assert.rejects(server.token('keys', (await past.json()).secret), /40[01]/);
	} else {
		assert.equal(past.status, 400);
	}
});

check('check 41: a secret with <!> and + gets a token, and our connector connects with it', async () => {
	const secret = '<Strong!Pass+w0rd> 100%&=:';
	const target = await Target.start();
	await server.addTenant('strange', { secret });
	assert.ok(await server.token('strange', secret));
	const connector = await Connector.start(server, { tenant: 'strange', secret, targets: { web: target.url } });
	assert.equal((await request(server.relay, '/relay/strange/$ping')).text, 'PONG');
	await connector.stop();
	await target.close();
});

check('check 41: the token endpoint takes Basic or body, and refuses the rest', async () => {
	const secret = await server.addTenant('T1');
	const { authorizationTokenEndpoint: url } = await server.discovery();
	const ask = (headers, form) => fetch(url, { method: 'POST', headers, body: new URLSearchParams(form) });
	const grant = { grant_type: 'client_credentials', scope: 'connector' };
	const reply = await ask({ Authorization: basic('T1', secret) }, grant);
	assert.equal(reply.status, 200);
	assert.equal(reply.headers.get('cache-control'), 'no-store');
	const token = await reply.json();
	assert.equal(token.token_type.toLowerCase(), 'bearer');
	assert.ok(token.expires_in > 0);
	const claims = JSON.parse(Buffer.from(token.access_token.split('.')[1], 'base64url'));
	assert.equal(claims.client_id, 'T1');
	assert.ok([claims.aud].flat().includes('relayserver'));
	assert.equal((await ask({}, { ...grant, client_id: 'T1', client_secret: secret })).status, 200);

	const refused = await ask({ Authorization: basic('T1', 'wrong') }, grant);
	assert.equal(refused.status, 401);
	assert.equal((await refused.json()).error, 'invalid_client');
	assert.equal((await ask({ Authorization: basic('nobody', secret) }, grant)).status, 401);
	const password = await ask({ Authorization: basic('T1', secret) }, { grant_type: 'password' });
	assert.equal(password.status, 400);
	assert.equal((await password.json()).error, 'unsupported_grant_type');
	const scope = await ask({ Authorization: basic('T1', secret) }, { ...grant, scope: 'admin' });
	assert.equal((await scope.json()).error, 'invalid_scope');
});

check('check 37: one row for each request, with its outcome', async () => {
	const secret = await server.addTenant('logged');
	const hub = await SignalrConnector.start(server, { tenant: 'logged', secret });
	const answered = async (status, path) => {
		const pending = request(server.relay, `/relay/logged/web/${path}`, { method: 'POST', body: 'abc' });
		await hub.deliver(await hub.requests.take(), { status, body: 'four' });
		return pending;
	};
	await answered(200, 'good?x=1');
	assert.equal((await answered(404, 'missing')).status, 404);
	const { done, abort } = abortable(server.relay, '/relay/logged/web/left');
	await hub.requests.take();
	abort();
	await done;
	assert.equal((await request(server.relay, '/relay/logged/web/slow')).status, 408);
	await hub.stop();

	const rows = await until(async () => {
		const page = await server.stats('/statistics/requests?tenant=logged&take=50');
		return page.totalCount === 4 && page.results;
	}, 'four rows are written');
	const row = (path) => rows.find((r) => r.requestUrl.startsWith(path));
	assert.equal(row('good').requestUrl, 'good?x=1');
	assert.equal(row('good').httpStatusCode, 200);
	assert.equal(row('good').httpMethod, 'POST');
	assert.equal(row('good').target, 'web');
	assert.equal(row('good').requestBodySize, 3);
	assert.equal(row('good').responseBodySize, 4);
	assert.equal(row('good').outcome, 'succeeded');
	assert.equal(row('missing').httpStatusCode, 404);
	assert.equal(row('missing').outcome, 'succeeded');
	assert.equal(row('left').outcome, 'aborted');
	assert.equal(row('left').httpStatusCode, null);
	assert.equal(row('slow').outcome, 'expired');

	const expired = await server.stats('/statistics/requests?tenant=logged&outcome=expired');
	assert.equal(expired.totalCount, 1);
	const summary = await server.stats('/statistics/tenants/logged/summary');
	assert.match(JSON.stringify(summary), /"expired":1/);
});

check('statistics need a key, and know connections and origins', async () => {
	assert.equal((await fetch(`${server.statistics}/statistics/origins`)).status, 401);
	const hub = await SignalrConnector.start(server, { tenant: 'T1', secret: await server.newSecret('T1') });
	const rows = await until(async () => {
		const page = await server.stats('/statistics/connections?tenant=T1&active=true');
		return page.totalCount === 1 && page.results;
	}, 'the connection is written');
	assert.equal(rows[0].disconnectTime, null);
	assert.equal(rows[0].remoteIpAddress, '127.0.0.1');
	const origins = await server.stats('/statistics/origins');
	assert.equal(origins.results.filter((o) => o.id === rows[0].originId).length, 1);
	await until(async () => {
		const page = await server.stats('/statistics/connections?tenant=T1&active=true');
		return page.results[0]?.lastSeenTime > rows[0].connectTime;
	}, 'the connection is seen a second later');
	await hub.stop();
	await until(async () => (await server.stats('/statistics/connections?tenant=T1&active=true')).totalCount === 0,
		'the connection has an end');
});

check('check 38: an origin ends with its server, a new one begins, old ones vanish', async () => {
	const one = await Server.start({ statistics: { entry_max_age: '1s' } });
	try {
		const hub = await SignalrConnector.start(one, { tenant: 'T1', secret: await one.addTenant('T1') });
		const origins = async () => (await one.stats('/statistics/origins')).results;
		const [first] = await until(async () => {
			const rows = await origins();
			return rows.length === 1 && rows;
		}, 'the origin is written');
		assert.equal(first.shutdownTime, null);
		const connected = await until(async () => {
			const page = await one.stats('/statistics/connections?tenant=T1');
			return page.totalCount === 1 && page.results[0];
		}, 'the connection is written');
		assert.equal(connected.originId, first.id);
		hub.connection.onclose(() => {});
		await one.restart({ statistics: { entry_max_age: '1h' } });
		const after_ = await until(async () => {
			const rows = await origins();
			return rows.length === 2 && rows;
		}, 'there are two origins');
		const old = after_.find((o) => o.id === first.id);
		assert.notEqual(old.shutdownTime, null);
		const ended = (await one.stats('/statistics/connections?tenant=T1')).results
			.find((c) => c.id === connected.id);
		assert.notEqual(ended.disconnectTime, null);
		/* The first is older than a second by the time of this start, or of a later one. */
		await until(async () => {
			await one.restart({ statistics: { entry_max_age: '1s' } });
			return !(await origins()).some((o) => o.id === first.id);
		}, 'the old origin vanishes');
	} finally {
		await one.close();
	}
});

check('check 39: a connector that is older than the server connects within ten seconds', async () => {
	const port = await freePort();
	const identity = await freePort();
	const later = await Server.start();
	const secret = await later.addTenant('T1');
	await later.stop();
	[later.relay, later.identity] = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${identity}`];
	const target = await Target.start();
	const connector = await Connector.start(later, { tenant: 'T1', secret, targets: { web: target.url }, wait: false });
	try {
		await connector.child.line(/./);
		await later.restart();
		await connector.connected({ ms: 11_000 * SLOWNESS });
		assert.equal((await request(later.relay, '/relay/T1/$ping')).text, 'PONG');
		await connector.stop();
	} finally {
		await connector.close();
		await target.close();
		await later.close();
	}
});

check('the OpenAPI document is served', async () => {
	const reply = await fetch(`${server.management}/docs/ManagementApi/openapi.json`);
	assert.equal(reply.status, 200);
	const document = await reply.json();
	assert.match(document.openapi, /^3\./);
	assert.ok(document.paths['/management/tenants/{name}']);
});

check('a body larger than the API takes is 413', async () => {
	const reply = await manage('POST', TENANTS, { name: 'big', description: pattern(4 << 20).toString('latin1') })
		.catch((error) => ({ status: 413, error }));
	assert.equal(reply.status, 413);
});
