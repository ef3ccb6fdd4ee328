/* Check 39: the gateway is started by what was written for Kong, variables or a kong.conf. */
import assert from 'node:assert/strict';
import tls from 'node:tls';
import { after, before } from 'node:test';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { selfSignedFiles } from './lib/certificate.mjs';
import { check, until } from './lib/check.mjs';
import { request } from './lib/client.mjs';
import { Echo } from './lib/gateway.mjs';
import { Child, execute, run } from './lib/process.mjs';
import { ENGINE, newDatabase } from './lib/server.mjs';

let dir;
let echo;
let pair;

before(async () => {
	dir = await mkdtemp(join(tmpdir(), 'posthouse-kong-conf-'));
	echo = await Echo.start();
	pair = await selfSignedFiles(dir, 'kong.example');
});

after(async () => {
	await echo?.close();
	await rm(dir, { recursive: true, force: true });
});

const routeTo = (path) => `_format_version: "3.0"
services: [{name: s, url: "${echo.url}", routes: [{name: r, paths: [${path}]}]}]
`;

async function write(name, text) {
	const path = join(dir, name);
	await writeFile(path, text);
	return path;
}

/* { child, gateway: [URL, …], admin: […], status: […] } of `posthouse serve ARGS`, with `env` alone. */
async function started(args, env, fn) {
	const child = new Child('gateway', ['serve', ...args], { cwd: dir, env });
	try {
		const line = await child.line(/(^|\s)ready /);
		const urls = (name) => new RegExp(`\\b${name}=(\\S+)`).exec(line)?.[1].split(',') ?? [];
		await fn({ child, line, gateway: urls('gateway'), admin: urls('admin'), status: urls('status') });
		const end = await child.stop();
		assert.equal(end.code, 0, child.story());
	} finally {
		await child.kill().catch(() => {});
	}
}

const adminOf = (url) => async (method, path, body) => await request(url, path, {
	method, headers: { 'Content-Type': 'application/json' }, body: body && JSON.stringify(body),
});

/* "2 200", of a client that takes what is offered. */
async function curl(url, path, ...more) {
	const { stdout } = await execute('curl', ['-sk', '-o', '/dev/null', '-w', '%{http_version} %{http_code}', ...more, url + path]);
	return stdout;
}

async function certificateOf(url) {
	const socket = tls.connect({ host: '127.0.0.1', port: new URL(url).port, servername: 'any.example', rejectUnauthorized: false });
	await once(socket, 'secureConnect');
	const { CN } = socket.getPeerCertificate().subject;
	socket.destroy();
	return CN;
}

const LISTEN = {
	KONG_PROXY_LISTEN: '127.0.0.1:0 reuseport backlog=16384',
	KONG_ADMIN_LISTEN: '127.0.0.1:0',
	KONG_STATUS_LISTEN: '127.0.0.1:0',
};

check('check 39: KONG_* variables alone start a gateway without a database', async () => {
	const env = {
		KONG_DATABASE: 'off',
		KONG_DECLARATIVE_CONFIG: await write('kong.yml', routeTo('/r')),
		KONG_PROXY_LISTEN: '127.0.0.1:0 reuseport backlog=16384, 127.0.0.1:0 http2 ssl reuseport backlog=16384',
		KONG_ADMIN_LISTEN: '127.0.0.1:0, 127.0.0.1:0 http2 ssl',
		KONG_STATUS_LISTEN: '127.0.0.1:0, 127.0.0.1:0 ssl',
		KONG_SSL_CERT: pair.cert,
		KONG_SSL_CERT_KEY: '{vault://env/tls-key-file}',
		TLS_KEY_FILE: pair.key,
		KONG_TRUSTED_IPS: '127.0.0.1/32,::/0',
		KONG_REAL_IP_HEADER: 'X-Client',
		KONG_HEADERS: 'X-Kong-Upstream-Status',
		KONG_LOG_LEVEL: 'notice',
		KONG_PREFIX: '/usr/local/kong',
		KONG_PROXY_ACCESS_LOG: '/dev/stdout',
		KONG_PLUGINS: 'bundled',
		KONG_NGINX_WORKER_PROCESSES: '1',
		KONG_PORT_MAPS: '80:8000',
		KONG_PORT: 'tcp://10.0.0.1:8000',
		KONG_CURL: 'curl -k',
	};
	await started(['gateway'], env, async ({ child, gateway, admin, status }) => {
		const [plain, secure] = gateway;
		const { headers, json } = await request(plain, '/r/x', { headers: { 'X-Client': '10.1.2.3' } });
		assert.equal(json.url, '/x');
		assert.equal(json.headers['x-real-ip'], '10.1.2.3');
		assert.equal(headers['x-kong-upstream-status'], '200');
		assert.equal(headers['x-kong-request-id'], undefined);
		assert.equal(await curl(secure, '/r'), '2 200');
		assert.equal(await certificateOf(secure), 'kong.example');

		const call = adminOf(admin[0]);
		assert.equal((await call('GET', '/')).json.configuration.database, 'off');
		assert.equal((await call('GET', '/services/s')).json.name, 's');
		assert.equal((await call('POST', '/services', { host: 'h' })).status, 405);
		/* Without certificates of their own they have those of the gateway. */
		assert.equal(await curl(admin[1], '/services/s'), '2 200');
		assert.equal(await curl(status[1], '/health/ready'), '1.1 200');
		assert.match((await request(status[0], '/metrics')).text, /posthouse_info/);
		assert.match(await child.line(/KONG_PORT_MAPS/), /has no effect/);
		assert.doesNotMatch(child.story(), /KONG_CURL/);
	});
});

