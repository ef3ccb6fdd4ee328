/* kong.yml: load, dump, diff and validate on the configured database; the declarative mode and /config. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { stat, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import tls from 'node:tls';
import { selfSigned } from './lib/certificate.mjs';
import { check, SANITIZED, until } from './lib/check.mjs';
import { request } from './lib/client.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { Child, run } from './lib/process.mjs';
import { ENGINE, Server } from './lib/server.mjs';

let server;

before(async () => {
	server = await Server.start();
});

after(() => server?.close());

async function write(name, text) {
	const path = join(server.dir, name);
	await writeFile(path, text);
	return path;
}

/* A command on the server's database that must end with `code`. */
async function gateway(args, { code = 0, input } = {}) {
	const end = await run(['gateway', ...args, '--config', server.config], { env: server.env, input });
	assert.equal(end.code, code, `${args.join(' ')}: ${end.code ?? end.signal}\n${end.stdout}${end.stderr}`);
	return end;
}

const counts = async (...args) => JSON.parse((await gateway(['load', ...args, '--json'])).stdout);
const validate = (path, input) => run(['gateway', 'validate', path], { input });

const FILE = `
_format_version: "3.0"
x-common: &common
  retries: 3
  tags: [web, "2026"]
services:
- <<: *common
  name: s
  url: https://example.com/base
  routes:
  - {name: r, paths: [/r], strip_path: no}
  - {paths: [/unnamed, '~/re\\d+$'], methods: [GET]}
- {name: t, host: 10.0.0.1, port: 8080, connect_timeout: 0x10}
consumers:
- username: jane
  custom_id: "007"
  acls: [{group: staff}]
  keyauth_credentials: [{key: "hush"}]
  basicauth_credentials: [{username: jane, password: "pass: word"}]
upstreams:
- name: up
  hash_on: header
  hash_on_header: X-A
  healthchecks: {active: {healthy: {interval: 5}}}
  targets: [{target: "a:80", weight: 0}, {target: "[::1]:81"}]
`;

check(`load, dump, diff: there and back without a change, on ${ENGINE}`, async () => {
	const file = await write('kong.yml', FILE);

	assert.match((await validate(file)).stdout, /^ok: .*services 2, routes 2/);
	assert.match((await gateway(['diff', file], { code: 1 })).stdout, /^create service 's'$/m);
	assert.match((await gateway(['load', file, '--dry-run'])).stdout, /would be: 11 created, 0 updated/);
	assert.deepEqual(await counts(file), { created: 11, updated: 0, deleted: 0, unchanged: 0 });
	assert.deepEqual(await counts(file), { created: 0, updated: 0, deleted: 0, unchanged: 11 });
	assert.equal((await gateway(['diff', file])).stdout, '');

	for (const options of [[], ['--with-ids'], ['--with-defaults'], ['--format', 'json']]) {
		const dumped = join(server.dir, 'dumped');
		await gateway(['dump', dumped, ...options]);
		assert.equal((await stat(dumped)).mode & 0o777, 0o600, 'keys are for the owner');
		assert.deepEqual(await counts(dumped), { created: 0, updated: 0, deleted: 0, unchanged: 11 });
	}
	const { stdout } = await gateway(['dump']);
	assert.match(stdout, /^_format_version: "3\.0"\n_transform: false\n/);
	assert.match(stdout, /^ {4}strip_path: false$/m);
	assert.doesNotMatch(stdout, /pass: word|preserve_host/);
	assert.equal((await gateway(['load', '-'], { input: stdout })).stdout,
		'0 created, 0 updated, 0 deleted, 11 unchanged\n');

	/* An empty database and the dump: the same entities. */
	await gateway(['load', '-'], { input: '_format_version: "3.0"\n' });
	assert.equal((await gateway(['dump'])).stdout, '_format_version: "3.0"\n');
	await gateway(['load', '-'], { input: stdout });
	assert.equal((await gateway(['dump'])).stdout, stdout);
});

