/* The command line: every command, on the database of a running server, for people and for scripts. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { check, until } from './lib/check.mjs';
import { request } from './lib/client.mjs';
import { Hub, negotiate } from './lib/hub.mjs';
import { run } from './lib/process.mjs';
import { ENGINE, Server } from './lib/server.mjs';
import { SignalrConnector } from './lib/signalr.mjs';

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const NOBODY = '6f1c0000-0000-4000-8000-000000000001';
const TENANT = {
	name: 'Branch1', displayName: null, description: null, requireAuthentication: false,
	maximumConcurrentConnectorRequests: 0, keepAliveInterval: null, enableTracing: null,
	reconnectMinimumDelay: null, reconnectMaximumDelay: null,
};

let server;

before(async () => {
	server = await Server.start();
});

after(() => server?.close());

/* A command on the server's database; it must end with `code`, and say something on stderr if it failed. */
async function cli(args, { code = 0, input, env = server.env } = {}) {
	const end = await run([...args, '--config', server.config], { env, input });
	assert.equal(end.code, code, `${args.join(' ')}: ${end.code ?? end.signal}\n${end.stdout}${end.stderr}`);
	if (code !== 0) {
		assert.equal(end.stdout, '', args.join(' '));
		assert.match(end.stderr, /^posthouse: ./, args.join(' '));
	}
	return end;
}

async function json(args, options) {
	const { stdout } = await cli([...args, '--json'], options);
	assert.match(stdout, /^[^\n]+\n$/, 'one line');
	return JSON.parse(stdout);
}

const names = (value) => Object.keys(value).sort();

check(`the life of a tenant, on ${ENGINE}`, async () => {
	assert.deepEqual(await json(['tenant', 'list']), []);
	assert.match((await cli(['tenant', 'list'])).stdout, /^No tenants yet/);

	const added = await json(['tenant', 'add', 'Branch1']);
	assert.deepEqual(names(added), ['name', 'secret']);
	assert.equal(added.name, 'Branch1');
	assert.ok(await server.token('Branch1', added.secret));
	assert.deepEqual(await json(['tenant', 'show', 'bRANCH1']), TENANT);

	const changed = {
		...TENANT, displayName: 'Übersee', description: 'far', requireAuthentication: true,
		maximumConcurrentConnectorRequests: 3, keepAliveInterval: '00:00:30', enableTracing: false,
		reconnectMinimumDelay: '00:00:01', reconnectMaximumDelay: '00:02:00',
	};
	assert.deepEqual(await json(['tenant', 'update', 'branch1', '--display-name', 'Übersee', '--description=far',
		'--require-authentication', 'yes', '--max-concurrent', '3', '--keep-alive', '30s', '--enable-tracing', 'no',
		'--reconnect-min', '1s', '--reconnect-max', '2m']), changed);
	assert.deepEqual(await json(['tenant', 'update', 'branch1', '--description', '']), { ...changed, description: null });
	assert.deepEqual(await json(['tenant', 'list']), [{ ...changed, description: null }]);
	assert.deepEqual(await (await server.manage('GET', '/management/tenants/branch1')).json(),
		{ ...changed, description: null });
	assert.equal((await cli(['tenant', 'update', 'branch1', '--max-concurrent', '0'])).stdout, '');
	assert.match((await cli(['tenant', 'list'])).stdout, /^NAME +DISPLAY NAME +.*\nBranch1 +Übersee +required +-\n$/);
	assert.match((await cli(['tenant', 'show', 'Branch1'])).stdout, /^keep-alive +30s$/m);

	assert.equal((await cli(['tenant', 'remove', 'BRANCH1'])).stdout, '');
	await cli(['tenant', 'show', 'branch1'], { code: 1 });
	await cli(['tenant', 'remove', 'branch1'], { code: 1 });
});

