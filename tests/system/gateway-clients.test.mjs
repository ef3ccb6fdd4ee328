/*
 * Clients of Kong's Admin API, as Debian has them: decK, and the tests of go-kong, the library below decK, Terraform's
 * provider and the ingress controller.
 */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'node:test';
import { selfSigned } from './lib/certificate.mjs';
import { check, SLOWNESS } from './lib/check.mjs';
import { Gateway } from './lib/gateway.mjs';
import { execute } from './lib/process.mjs';

let gw;

beforeEach(async () => {
	gw = await Gateway.start();
});

afterEach(() => gw?.close());

const path = (name) => join(gw.dir, name);

/* decK's { created, updated, deleted, code, stdout } of a command; one that fails fails the test. */
async function deck(...args) {
	/* `diff` ends with 2 when there are differences. */
	const { code = 0, stdout, stderr } = await execute('deck', ['--kong-addr', gw.adminUrl, '--config', path('none.yaml'),
		...args], { env: { ...process.env, HOME: gw.dir } }).catch((error) => error);
	assert.ok(code === 0 || code === 2, `deck ${args.join(' ')}: ${code}\n${stdout}${stderr}`);
	const count = (name) => Number(new RegExp(`${name}: (\\d+)`).exec(stdout)?.[1]);
	return { code, stdout, created: count('Created'), updated: count('Updated'), deleted: count('Deleted') };
}

const sync = async (file, ...more) => {
	const { created, updated, deleted } = await deck('sync', '-s', file, ...more);
	return { created, updated, deleted };
};

const indented = (pem) => pem.trim().split('\n').join('\n    ');

const state = ({ key, cert }) => `
_format_version: "1.1"
certificates:
- id: 7f79ad05-8ea3-4c81-8ac9-4d1d6a3c6f11
  cert: |
    ${indented(cert)}
  key: |
    ${indented(key)}
  snis: [{name: a.example}, {name: "*.b.example"}]
ca_certificates:
- cert: |
    ${indented(cert)}
services:
- name: shop
  url: https://127.0.0.1:9/base
  client_certificate: 7f79ad05-8ea3-4c81-8ac9-4d1d6a3c6f11
  tags: [web]
  routes:
  - name: all
    paths: [/all, '~/x/\\d+']
    methods: [GET, POST]
    hosts: [a.example, "*.b.example"]
    headers: {x-a: [one, two]}
    tags: [web, q]
  plugins:
  - {name: rate-limiting, config: {minute: 5, policy: local}}
  - {name: cors, config: {origins: ["https://a.example"], max_age: 60}}
- name: balanced
  url: http://up/
  plugins:
  - {name: request-transformer, config: {add: {headers: ["x-b:c"]}}}
routes:
- {name: alone, protocols: [grpc, grpcs], paths: [/pkg.S/], snis: [q.example]}
consumers:
- username: jane
  custom_id: "007"
  acls: [{group: staff}, {group: "a group"}]
  keyauth_credentials: [{key: hush}]
  plugins: [{name: request-termination, config: {status_code: 403}}]
upstreams:
- name: up
  hash_on: header
  hash_on_header: X-A
  healthchecks: {active: {healthy: {interval: 5}}}
  targets: [{target: "127.0.0.1:80", weight: 10}, {target: "[::1]:81"}]
plugins:
- name: prometheus
- {name: correlation-id, enabled: false}
`;
const STATE_SIZE = 21;

/* Makes the state, and returns what decK dumps of it, as a file. */
async function build() {
	await writeFile(path('state.yml'), state(await selfSigned(gw.dir, 'a.example')));
	assert.deepEqual(await sync(path('state.yml')), { created: STATE_SIZE, updated: 0, deleted: 0 });
	await deck('dump', '-o', path('dumped.yml'));
	return path('dumped.yml');
}