check('a change is a change, whatever it moves', async () => {
	const load = async (text) => {
		const path = await write('step.yml', `_format_version: "3.0"\n${text}`);
		const shown = (await gateway(['diff', path], { code: 1 })).stdout;
		return [shown, await counts(path)];
	};

	await gateway(['load', '-'], { input: '_format_version: "3.0"\n' });
	await load('services: [{name: old, host: h, routes: [{name: r, paths: [/a]}]}]\nconsumers: [{username: c}]');

	/* The route moves to a new service; the old one can only go after that. */
	let [shown, n] = await load('services: [{name: new, host: h, routes: [{name: r, paths: [/a]}]}]\nconsumers: [{username: c}]');
	assert.match(shown, /create service 'new'\nupdate route 'r'\n {2}service: .*\ndelete service 'old'/);
	assert.deepEqual(n, { created: 1, updated: 1, deleted: 1, unchanged: 1 });

	/* The name goes to another entity: the first must go before. */
	[shown, n] = await load(`services: [{id: aaaaaaaa-0000-4000-8000-000000000001, name: new, host: i}]\nconsumers: [{username: c}]`);
	assert.match(shown, /delete route 'r'\ndelete service 'new'\ncreate service 'new'/);

	/* Only what has the tag goes, and what is loaded gets it. */
	const mine = await write('mine.yml', '_format_version: "3.0"\nconsumers: [{username: d}]\n');
	n = JSON.parse((await gateway(['load', mine, '--select-tag', 'team', '--json'])).stdout);
	assert.deepEqual(n, { created: 1, updated: 0, deleted: 0, unchanged: 0 });
	assert.match((await gateway(['dump', '--select-tag', 'team'])).stdout, /username: d\n {2}tags:\n {2}- team\n$/);
	/* The file and the command say the same. */
	const both = '_format_version: "3.0"\n_info: {select_tags: [team]}\nconsumers: [{username: d}]\n';
	await gateway(['diff', '-', '--select-tag', 'team'], { input: both });
	await gateway(['load', '-', '--select-tag', 'team'], { input: '_format_version: "3.0"\n_info: {select_tags: [team]}\n' });
	/* What has others' tags is theirs. */
	await gateway(['load', '-', '--select-tag', 'other'], { input: '_format_version: "3.0"\nconsumers: [{username: theirs}]\n' });
	for (const [command, code] of [['load', 1], ['diff', 2]]) {
		const { stderr } = await gateway([command, '-', '--select-tag', 'team'],
			{ code, input: '_format_version: "3.0"\nconsumers: [{username: theirs, custom_id: x}]\n' });
		assert.match(stderr, /consumer 'theirs' has other tags than those selected/);
	}
	const left = (await gateway(['dump'])).stdout;
	assert.match(left, /username: c/);
	assert.doesNotMatch(left, /username: d/);
});