check('secrets: random, chosen and read; shown once; removed one by one', async () => {
	const chosen = '<Strong!Pass+w0rd> 100%';
	const { stdout, stderr } = await cli(['tenant', 'add', 'keys', '--secret', '-'], { input: `${chosen}\n` });
	assert.equal(stdout, `tenant  keys\nsecret  ${chosen}\n`);
	assert.match(stderr, /not shown again/);

	const second = await json(['tenant', 'secret', 'add', 'KEYS', '--expires', '90d']);
	assert.deepEqual(names(second), ['expiration', 'id', 'name', 'secret']);
	assert.match(second.id, GUID);
	assert.match(second.expiration, TIME);
	const third = await json(['tenant', 'secret', 'add', 'keys', '--secret', 'another one, chosen']);
	assert.deepEqual([third.secret, third.expiration], ['another one, chosen', null]);
	for (const secret of [chosen, second.secret, third.secret]) {
		assert.ok(await server.token('keys', secret));
	}

	const listed = await cli(['tenant', 'secret', 'list', 'keys', '--json']);
	for (const secret of [chosen, second.secret, third.secret]) {
		assert.ok(!listed.stdout.includes(secret), 'no secret is listed');
	}
	const rows = JSON.parse(listed.stdout);
	assert.equal(rows.length, 3);
	for (const row of rows) {
		assert.deepEqual(names(row), ['created', 'expiration', 'id']);
		assert.match(row.created, TIME);
	}
	assert.match((await cli(['tenant', 'secret', 'list', 'keys'])).stdout, /^ID +CREATED +EXPIRES\n(.+\n){3}$/);

	await cli(['tenant', 'secret', 'remove', 'keys', second.id]);
	await assert.rejects(server.token('keys', second.secret), /401/);
	assert.ok(await server.token('keys', third.secret));
	await cli(['tenant', 'secret', 'remove', 'keys', second.id], { code: 1 });
	await cli(['tenant', 'secret', 'remove', 'branch1', third.id], { code: 1 });
});

check('token: signed here or asked for; the relay takes both', async () => {
	/* What is signed without a server names the issuer that the configuration names. */
	await server.restart({ identity: { issuer: server.identity } });
	const { secret } = await json(['tenant', 'add', 'T1']);
	for (const how of [[], ['--server', server.relay, '--secret', secret]]) {
		const token = await json(['token', '--tenant', 't1', ...how]);
		assert.deepEqual(names(token), ['access_token', 'expires_in']);
		const claims = JSON.parse(Buffer.from(token.access_token.split('.')[1], 'base64url'));
		assert.equal(claims.client_id, 'T1');
		assert.equal((await negotiate(server, { token: token.access_token })).status, 200, how.join(' '));
	}
	const text = (await cli(['token', '--tenant', 'T1', '--lifetime', '5m'])).stdout.trim();
	const claims = JSON.parse(Buffer.from(text.split('.')[1], 'base64url'));
	assert.equal(claims.exp - claims.iat, 300);
	const hub = await Hub.open(server, { token: text });
	hub.close();
	await server.connections(0);

	await cli(['token', '--tenant', 'nobody'], { code: 1 });
	await cli(['token', '--tenant', 'T1', '--server', server.relay, '--secret', 'wrong'], { code: 1 });
	await cli(['token', '--tenant', 'T1', '--server', 'http://127.0.0.1:1', '--secret', secret], { code: 1 });
	await cli(['token'], { code: 2 });
	await cli(['token', '--tenant', 'T1', '--server', server.relay], { code: 2 });
});