check('check 13: decK: sync, diff, dump, reset', { timeout: 120_000 }, async () => {
	assert.match((await deck('ping')).stdout, /Successfully connected to Kong!\nKong version: +3\.10\.0/);
	const dumped = await build();

	/* What it writes it reads, field by field; what it reads it need not write. */
	const { code, stdout } = await deck('diff', '-s', dumped, '--non-zero-exit-code');
	assert.equal(code, 0, stdout);
	assert.deepEqual(await sync(dumped), { created: 0, updated: 0, deleted: 0 });

	/* Everything goes, and comes back the same. */
	await deck('reset', '--force');
	for (const kind of ['services', 'routes', 'consumers', 'plugins', 'upstreams', 'certificates', 'snis', 'ca_certificates', 'acls', 'key-auths']) {
		assert.deepEqual((await gw.want(200, 'GET', `/${kind}`)).json.data, [], kind);
	}
	assert.deepEqual(await sync(dumped), { created: STATE_SIZE, updated: 0, deleted: 0 });
	await deck('dump', '-o', path('again.yml'));
	/* Groups stand in the order of their ids, and those are new. */
	const lines = async (file) => (await readFile(file, 'utf8')).split('\n').sort();
	assert.deepEqual(await lines(path('again.yml')), await lines(dumped));
});

check('check 13: decK: a change, and what a tag selects', async () => {
	const file = path('changed.yml');
	const dumped = await readFile(await build(), 'utf8');
	await writeFile(file, dumped.replace('max_age: 60', 'max_age: 90').replace('group: a group', 'group: another'));
	const { code, stdout } = await deck('diff', '-s', file, '--non-zero-exit-code');
	assert.equal(code, 2);
	assert.match(stdout, /-\s+"max_age": 60,\n\+\s+"max_age": 90,/);
	assert.deepEqual(await sync(file), { created: 1, updated: 1, deleted: 1 });

	await deck('dump', '--select-tag', 'web', '-o', path('web.yml'));
	const selected = await readFile(path('web.yml'), 'utf8');
	assert.match(selected, /name: shop\n/);
	assert.doesNotMatch(selected, /name: balanced\n/);
	await writeFile(path('less.yml'), '_format_version: "1.1"\n_info: {select_tags: [q]}\n');
	assert.deepEqual(await sync(path('less.yml')), { created: 0, updated: 0, deleted: 1 }, 'only the route');
	await gw.want(404, 'GET', '/routes/all');
});

/*
 * go-kong's tests ask localhost:8001; compiled with another kong.go, they ask whom they are told to. Those that need
 * credentials of plugins that are not built yet stay out, and so do the tests that make a plugin `jwt`.
 */
const GO_KONG = '/usr/share/gocode/src/github.com/kong/go-kong/kong';
const NOT_BUILT = /^Test(HMACAuth|JWT|Oauth2Credential|PluginListEndpoint$|PluginListAllForEntityEndpoint$)/;

async function goKong() {
	const source = await readFile(join(GO_KONG, 'kong.go'), 'utf8');
	const asked = source.replace(/^const defaultBaseURL = .*$/m, 'var defaultBaseURL = os.Getenv("GO_KONG_URL")');
	assert.notEqual(asked, source);
	await writeFile(path('kong.go'), asked);
	await writeFile(path('overlay.json'), JSON.stringify({ Replace: { [join(GO_KONG, 'kong.go')]: path('kong.go') } }));
	await mkdir(path('go'));
	await execute('go', ['test', '-c', '-vet=off', '-overlay', path('overlay.json'), '-o', path('go-kong'), 'github.com/kong/go-kong/kong'],
		{ env: { ...process.env, GO111MODULE: 'off', GOPATH: '/usr/share/gocode', GOCACHE: path('go'), GOFLAGS: '' } });
	return path('go-kong');
}

check('check 14: the tests of go-kong, through which Terraform reads and writes', { timeout: 240_000 }, async () => {
	const bin = await goKong();
	const names = (await execute(bin, ['-test.list', '.'])).stdout.trim().split('\n').filter((name) => !NOT_BUILT.test(name));
	const { stdout } = await execute(bin, ['-test.v', '-test.timeout', `${60 * SLOWNESS}s`, '-test.run', `^(${names.join('|')})$`],
		{ cwd: GO_KONG, env: { PATH: process.env.PATH, GO_KONG_URL: gw.adminUrl } }).catch((error) => error);
	assert.ok(!/^\s*--- FAIL|^panic/m.test(stdout), stdout);
	const passed = stdout.match(/^--- PASS/gm)?.length ?? 0;
	/* What is skipped is Kong Enterprise's, or of Kong before 2.0. */
	const skipped = [...stdout.matchAll(/^--- SKIP: (\S+)/gm)].map(([, name]) => name);
	assert.ok(skipped.every((name) => /^Test(RBAC|UserRoles|RunWhenEnterprise|CustomEntity)/.test(name)), skipped.join(' '));
	assert.ok(passed >= 70, `${passed} passed`);
});