check('check 39: config show and check tell what the variables are here', async () => {
	const env = { KONG_PG_HOST: 'db', KONG_PG_PASSWORD: 'hush', KONG_TRUSTED_IPS: '10.0.0.0/8', KONG_ERROR_TEMPLATE_JSON: '/x' };
	const shown = await run(['config', 'show'], { env });
	assert.match(shown.stdout, /^ {2}trusted_ips: 10\.0\.0\.0\/8 {2}# KONG_TRUSTED_IPS$/m);
	assert.match(shown.stdout, /^database: "\*\*\*" {2}# KONG_PG_HOST$/m);
	const checked = await run(['config', 'check'], { env });
	assert.equal(checked.code, 0);
	assert.equal(checked.stdout, 'ok\n');
	assert.equal(checked.stderr, 'posthouse: warning: KONG_ERROR_TEMPLATE_JSON: has no effect: bodies of errors cannot be changed\n');
	for (const [name, value] of [['KONG_ROLE', 'data_plane'], ['KONG_DATABASE', 'cassandra'], ['KONG_PG_PORT', 'x']]) {
		const refused = await run(['serve', 'gateway'], { cwd: dir, env: { ...env, [name]: value } });
		assert.equal(refused.code, 2);
		assert.match(refused.stderr, new RegExp(`^posthouse: ${name}: "${value}" `));
		assert.doesNotMatch(refused.stderr, /hush/);
	}
});

check('check 39: off without a file begins empty, and a reload keeps what POST /config brought', async () => {
	await started(['gateway'], { ...LISTEN, KONG_DATABASE: 'off' }, async ({ child, gateway, admin, status }) => {
		const call = adminOf(admin[0]);
		const ready = async () => {
			const reply = await request(status[0], '/status/ready');
			return [reply.status, reply.json.message];
		};
		const empty = [503, 'no configuration available (empty configuration present)'];
		assert.deepEqual(await ready(), empty);
		const { configuration_hash: hash } = (await call('GET', '/status')).json;
		assert.equal(hash, '0'.repeat(32));
		assert.equal((await request(gateway[0], '/posted')).status, 404);
		assert.equal((await call('POST', '/config', { config: routeTo('/posted') })).status, 201);
		assert.equal((await request(gateway[0], '/posted')).status, 200);
		assert.deepEqual(await ready(), [200, 'ready']);
		const from = child.lines.length;
		child.signal_('SIGHUP');
		assert.match(await child.line(/configuration (not )?reloaded/, { from }), /configuration reloaded/);
		assert.equal((await request(gateway[0], '/posted')).status, 200);
		assert.deepEqual(await ready(), [200, 'ready']);
		assert.equal((await call('POST', '/config', { _format_version: '3.0' })).status, 201);
		assert.deepEqual(await ready(), empty);
	});
});

check('check 39: the status listener has what that of Kong has, and nothing else of the Admin API', async () => {
	await started(['gateway'], LISTEN, async ({ gateway, admin, status: [url] }) => {
		const call = adminOf(admin[0]);
		assert.deepEqual((await request(url, '/status/ready')).json, { message: 'ready' });
		assert.equal(await curl(url, '/status/ready', '-I'), '1.1 200');
		assert.equal((await call('POST', '/upstreams', { name: 'up' })).status, 201);
		for (const target of [`127.0.0.1:${echo.port}`, '127.0.0.1:1']) {
			assert.equal((await call('POST', '/upstreams/up/targets', { target })).status, 201);
		}
		for (const path of ['/upstreams/up/health', '/upstreams/up/health?balancer_health=1']) {
			const { status, json } = await request(url, path);
			assert.equal(status, 200);
			assert.deepEqual(json, (await call('GET', path)).json);
		}
		assert.equal((await request(url, '/upstreams/none/health')).status, 404);

		const before_ = (await request(url, '/status')).json;
		assert.equal((await request(gateway[0], '/nowhere')).status, 404);
		const { database, server, memory } = (await request(url, '/status?unit=k&scale=0')).json;
		assert.deepEqual(database, { reachable: true });
		assert.equal(server.total_requests, before_.server.total_requests + 1);
		assert.match(memory.workers_lua_vms[0].http_allocated_gc, /^\d+ KiB$/);

		for (const path of ['/status', '/status/ready', '/upstreams/up/health']) {
			for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
				const reply = await request(url, path, { method, body: '{}', headers: { 'Content-Type': 'application/json' } });
				assert.equal(reply.status, 405, `${method} ${path}`);
				assert.equal(reply.headers.allow, 'GET, HEAD, OPTIONS');
			}
		}
		for (const path of ['/', '/services', '/config', '/endpoints', '/upstreams', '/upstreams/up', '/upstreams/up/targets',
			'/upstreams/up/targets/127.0.0.1:1/unhealthy', '/debug/node/log-level/debug', '//services', '//status', '/status/../services',
			'/status/%2e%2e/services', '/status%2f..%2fservices', '/upstreams/up/health/../../../services', '/upstreams/up/health/services',
			'/health/ready/../../services', '/metrics/../services', `${url}/services`]) {
			for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS']) {
				const reply = await request(url, path, { method, body: '{}', headers: { 'Content-Type': 'application/json' } });
				assert.equal(reply.status, 404, `${method} ${path}`);
			}
		}
		assert.equal((await call('GET', '/upstreams/up/targets')).json.data.length, 2);
	});
});