check('names, keys and ids may change hands in one load', async () => {
	const id = (n) => `00000000-0000-4000-8000-00000000000${n}`;
	const load = async (text) => {
		const file = await write('swap.yml', `_format_version: "3.0"\n${text}`);
		const n = await counts(file);
		assert.equal((await gateway(['diff', file])).stdout, '', 'the database is equal to the file');
		return n;
	};
	const services = (...names) => load(`services:\n${names.map((name, i) => `- {id: ${id(i + 1)}, name: ${name}, host: h}\n`).join('')}`);
	const keys = (...all) => load(`consumers:\n${all.map((key, i) => `- {username: u${i}, keyauth_credentials: [{id: ${id(i + 1)}, key: ${key}}]}\n`).join('')}`);
	const owners = (n) => load(`services: [{id: ${id(n)}, name: s, host: h, routes: [{name: r, paths: [/r]}]}]
consumers: [{id: ${id(n)}, username: c, keyauth_credentials: [{key: k}], acls: [{group: g}]}]
upstreams: [{id: ${id(n)}, name: u, targets: [{target: "a:80"}]}]`);

	await gateway(['load', '-'], { input: '_format_version: "3.0"\n' });
	await services('a', 'b', 'c');
	assert.deepEqual(await services('b', 'a', 'c'), { created: 0, updated: 2, deleted: 0, unchanged: 1 });
	assert.deepEqual(await services('a', 'c', 'b'), { created: 0, updated: 3, deleted: 0, unchanged: 0 });
	assert.deepEqual(await services('c', 'b', 'd'), { created: 0, updated: 3, deleted: 0, unchanged: 0 });
	await keys('k1', 'k2');
	assert.equal((await keys('k2', 'k1')).updated, 2);
	/* Another id, under the name by which others still refer to it. */
	await owners(1);
	assert.ok((await owners(2)).created >= 3);
	assert.ok((await owners(1)).deleted >= 3);

	/* What is not unique at the end is refused, and nothing is written. */
	await gateway(['load', '-'], { input: '_format_version: "3.0"\n' });
	await services('a', 'b');
	await gateway(['load', '-', '--select-tag', 't'], { input: `_format_version: "3.0"\nservices: [{id: ${id(8)}, name: mine, host: h}]\n` });
	const before = (await gateway(['dump'])).stdout;
	const { stderr } = await gateway(['load', '-', '--select-tag', 't'],
		{ code: 1, input: `_format_version: "3.0"\nservices: [{id: ${id(8)}, name: a, host: h}]\n` });
	assert.match(stderr, /update service 'a': UNIQUE violation detected on '\{name="a"\}'/);
	assert.equal((await gateway(['dump'])).stdout, before);
	await gateway(['load', '-'], { input: '_format_version: "3.0"\n' });
});

check('what is wrong is named with its line, and nothing is written', async () => {
	const before_ = (await gateway(['dump', '--with-ids'])).stdout;
	const bad = await write('bad.yml', `_format_version: "3.0"
services:
- name: fine
  host: h
- name: s
  port: 99999
  routes:
  - name: r
    paths: [x]
routes:
- {name: q, paths: [/q], service: nobody}
nope: 1
`);
	for (const args of [['load', bad], ['diff', bad]]) {
		const { stdout, stderr } = await gateway(args, { code: 2 });
		assert.equal(stdout, '');
		assert.match(stderr, /bad\.yml:5: service 's': host: required field missing\n/);
		assert.match(stderr, /bad\.yml:6: service 's': port: value should be between 0 and 65535\n/);
		assert.match(stderr, /bad\.yml:9: service 's', route 'r': paths\.1: should start with: /);
		assert.match(stderr, /bad\.yml:11: route 'q': invalid reference 'service: nobody' \(no such entry in 'services'\)\n/);
		assert.match(stderr, /bad\.yml:12: nope: unknown field\n/);
		assert.match(stderr, /posthouse: .*bad\.yml: 5 errors\n$/);
	}
	for (const [text, error] of [
		['a: 1\na: 2\n', /line 2: key 'a' is given twice/],
		['services: [\n', /line \d/],
		['a: *b\n', /an alias without an anchor/],
		['', /expected a map of entities/],
		['- 1\n', /expected a map of entities/],
		[`a: ${'['.repeat(500)}`, /nested too deep/],
		[bomb(), /too large, with its aliases written out/],
	]) {
		const end = await validate('-', text);
		assert.equal(end.code, 2, end.stdout);
		assert.match(end.stderr, error);
	}
	assert.equal((await validate(join(server.dir, 'none.yml'))).code, 2);
	assert.equal((await gateway(['dump', '--with-ids'])).stdout, before_);
});

/* A billion laughs. */
function bomb() {
	const lines = ['a0: &a0 lol'];
	for (let i = 1; i < 20; i++) {
		lines.push(`a${i}: &a${i} [${Array(9).fill(`*a${i - 1}`).join(', ')}]`);
	}
	return `${lines.join('\n')}\n`;
}

/* 10,000 entities; a tenth of that on PostgreSQL, where each costs a dozen round trips. */
const LARGE = ENGINE === 'sqlite' && !SANITIZED ? 10000 : 1000;