check('stats: requests, connections, origins and a summary', async () => {
	const { secret } = await json(['tenant', 'add', 'counted']);
	const hub = await SignalrConnector.start(server, {
		tenant: 'counted', secret, answer: (r) => ({ status: r.url === 'a' ? 200 : 404, body: 'four' }),
	});
	for (const path of ['a', 'b']) {
		await request(server.relay, `/relay/counted/web/${path}`, { method: 'POST', body: 'abc' });
	}
	const ask = ['stats', 'requests', '--tenant', 'COUNTED'];
	const rows = await until(async () => {
		const found = await json(ask);
		return found.length === 2 && found;
	}, 'both requests are logged');
	assert.deepEqual(names(rows[0]), ['httpMethod', 'httpStatusCode', 'outcome', 'requestBodySize', 'requestDate',
		'requestDuration', 'requestId', 'requestUrl', 'responseBodySize', 'target', 'tenantName']);
	assert.match(rows[0].requestId, GUID);
	assert.match(rows[0].requestDate, TIME);
	const facts = rows.map((r) => [r.requestUrl, r.httpStatusCode, r.outcome, r.requestBodySize, r.responseBodySize]);
	assert.deepEqual(facts.sort(), [['a', 200, 'succeeded', 3, 4], ['b', 404, 'succeeded', 3, 4]]);
	assert.equal((await json([...ask, '--limit', '1'])).length, 1);
	assert.equal((await json([...ask, '--target', 'web', '--outcome', 'succeeded', '--from', '1h'])).length, 2);
	assert.equal((await json([...ask, '--to', '1h'])).length, 0);
	assert.equal((await json([...ask, '--outcome', 'expired'])).length, 0);
	assert.match((await cli(ask)).stdout, /^TIME +TENANT .*\n(.+ POST +web .*\n){2}$/);

	const live = await until(async () => {
		const found = await json(['stats', 'connections', '--tenant', 'counted', '--active']);
		return found.length === 1 && found[0];
	}, 'the connection is written');
	assert.deepEqual(names(live), ['connectTime', 'disconnectTime', 'id', 'lastSeenTime', 'originId', 'remoteIpAddress',
		'tenantName']);
	assert.deepEqual([live.disconnectTime, live.remoteIpAddress], [null, '127.0.0.1']);
	const origin = (await json(['stats', 'origins'])).find((o) => o.id === live.originId);
	assert.deepEqual(names(origin), ['activeConnections', 'id', 'lastSeenTime', 'shutdownTime', 'startupTime']);
	assert.deepEqual([origin.shutdownTime, origin.activeConnections], [null, 1]);

	const sum = await json(['stats', 'summary', 'counted', '--from', '1h']);
	assert.deepEqual(names(sum), ['aborted', 'activeConnections', 'durationAverage', 'durationMaximum', 'durationP95',
		'errored', 'expired', 'failed', 'requestBytes', 'requests', 'responseBytes', 'succeeded']);
	assert.deepEqual([sum.requests, sum.succeeded, sum.requestBytes, sum.responseBytes, sum.activeConnections],
		[2, 2, 6, 8, 1]);
	assert.match((await cli(['stats', 'summary', 'counted'])).stdout, /^succeeded +2$/m);
	for (const what of ['connections', 'origins']) {
		assert.match((await cli(['stats', what])).stdout, /^[A-Z ]+\n(.+\n)+$/, what);
	}
	await hub.stop();
	await until(async () => (await json(['stats', 'connections', '--tenant', 'counted', '--active'])).length === 0,
		'the connection has an end');
});

check('config: check, show and reference; secrets stay hidden', async () => {
	const { stdout } = await cli(['config', 'check']);
	assert.equal(stdout, 'ok\n');
	const shown = (await cli(['config', 'show'], { env: { POSTHOUSE_RELAY__REQUEST_EXPIRATION: '3s' } })).stdout;
	assert.match(shown, /request_expiration: 3s/);
	assert.ok(!shown.includes('readwrite-key'), 'keys are masked');
	assert.match((await run(['config', 'reference'])).stdout, /`request_expiration`/);
	assert.equal((await cli(['migrate'])).stdout, 'The schema is up to date.\n');
	assert.deepEqual(await json(['migrate']), { upToDate: true });
});