check('check 39: the declarative configuration may be a variable, as text', async () => {
	const env = { ...LISTEN, KONG_DATABASE: 'off', KONG_DECLARATIVE_CONFIG_STRING: routeTo('/text') };
	await started(['gateway'], env, async ({ gateway }) => {
		assert.equal((await request(gateway[0], '/text')).status, 200);
	});
	const broken = await run(['serve', 'gateway'], {
		cwd: dir, env: { ...env, KONG_DECLARATIVE_CONFIG_STRING: 'services: [{name: x}]' },
	});
	assert.equal(broken.code, 2);
	assert.match(broken.stderr, /gateway\.declarative_text:1: /);
});

check('check 39: a kong.conf is a configuration, with variables over it', async () => {
	await write('live.yml', routeTo('/conf'));
	const lines = `# as Kong has it
database = off                 # entities come from a file
declarative_config = live.yml
proxy_listen = 127.0.0.1:0, 127.0.0.1:0 ssl
ssl_cert = kong.example.pem
ssl_cert_key = kong.example.key
admin_listen = 127.0.0.1:0
status_listen = 127.0.0.1:0
headers = off
nginx_http_client_max_body_size = 8m
`;
	const file = await write('kong.conf', lines);
	/* The roles are those of the file: the gateway. The folder is not that of the process. */
	await started(['--config', file, '--data', dir], { KONG_ALLOW_DEBUG_HEADER: 'on' }, async ({ child, line, gateway }) => {
		assert.doesNotMatch(line, /\b(relay|identity|management|statistics)=/);
		assert.equal(await certificateOf(gateway[1]), 'kong.example');
		const { headers } = await request(gateway[0], '/conf', { headers: { 'Kong-Debug': '1' } });
		assert.equal(headers['kong-route-name'], 'r');
		assert.equal(headers.via, undefined);
		await write('live.yml', routeTo('/next'));
		child.signal_('SIGHUP');
		await until(async () => (await request(gateway[0], '/next')).status === 200, 'the file is read again');
	});
	await write('kong.conf', `${lines}proxy_listn = off\n`);
	const { code, stderr } = await run(['config', 'check', file]);
	assert.equal(code, 2);
	assert.equal(stderr, `posthouse: ${file}:11: proxy_listn: not a setting of kong.conf (did you mean "proxy_listen"?)\n`);
});

check('check 39: KONG_PG_* are the database', { skip: ENGINE !== 'postgres' && 'on SQLite' }, async () => {
	const url = await newDatabase(dir);
	const [, user, name, host] = /^postgres:\/\/(\w+)@\/(\w+)\?host=(.*)$/.exec(url);
	const env = {
		...LISTEN, KONG_DATABASE: 'postgres', KONG_PG_HOST: host, KONG_PG_USER: user, KONG_PG_DATABASE: name,
		KONG_PG_PASSWORD_FILE: await write('password', 'p@ss/word?\n'), KONG_PG_SCHEMA: 'kong-s', KONG_PG_TIMEOUT: '5000',
	};
	await execute('psql', ['-qX', '-c', 'CREATE SCHEMA "kong-s"', url]);
	await started(['gateway'], env, async ({ admin, gateway }) => {
		const call = adminOf(admin[0]);
		assert.equal((await call('GET', '/')).json.configuration.database, 'postgres');
		assert.equal((await call('POST', '/services', { name: 'kept', url: echo.url })).status, 201);
		assert.equal((await call('POST', '/services/kept/routes', { paths: ['/kept'] })).status, 201);
		assert.equal((await request(gateway[0], '/kept')).status, 200);
	});
	await started(['gateway'], env, async ({ gateway }) => {
		assert.equal((await request(gateway[0], '/kept')).status, 200);
	});
	const { stdout } = await execute('psql', ['-AtqX', '-c',
		"SELECT schemaname FROM pg_tables WHERE tablename = 'gateway_entities'", url]);
	assert.equal(stdout.trim(), 'kong-s');
});