/* `mark` is in each. */
function large(mark) {
	const lines = ['_format_version: "3.0"', 'services:'];
	for (let i = 0; i < LARGE / 4; i++) {
		lines.push(`- name: s${i}`, `  host: ${mark}.example`, '  routes:', `  - {name: r${i}, paths: [/p${i}], tags: [${mark}]}`);
	}
	lines.push('consumers:');
	for (let i = 0; i < LARGE / 4; i++) {
		lines.push(`- username: u${i}`, `  custom_id: ${mark}${i}`, `  keyauth_credentials: [{key: ${mark}-${i}}]`);
	}
	return `${lines.join('\n')}\n`;
}

check(`${LARGE} entities, and a load that is killed: all or nothing`, async () => {
	const one = await write('one.yml', large('one'));
	const two = await write('two.yml', large('two'));

	assert.equal((await counts(one)).created, LARGE);
	assert.deepEqual(await counts(one), { created: 0, updated: 0, deleted: 0, unchanged: LARGE });
	for (const wait of [100, 300, 700]) {
		const child = new Child('load', ['gateway', 'load', two, '--config', server.config], { env: server.env });
		/* The moment of the crash is arbitrary: this wait is for nothing that happens. */
		await new Promise((done) => setTimeout(done, wait));
		await child.kill();
		const of = { one: await counts(one, '--dry-run'), two: await counts(two, '--dry-run') };
		assert.ok(of.one.unchanged === LARGE || of.two.unchanged === LARGE, JSON.stringify(of));
	}
	await gateway(['load', two]);
	assert.equal((await counts(two, '--dry-run')).unchanged, LARGE);
	await gateway(['load', '-'], { input: '_format_version: "3.0"\n' });
});

/* ---- the declarative mode ---- */

const routeTo = (echo, path) =>
	`_format_version: "3.0"\nservices:\n- {name: s, url: "${echo.url}", routes: [{name: r, paths: [${path}]}]}\n`;

/* A gateway that lives from the text, and an upstream for it: `fn({ gw, echo, file })`. */
async function declared(textOf, fn, sections = {}) {
	const echo = await Echo.start();
	const file = await write('live.yml', textOf(echo));
	const gw = await Gateway.start({ ...sections, gateway: { declarative: file, ...sections.gateway } });
	try {
		await fn({ gw, echo, file });
	} finally {
		await gw.close();
		await echo.close();
	}
}

const YAML = { type: 'application/yaml' };

check('check 15: kong.yml is in force, and nothing else can be written', () => declared((echo) => routeTo(echo, '/one'), async ({ gw }) => {
	assert.equal((await gw.get('/one')).status, 200);
	assert.equal((await gw.want(200, 'GET', '/')).json.configuration.database, 'off');
	assert.equal((await gw.want(200, 'GET', '/services/s')).json.name, 's');
	const refused = (await gw.want(405, 'POST', '/services', { host: 'h' })).json;
	assert.equal(refused.code, 12);
	assert.equal(refused.message, "cannot create 'services' entities when not using a database");
	for (const [method, path, body] of [['PATCH', '/services/s', { host: 'h' }], ['PUT', '/services/n', { host: 'h' }],
		['DELETE', '/routes/r'], ['POST', '/services/s/routes', { paths: ['/x'] }]]) {
		assert.equal((await gw.want(405, method, path, body)).json.code, 12, `${method} ${path}`);
	}
	assert.equal((await gw.get('/one')).status, 200);
}));