check('config check finds what a server could not start with', async () => {
	const file = join(server.dir, 'checked.yaml');
	const entities = join(server.dir, 'entities.yml');
	const gateway = (text) => `gateway:\n  admin: []\n  ${text}\n`;
	const pair = 'cert: nowhere.pem, key: nowhere.pem';
	const cases = [
		[gateway("listen: ['localhost:23810']"), /^posthouse: \S+checked\.yaml:3: gateway\.listen: "localhost:23810" is no address/],
		[gateway("listen: ['127.0.0.1:99999']"), /"127\.0\.0\.1:99999" is no address/],
		[gateway("listen: ['127.0.0.1:9999', '127.0.0.1:9999']"), /:3: gateway\.listen: "127\.0\.0\.1:9999" is taken by/],
		[gateway(`listen: {address: ':9999', tls: {${pair}}}`), /:3: gateway\.listen\.tls\.cert: cannot read \S+nowhere\.pem/],
		[gateway("listen: {address: ':9999', tls: {ciphers: FOO}}"), /:3: gateway\.listen\.tls: no such ciphers/],
		[gateway('trusted_ips: [1.2.3.4/99]'), /gateway\.trusted_ips: '1\.2\.3\.4\/99' is not a network/],
		[gateway('declarative: /nowhere/kong.yml'), /\/nowhere\/kong\.yml/],
		[gateway(`declarative: ${entities}`), /entities\.yml:3: service 's': /],
		[`${gateway('{}')}database: mysql://x\n`.replace('  {}\n', ''), /database: expected sqlite:PATH or postgres:/],
	];
	await writeFile(entities, '_format_version: "3.0"\nservices:\n- {name: s, url: "ftp://x"}\n');
	for (const [text, said] of cases) {
		await writeFile(file, text);
		const end = await run(['config', 'check', file]);
		assert.deepEqual([end.code, end.stdout], [2, ''], text);
		assert.match(end.stderr, said);
	}
	await writeFile(entities, '_format_version: "3.0"\nservices:\n- {name: s, url: "http://x"}\n');
	await writeFile(file, gateway(`declarative: ${entities}`));
	assert.equal((await run(['config', 'check', file])).stdout, 'ok\n');
});

check('config check with roles is for a server with these', async () => {
	const file = join(server.dir, 'shared.yaml');
	await writeFile(file, "relay: {listen: ':9999'}\ngateway: {listen: ':9999'}\n");
	assert.match((await run(['config', 'check', file])).stderr, /:2: gateway\.listen: ":9999" is taken by ":9999" of relay\.listen/);
	for (const role of ['relay', 'gateway']) {
		assert.equal((await run(['config', 'check', file, role])).stdout, 'ok\n');
	}
});

check('version, routes and help need nothing', async () => {
	for (const args of [['version'], ['--version']]) {
		assert.match((await run(args)).stdout, /^posthouse \d+\.\d+\.\d+/);
	}
	const routes = JSON.parse((await run(['routes', '--json'])).stdout);
	assert.ok(routes.every((r) => names(r).join() === 'access,doc,method,path,role'));
	for (const [role, path] of [['relay', '/connector/negotiate'], ['identity', '/connect/token'],
		['management', '/management/tenants/{name}/secrets'], ['statistics', '/statistics/origins'], ['status', '/metrics']]) {
		assert.ok(routes.some((r) => r.role === role && r.path === path), path);
	}
	assert.match((await run(['routes'])).stdout, /^ROLE +METHOD +PATH/);

	const overview = await run(['--help']);
	assert.equal(overview.code, 0);
	const commands = [...overview.stdout.matchAll(/^ {2}((?:[a-z]+ )+) *[A-Z]/gm)].map((m) => m[1].trim().split(' '));
	assert.ok(commands.length >= 20, commands.join('; '));
	for (const command of commands) {
		const help = await run([...command, '--help']);
		assert.equal(help.code, 0, command.join(' '));
		assert.equal(help.stderr, '');
		assert.ok(help.stdout.includes(`Usage: posthouse ${command.join(' ')}`), help.stdout);
	}
	for (const group of ['tenant', 'stats', 'config']) {
		assert.equal((await run([group])).code, 0, group);
	}
});

