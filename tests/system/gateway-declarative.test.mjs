/* kong.yml: load, dump, diff and validate on the configured database; the declarative mode and /config. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { check } from './lib/check.mjs';
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
	await gateway(['load', '-', '--select-tag', 'team'], { input: '_format_version: "3.0"\n_info: {select_tags: [team]}\n' });
	const left = (await gateway(['dump'])).stdout;
	assert.match(left, /username: c/);
	assert.doesNotMatch(left, /username: d/);
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
const LARGE = ENGINE === 'sqlite' ? 10000 : 1000;

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