check('check 15: /config replaces all or nothing', () => declared((echo) => routeTo(echo, '/one'), async ({ gw, echo }) => {
	const two = routeTo(echo, '/two');
	const loaded = (await gw.want(201, 'POST', '/config', { config: two })).json;
	assert.deepEqual(Object.values(loaded.services).map((s) => s.name), ['s']);
	assert.deepEqual(Object.values(loaded.routes).map((r) => r.paths), [['/two']]);
	assert.equal((await gw.get('/two')).status, 200);
	assert.equal((await gw.get('/one')).status, 404);
	const hash = async () => (await gw.want(200, 'GET', '/status')).json.configuration_hash;
	const before_ = await hash();
	assert.match(before_, /^[0-9a-f]{32}$/);
	assert.equal((await gw.want(304, 'POST', '/config?check_hash=1', { config: two })).text, '');
	assert.equal(await hash(), before_);
	await gw.want(201, 'POST', '/config', { config: two });

	/* As a tree, as text, as a form. */
	await gw.want(201, 'POST', '/config', { _format_version: '3.0', services: [] });
	assert.equal((await gw.get('/two')).status, 404);
	await gw.want(201, 'POST', '/config', routeTo(echo, '/three'), YAML);
	assert.equal((await gw.get('/three')).status, 200);
	await gw.want(201, 'POST', '/config', `config=${encodeURIComponent(two)}`);
	assert.equal((await gw.get('/two')).status, 200);

	const ID = '1bad1bad-0000-4000-8000-000000000001';
	const bad = `_format_version: "3.0"\nservices: [{id: ${ID}, name: bad, tags: [t], port: 99999, routes: [{name: q, paths: [x]}]}]\n`;
	const { json } = await gw.want(400, 'POST', '/config', bad, YAML);
	assert.equal(json.code, 14);
	assert.equal(json.name, 'invalid declarative configuration');
	assert.equal(json.fields.services[0].host, 'required field missing');
	assert.ok(!('flattened_errors' in json));
	assert.equal(json.fields.services[0].port, 'value should be between 0 and 65535');
	assert.match(json.message, /^declarative config is invalid: \{/);
	const flat = (await gw.want(400, 'POST', '/config?flatten_errors=1', bad, YAML)).json;
	assert.deepEqual([flat.code, flat.name, flat.fields], [14, json.name, {}]);
	assert.deepEqual(flat.flattened_errors, [{
		entity_type: 'service', entity_id: ID, entity_name: 'bad', entity_tags: ['t'],
		entity: { id: ID, name: 'bad', tags: ['t'], port: 99999 },
		errors: [
			{ type: 'field', field: 'host', message: 'required field missing' },
			{ type: 'field', field: 'port', message: 'value should be between 0 and 65535' },
		],
	}, {
		entity_type: 'route', entity_name: 'q', entity: { name: 'q', paths: ['x'], service: { id: ID } },
		errors: [{ type: 'field', field: 'paths', messages: ['should start with: / (fixed path) or ~/ (regex path)'] }],
	}]);
	const left = (await gw.want(400, 'POST', '/config?flatten_errors=1', `${bad}nope: 1\n`, YAML)).json;
	assert.deepEqual(left.fields, { nope: 'unknown field' }, 'what belongs to no entity');
	await gw.want(400, 'POST', '/config', 'services: [', YAML);
	assert.equal((await gw.want(400, 'POST', '/config', '', YAML)).json.message, 'expected a declarative configuration');
	assert.equal((await gw.get('/two')).status, 200, 'what was in force lives');

	/* There and back. */
	const { config } = (await gw.want(200, 'GET', '/config')).json;
	const again = (await gw.want(201, 'POST', '/config', { config })).json;
	assert.deepEqual(again.services, (await gw.want(201, 'POST', '/config', { config })).json.services);
	assert.equal((await gw.get('/two')).status, 200);
}));

check('check 15: SIGHUP reads the file again; a broken one is no start', () => declared((echo) => routeTo(echo, '/one'), async ({ gw, echo, file }) => {
	await writeFile(file, routeTo(echo, '/two'));
	gw.child.signal_('SIGHUP');
	await until(async () => (await gw.get('/two')).status === 200, 'the new file is in force');
	await writeFile(file, 'services: [{name: x}]\n');
	const from = gw.child.lines.length;
	gw.child.signal_('SIGHUP');
	await gw.child.line(/live\.yml:1: /, { from });
	assert.equal((await gw.get('/two')).status, 200);
	await gw.stop();
	const end = await run(['serve', 'gateway', '--config', gw.file]);
	assert.notEqual(end.code, 0);
	assert.match(end.stdout + end.stderr, /live\.yml:1: /);
	await writeFile(file, routeTo(echo, '/one'));
	await gw.launch();
	assert.equal((await gw.get('/one')).status, 200);
}));

/* ---- what a file says again ---- */

const tagged = (echo, tag) => ({
	_format_version: '3.0',
	services: Array.from({ length: 1000 }, (_, i) => ({
		name: `s${i}`, url: echo.url,
		routes: [{ name: `r${i}`, paths: [`/r${i}`], tags: [i === 0 ? tag : 'same'] }],
		plugins: [{ name: 'request-transformer', config: { add: { headers: ['X-A:1'] } } }],
	})),
});

/* Bytes that the process has allocated. */
async function heap(gw) {
	const { text } = await request(gw.status, '/metrics', { method: 'GET' });
	return Number(/^kong_memory_workers_lua_vms_bytes\{.*\} (\d+)$/m.exec(text)[1]);
}

const isBlind = SANITIZED && 'the allocator of the sanitizers does not say how much it holds';

check('configurations that are still in use cost what differs', { skip: isBlind }, () => declared((echo) => routeTo(echo, '/one'), async ({ gw, echo }) => {
	echo.takeWebSockets();
	const small = await heap(gw);
	await gw.want(201, 'POST', '/config', tagged(echo, 'v0'));
	const one = await heap(gw) - small;
	assert.ok(one > 1 << 20, `${one} bytes`);
	const open = [];
	try {
		for (let i = 1; i <= 10; i++) {
			open.push(await gw.webSocket(`/r${i}`));
			await gw.want(201, 'POST', '/config', tagged(echo, `v${i}`));
		}
		assert.deepEqual((await gw.want(200, 'GET', '/routes/r0')).json.tags, ['v10']);
		await until(async () => await heap(gw) - small < 1.5 * one, 'ten in use cost less than half of one more');
		assert.ok(open.every((raw) => !raw.ended));
	} finally {
		open.forEach((raw) => raw.socket.destroy());
	}
}));

check('what an entity has learnt outlives a file that says the same of it', () => declared((echo) => routeTo(echo, '/one'), async ({ gw, echo }) => {
	const target = `127.0.0.1:${echo.port}`;
	const file = (tag) => ({
		_format_version: '3.0',
		services: [{
			name: 's', host: 'up', routes: [{ name: 'r', paths: ['/r'], tags: [tag] }],
			plugins: [{ name: 'rate-limiting', config: { year: 2, policy: 'local' } }],
		}],
		upstreams: [{
			name: 'up', healthchecks: { passive: { unhealthy: { http_failures: 1 } } },
			targets: [{ target }, { target: '127.0.0.1:1' }],
		}],
	});
	const health = async () => Object.fromEntries((await gw.want(200, 'GET', '/upstreams/up/health')).json.data
		.map((t) => [t.target, t.health]));
	const service = async () => (await gw.want(200, 'GET', '/services/s')).json;
	await gw.want(201, 'POST', '/config', file('a'));
	await gw.want(204, 'PUT', '/upstreams/up/targets/127.0.0.1:1/unhealthy');
	const before_ = await service();
	assert.equal((await gw.get('/r')).status, 200);
	await gw.want(201, 'POST', '/config', file('b'));
	assert.deepEqual(await service(), before_);
	assert.deepEqual(await health(), { [target]: 'HEALTHY', '127.0.0.1:1': 'UNHEALTHY' });
	assert.deepEqual((await gw.want(200, 'GET', '/routes/r')).json.tags, ['b']);
	assert.equal((await gw.get('/r')).status, 200);
	await gw.want(201, 'POST', '/config', file('c'));
	assert.equal((await gw.get('/r')).status, 429);
}));

/* Variables of Kong and kong.conf: gateway-kong-conf. */
check('check 39: settings of the environment come before those of the file', () => declared((echo) => routeTo(echo, '/one'), async ({ gw }) => {
	const { headers } = await gw.get('/one');
	assert.equal(headers['x-kong-upstream-status'], '200');
	for (const name of ['via', 'x-kong-upstream-latency', 'x-kong-request-id']) {
		assert.equal(headers[name], undefined);
	}
	const told = (await gw.get('/one', { 'X-Real-IP': '10.1.2.3' })).json.headers;
	assert.equal(told['x-real-ip'], '10.1.2.3', 'a list');
}, {
	env: { POSTHOUSE_GATEWAY__HEADERS: 'X-Kong-Upstream-Status', POSTHOUSE_GATEWAY__TRUSTED_IPS: '127.0.0.1/32,::1' },
	gateway: { headers: ['off'] },
}));

check('check 39: secrets of the environment, by name and through a vault', async () => {
	const { key, cert } = await selfSigned(server.dir, 'vault.test');
	const text = () => `_format_version: "3.0"
vaults:
- {prefix: mine, name: env, config: {prefix: TLS_}}
- {prefix: mine64, name: env, config: {base64_decode: true}}
plugins:
- name: http-log
  config: {http_endpoint: "{vault://env/log-url}", headers: {X-Token: "{vault://mine64/token}"}}
certificates:
- cert: "{vault://env/tls-cert}"
  key: "{vault://mine/pair/key}"
  snis: [{name: vault.test}]
- cert: "{vault://env/not-there}"
  key: "{vault://env/not-there}"
  snis: [{name: absent.test}]
`;
	const sink = await Echo.start();
	const env = {
		TLS_CERT: cert, TLS_PAIR: JSON.stringify({ key }), LOG_URL: `${sink.url}/from-the-vault`,
		TOKEN: Buffer.from('hush').toString('base64'),
	};
	try {
		await declared(text, async ({ gw }) => {
			const subject = async (servername) => {
				const socket = tls.connect({ host: '127.0.0.1', port: new URL(gw.proxies[0]).port, servername, rejectUnauthorized: false });
				await once(socket, 'secureConnect');
				const { CN } = socket.getPeerCertificate().subject;
				socket.destroy();
				return CN;
			};
			assert.equal(await subject('vault.test'), 'vault.test');
			assert.notEqual(await subject('absent.test'), 'vault.test');
			const shown = (await gw.want(200, 'GET', '/certificates/vault.test')).json;
			assert.equal(shown.key, '{vault://mine/pair/key}', 'what is listed is the reference');
			assert.doesNotMatch((await gw.want(200, 'GET', '/config')).text, /PRIVATE KEY/);
			await gw.child.line(/NOT_THERE is not set/);
			assert.doesNotMatch(gw.child.story(), /PRIVATE KEY/);
			/* Fields of plugins, too. */
			await gw.send('GET', '/nowhere', { url: gw.proxies[1] });
			const record = await sink.hits.take();
			assert.equal(record.url, '/from-the-vault');
			assert.equal(record.headers['x-token'], 'hush');
			const [plugin] = (await gw.want(200, 'GET', '/plugins')).json.data;
			assert.equal(plugin.config.http_endpoint, '{vault://env/log-url}');
		}, { env, gateway: { listen: [{ address: '127.0.0.1:0', tls: {} }, '127.0.0.1:0'] } });
	} finally {
		await sink.close();
	}
});

check('a plugin that cannot be configured closes its route and no other', async () => {
	const text = (echo) => `_format_version: "3.0"
services:
- name: s
  url: ${echo.url}
  routes:
  - paths: [/shut]
    plugins:
    - {name: http-log, config: {http_endpoint: "{vault://env/not-there}"}}
  - paths: [/open]
`;
	await declared(text, async ({ gw }) => {
		assert.equal((await gw.get('/shut')).status, 500);
		assert.equal((await gw.get('/open')).status, 200);
		await gw.child.line(/NOT_THERE is not set/);
	});
});