/* [arguments, exit code, what is said] */
const WRONG = [
	[['tenant', 'add', 'keys'], 1, /already a tenant/],
	[['tenant', 'add', 'a/b'], 2, /name/],
	[['tenant', 'add', ''], 2, /name/],
	[['tenant', 'add', 'x'.repeat(101)], 2, /name/],
	[['tenant', 'add', 'x', '--secret', ''], 2, /secret/],
	[['tenant', 'add', 'x', '--keep-alive', 'soon'], 2, /--keep-alive/],
	[['tenant', 'add', 'x', '--max-concurrent', '-1'], 2, /--max-concurrent/],
	[['tenant', 'add', 'x', '--max-concurrent', '65536'], 2, /--max-concurrent/],
	[['tenant', 'add', 'x', '--require-authentication', 'maybe'], 2, /--require-authentication/],
	[['tenant', 'add'], 2, /NAME/],
	[['tenant', 'add', 'x', 'y'], 2, /"y"/],
	[['tenant', 'show', 'nobody'], 1, /no tenant/],
	[['tenant', 'update', 'nobody'], 1, /no tenant/],
	[['tenant', 'secret', 'add', 'nobody'], 1, /tenant/],
	[['tenant', 'secret', 'list', 'nobody'], 1, /tenant/],
	[['tenant', 'secret', 'remove', 'keys', NOBODY], 1, /no such secret/],
	[['tenant', 'secret', 'remove', 'keys', 'x'], 2, /"x"/],
	[['tenant', 'secret', 'add', 'keys', '--expires', '2001-01-01T00:00:00Z'], 2, /--expires/],
	[['tenant', 'list', '--nonsense'], 2, /--nonsense/],
	[['tenant', 'list', '--json=1'], 2, /--json/],
	[['stats', 'requests', '--tenant', 'nobody'], 1, /no tenant/],
	[['stats', 'requests', '--outcome', 'nice'], 2, /--outcome/],
	[['stats', 'requests', '--limit', '0'], 2, /--limit/],
	[['stats', 'requests', '--from', 'yesterday'], 2, /--from/],
	[['stats', 'summary', 'nobody'], 1, /no tenant/],
	[['stats', 'summary'], 2, /TENANT/],
	[['config', 'check', '/nowhere.yaml'], 2, /\/nowhere\.yaml/],
	[['config', 'show', 'http://127.0.0.1:1/x.yaml'], 2, /127\.0\.0\.1:1/],
	[['serve', 'portmaster'], 2, /portmaster/],
];

check('what is wrong is told, with exit code 1 or 2', async () => {
	for (const [args, code, said] of WRONG) {
		assert.match((await cli(args, { code })).stderr, said, args.join(' '));
	}
	for (const args of [[], ['nonsense'], ['tenant', 'nonsense'], ['version', 'x'], ['tenant', 'add', '--secret'],
		['connect'], ['connect', '--server', 'ftp://x', '--tenant', 'a', '--secret', 'b']]) {
		const end = await run(args);
		assert.equal(end.code, 2, args.join(' '));
		assert.equal(end.stdout, '');
		assert.notEqual(end.stderr, '');
	}
	for (const missing of [['tenant', 'list'], ['migrate'], ['stats', 'origins'], ['config', 'check'], ['serve'], ['connect']]) {
		const end = await run([...missing, '--config', '/nowhere.yaml']);
		assert.equal(end.code, 2, missing.join(' '));
		assert.match(end.stderr, /\/nowhere\.yaml/);
	}
});

check('a database that cannot be had is a failure, not a wrong use', async () => {
	const file = join(server.dir, 'elsewhere.yaml');
	for (const database of ['postgres://nobody:secret-word@127.0.0.1:1/x', `sqlite:${server.dir}/not/there.db`]) {
		await writeFile(file, JSON.stringify({ database }));
		const end = await run(['tenant', 'list', '--config', file]);
		assert.equal(end.code, 1, end.stderr);
		assert.match(end.stderr, /^posthouse: ./m);
		assert.ok(!end.stderr.includes('secret-word'), 'no password is printed');
	}
});
