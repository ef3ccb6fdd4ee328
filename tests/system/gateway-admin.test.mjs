/* The Admin API of the gateway, profile of Kong 3.10: acceptance checks 1 to 12 and 16. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { readFile, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import tls from 'node:tls';
import { selfSigned } from './lib/certificate.mjs';
import { check, until } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { ENGINE } from './lib/server.mjs';

let gw;

before(async () => {
	gw = await Gateway.start({ gateway: { listen: ['127.0.0.1:0', { address: '127.0.0.1:0', tls: {} }] } });
});

after(() => gw?.close());

const want = (...args) => gw.want(...args);

check(`check 1: the index, on ${ENGINE}`, async () => {
	const { json, headers } = await want(200, 'GET', '/');
	assert.equal(json.version, '3.10.0');
	assert.equal(json.tagline, 'Welcome to kong');
	assert.equal(json.configuration.database, 'postgres');
	assert.match(json.node_id, /^[0-9a-f-]{36}$/);
	assert.ok(json.plugins.available_on_server['key-auth'].priority > 0);
	assert.equal(headers['server'], 'kong/3.10.0');
	assert.match(headers['x-kong-admin-latency'], /^\d+$/);
	assert.equal(headers['access-control-allow-origin'], '*');
});

check('check 1: the index tells the settings, and those of the last reload', async () => {
	const told = async () => (await want(200, 'GET', '/')).json.configuration;
	const before = await told();
	assert.equal(before.loaded_plugins['key-auth'], true);
	assert.deepEqual(before.plugins, ['bundled']);
	assert.deepEqual(before.stream_listen, ['off']);
	assert.equal(before.log_level, 'notice');
	assert.equal(before.prefix, gw.dir);
	assert.equal(before.upstream_keepalive_idle_timeout, 60);
	assert.deepEqual(before.proxy_listeners.map(({ ip, ssl }) => [ip, ssl]), [['127.0.0.1', false], ['127.0.0.1', true]]);
	if (ENGINE === 'postgres') {
		assert.equal(before.pg_database, /\/(system_\w+)/.exec(gw.database)[1]);
	}
	await writeFile(gw.file, (await readFile(gw.file, 'utf8')).replace('{', '{"log_level": "warn",'));
	gw.child.signal_('SIGHUP');
	await until(async () => (await told()).log_level === 'warn', 'the reload is told');
	await gw.configure();
	gw.child.signal_('SIGHUP');
	await until(async () => (await told()).log_level === 'notice', 'and the next one');
});

/* A UUID of version 4, as what the server makes itself. */
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/* What a service is of which only the host is told. */
const SERVICE = {
	name: null, retries: 5, protocol: 'http', port: 80, path: null, connect_timeout: 60000, write_timeout: 60000, read_timeout: 60000,
	tags: null, client_certificate: null, tls_verify: null, tls_verify_depth: null, ca_certificates: null, enabled: true,
};

/* The error as it stands on the wire. */
function assertError({ json }, code, name, message, fields) {
	assert.deepEqual(json, { code, name, message, fields });
}

const schemaViolation = (reply, message, fields) => assertError(reply, 2, 'schema violation', message, fields);

check('check 2: a service from a form, once', async () => {
	const form = 'name=s&url=http://127.0.0.1:9000/base';
	const { json } = await want(201, 'POST', '/services', form);
	const { id, created_at, updated_at, ...rest } = json;
	assert.deepEqual(rest, { ...SERVICE, name: 's', host: '127.0.0.1', port: 9000, path: '/base' });
	assert.match(id, UUID);
	assert.ok(Math.abs(created_at - Date.now() / 1000) < 60 && Number.isInteger(created_at));
	assert.equal(updated_at, created_at);
	assertError(await want(409, 'POST', '/services', form), 5, 'unique constraint violation',
		'UNIQUE violation detected on \'{name="s"}\'', { name: 's' });
	/* The port of an URL without one is that of its scheme. */
	const tls = (await want(201, 'POST', '/services', 'name=tls&url=https://h.test')).json;
	assert.deepEqual([tls.protocol, tls.host, tls.port, tls.path], ['https', 'h.test', 443, null]);
});

check('check 3: what is missing and what is unknown', async () => {
	schemaViolation(await want(400, 'POST', '/services', {}), 'schema violation (host: required field missing)', { host: 'required field missing' });
	schemaViolation(await want(400, 'POST', '/services', { host: 'h', extra: 1 }), 'schema violation (extra: unknown field)',
		{ extra: 'unknown field' });
	schemaViolation(await want(400, 'POST', '/services', { extra: 1 }),
		'2 schema violations (extra: unknown field; host: required field missing)', { extra: 'unknown field', host: 'required field missing' });
});

check('check 3: a body of nothing but unknown fields is refused shortly, and holds up nobody', async () => {
	const body = Object.fromEntries(Array.from({ length: 60000 }, (_, i) => [`k${i}`, 1]));
	const big = want(400, 'POST', '/services', { host: 'h', ...body });
	await want(201, 'POST', '/consumers', { username: 'beside' });
	const { message, fields } = (await big).json;
	assert.match(message, /^100 schema violations \(k0: unknown field; /);
	assert.equal(Object.keys(fields).length, 100);
	await want(204, 'DELETE', '/consumers/beside');
});

check('check 3: an id and times that are null are made', async () => {
	for (const body of [{ host: 'h', id: null, created_at: null }, 'host=h&id=&created_at=']) {
		const { id, created_at: at } = (await want(201, 'POST', '/services', body)).json;
		assert.match(id, /^[0-9a-f-]{36}$/);
		assert.ok(Math.abs(at - Date.now() / 1000) < 60);
		const patched = (await want(200, 'PATCH', `/services/${id}`, { id: null, created_at: null })).json;
		assert.deepEqual([patched.id, patched.created_at], [id, at]);
		await want(204, 'DELETE', `/services/${id}`);
	}
});

check('check 4: PUT, PATCH, GET and DELETE of what is not there', async () => {
	const made = (await want(200, 'PUT', '/services/n', { host: 'h', retries: 1, path: '/p', tags: ['t'] })).json;
	assert.deepEqual([made.name, made.retries, made.path, made.tags], ['n', 1, '/p', ['t']]);
	const { id, created_at, updated_at, ...rest } = (await want(200, 'PUT', '/services/n', { host: 'h' })).json;
	assert.equal(id, made.id, 'the same one');
	assert.ok(updated_at >= created_at);
	assert.deepEqual(rest, { ...SERVICE, name: 'n', host: 'h' }, 'what is left out is as of a new one');

	assertError(await want(404, 'PATCH', '/services/absent', {}), 6, 'not found', 'could not find the entity with \'{name="absent"}\'',
		{ name: 'absent' });
	const nobody = '00000000-0000-4000-8000-000000000000';
	assertError(await want(404, 'PATCH', `/services/${nobody}`, { host: 'h' }), 6, 'not found',
		`could not find the entity with primary key '{id="${nobody}"}'`, { id: nobody });
	for (const key of ['absent', nobody]) {
		assert.deepEqual((await want(404, 'GET', `/services/${key}`)).json, { message: 'Not found' });
		assert.equal((await want(204, 'DELETE', `/services/${key}`)).text, '');
	}
});

check('check 5: routes of a service', async () => {
	const service = (await want(200, 'GET', '/services/s')).json;
	const route = (await want(201, 'POST', '/services/s/routes', 'paths[]=/r&name=r')).json;
	assert.deepEqual(route.paths, ['/r']);
	assert.deepEqual(route.service, { id: service.id });
	const none = "must set one of 'methods', 'hosts', 'headers', 'paths' when 'protocols' is 'http'";
	schemaViolation(await want(400, 'POST', '/services/s/routes', { protocols: ['http'] }), `schema violation (${none})`, { '@entity': [none] });
	const start = 'should start with: / (fixed path) or ~/ (regex path)';
	schemaViolation(await want(400, 'POST', '/services/s/routes', { paths: ['r'] }), `schema violation (paths.1: ${start})`, { paths: [start] });
	const sets = "these sets are mutually exclusive: ('http', 'https'), ('tcp', 'tls', 'udp'), ('tls_passthrough'), ('grpc', 'grpcs')";
	schemaViolation(await want(400, 'POST', '/services/s/routes', { protocols: ['http', 'tcp'], paths: ['/x'] }),
		`schema violation (protocols: ${sets})`, { protocols: sets });
	assert.equal((await want(200, 'GET', '/services/s/routes')).json.data.length, 1, 'what is refused is not there');
});

check('check 6: a service that has routes stays', async () => {
	assertError(await want(400, 'DELETE', '/services/s'), 4, 'foreign key violation',
		"an existing 'routes' entity references this 'services' entity", { '@referenced_by': 'routes' });
	await want(200, 'GET', '/services/s');
});

check('check 7: 250 consumers in pages', async () => {
	for (let i = 0; i < 250; i += 10) {
		await Promise.all(Array.from({ length: 10 }, (_, k) =>
			want(201, 'POST', '/consumers', { username: `c${i + k}`, tags: [k % 2 ? 'odd' : 'even', `t${k}`] })));
	}
	for (const follow of ['next', 'offset']) {
		const seen = new Set();
		let path = '/consumers?size=100';
		let pages = 0;
		let page;
		while (path) {
			page = (await want(200, 'GET', path)).json;
			assert.equal(page.data.length, pages < 2 ? 100 : 50);
			page.data.forEach((c) => seen.add(c.id));
			pages++;
			path = follow === 'next' ? page.next
				: page.offset && `/consumers?size=100&offset=${encodeURIComponent(page.offset)}`;
		}
		assert.equal(seen.size, 250);
		assert.equal(pages, 3);
		assert.equal(page.next, null);
		assert.ok(!('offset' in page));
	}
	for (const size of ['0', '1001']) {
		assertError(await want(400, 'GET', `/consumers?size=${size}`), 9, 'invalid size', 'size must be an integer between 1 and 1000', {});
	}
	assertError(await want(400, 'GET', '/consumers?size=x'), 9, 'invalid size', 'size must be a number', {});
	assertError(await want(400, 'GET', '/consumers?offset=%25'), 7, 'invalid offset', "'%' is not a valid offset: bad base64 encoding", {});
});

check('check 8: tags', async () => {
	const count = async (tags) => (await want(200, 'GET', `/consumers?size=1000&tags=${tags}`)).json.data.length;
	assert.equal(await count('odd'), 125);
	assert.equal(await count('odd,t1'), 25);
	assert.equal(await count('t1/t2'), 50);
	assert.equal(await count('odd,t2'), 0);
	for (const mixed of ['a,b/c', 'a/b,c']) {
		assertError(await want(400, 'GET', `/consumers?tags=${mixed}`), 11, 'invalid options', 'invalid option (tags: invalid filter syntax)',
			{ tags: 'invalid filter syntax' });
	}
});

check('check 9: plugins', async () => {
	const text = "plugin 'nope' not enabled; add it to the 'plugins' configuration property";
	schemaViolation(await want(400, 'POST', '/plugins', { name: 'nope' }), `schema violation (name: ${text})`, { name: text });
	const service = { id: (await want(200, 'GET', '/services/s')).json.id };
	await want(201, 'POST', '/services/s/plugins', { name: 'key-auth' });
	/* The same scope, told in either way. */
	for (const [path, scope] of [['/services/s/plugins', {}], ['/plugins', { service }]]) {
		assertError(await want(409, 'POST', path, { name: 'key-auth', ...scope }), 5, 'unique constraint violation',
			`UNIQUE violation detected on '{consumer=null,name="key-auth",route=null,service={id="${service.id}"}}'`,
			{ consumer: null, name: 'key-auth', route: null, service });
	}
	await want(201, 'POST', '/services/n/plugins', { name: 'key-auth' });
	await want(201, 'POST', '/services/s/plugins', { name: 'cors' });

	/* Of a route, and of a service with routes. */
	await want(201, 'POST', '/services/s/routes', { name: 'tls', paths: ['/tls'], protocols: ['https'] });
	for (const [path, protocols] of [
		['/routes/tls/plugins', "must match the associated route's protocols"],
		['/services/s/plugins', "must match the protocols of at least one route pointing to this Plugin's service"],
	]) {
		schemaViolation(await want(400, 'POST', path, { name: 'acl', config: { allow: ['a'] }, protocols: ['grpc'] }),
			`schema violation (protocols: ${protocols})`, { protocols });
		await want(201, 'POST', path, { name: 'acl', config: { allow: ['a'] }, protocols: ['grpc', 'https'] });
	}
	await want(201, 'POST', '/routes/tls/plugins', { name: 'cors' });
});

check('check 10: methods and media types', async () => {
	const options = await want(204, 'OPTIONS', '/services/s');
	assert.equal(options.headers['allow'], 'DELETE, GET, HEAD, OPTIONS, PATCH, PUT');
	assert.equal(options.headers['access-control-allow-methods'], options.headers['allow']);
	assert.equal(options.text, '');
	assert.deepEqual((await want(405, 'DELETE', '/services')).json, { message: 'Method not allowed' });
	assert.equal((await want(415, 'POST', '/services', '<a/>', { type: 'text/xml' })).text, '');
	assert.deepEqual((await want(400, 'POST', '/services', '{', { type: 'application/json' })).json,
		{ message: 'Cannot parse JSON body' });
	await want(200, 'GET', '/services/');
	assert.equal((await want(200, 'HEAD', '/services')).text, '');
});

async function subject(name) {
	const socket = tls.connect({ host: '127.0.0.1', port: new URL(gw.proxies[1]).port, servername: name, rejectUnauthorized: false });
	await once(socket, 'secureConnect');
	const { CN } = socket.getPeerCertificate().subject;
	socket.destroy();
	return CN;
}

check('check 11: certificates by server name', async () => {
	const pem = await selfSigned(gw.dir, 'a.test');
	const { json } = await want(201, 'POST', '/certificates', { ...pem, snis: ['a.test', 'b.test'] });
	assert.deepEqual(json.snis.sort(), ['a.test', 'b.test']);
	assert.equal((await want(200, 'GET', '/certificates/a.test')).json.id, json.id);
	const taken = (await want(400, 'POST', '/certificates', { ...pem, snis: ['a.test'] })).json;
	assert.equal(taken.fields.snis, `a.test already associated with existing certificate '${json.id}'`);
	assert.equal((await want(200, 'GET', '/certificates')).json.data.length, 1, 'all or nothing');
	const twice = (await want(400, 'POST', '/certificates', { ...pem, snis: ['c.test', 'c.test'] })).json;
	assert.equal(twice.fields.snis, 'c.test is duplicated');
	assert.deepEqual((await want(404, 'GET', '/certificates/no.test')).json, { message: 'SNI not found' });
	const fewer = (await want(200, 'PATCH', '/certificates/b.test', { snis: ['a.test'] })).json;
	assert.deepEqual(fewer.snis, ['a.test']);
	assert.equal((await want(200, 'PUT', '/certificates/d.test', pem)).json.snis[0], 'd.test');
	assert.equal(await subject('a.test'), 'a.test');
	assert.notEqual(await subject('b.test'), 'a.test', 'its sni was taken away');
	await want(204, 'DELETE', `/certificates/${json.id}`);
	assert.equal((await want(200, 'GET', '/snis')).json.data.length, 1, 'its snis went along');
});

check('check 12: targets, and one that is marked ill', async () => {
	const origin = await Echo.start();
	const target = new URL(origin.url).host;
	try {
		await want(201, 'POST', '/upstreams', { name: 'up.test' });
		await want(201, 'POST', '/upstreams/up.test/targets', { target });
		const twice = (await want(409, 'POST', '/upstreams/up.test/targets', { target })).json;
		assert.equal(twice.code, 5);
		assert.equal(twice.name, 'unique constraint violation');
		for (const unknown of ['10.0.0.1:1', '00000000-0000-4000-8000-000000000000']) {
			await want(404, 'PUT', `/upstreams/up.test/targets/${unknown}`, { target: '10.0.0.1:1' });
		}
		assert.equal((await want(200, 'GET', '/upstreams/up.test/targets')).json.data.length, 1);
		await want(201, 'POST', '/services', { name: 'balanced', host: 'up.test' });
		await want(201, 'POST', '/services/balanced/routes', { paths: ['/balanced'] });
		await until(async () => (await fetch(`${gw.proxy}/balanced`)).status === 200, 'the target is used');
		assert.equal((await want(204, 'PUT', `/upstreams/up.test/targets/${target}/unhealthy`)).text, '');
		const reply = await gw.get('/balanced', { Accept: 'application/json' });
		assert.equal(reply.status, 503);
		assert.equal(reply.json.message, 'failure to get a peer from the ring-balancer');
		await want(204, 'PUT', `/upstreams/up.test/targets/${target}/healthy`);
		assert.equal((await fetch(`${gw.proxy}/balanced`)).status, 200);
	} finally {
		await origin.close();
	}
});

/* Every field of rate-limiting with its default; undefined = none. The names of former versions are shorthands. */
const RATE_LIMITING = {
	second: undefined, minute: undefined, hour: undefined, day: undefined, month: undefined, year: undefined,
	limit_by: 'consumer', header_name: undefined, path: undefined, policy: 'local', fault_tolerant: true,
	redis: {
		host: undefined, port: 6379, timeout: 2000, username: undefined, password: undefined, database: 0, ssl: false, ssl_verify: false,
		server_name: undefined,
	},
	hide_client_headers: false, error_code: 429, error_message: 'API rate limit exceeded', sync_rate: -1,
};

/* { name: default } of a record of the schema. */
const defaultsOf = ({ fields }) => Object.fromEntries(fields.map((field) => {
	const [[name, definition]] = Object.entries(field);
	return [name, definition.type === 'record' ? defaultsOf(definition) : definition.default];
}));

check('check 16: schemas', async () => {
	const { json } = await want(200, 'GET', '/schemas/plugins/rate-limiting');
	assert.deepEqual(json.fields.map((f) => Object.keys(f)[0]), ['consumer', 'route', 'service', 'protocols', 'config']);
	const { config } = json.fields.at(-1);
	assert.deepEqual(defaultsOf(config), RATE_LIMITING);
	const types = Object.fromEntries(config.fields.map((f) => [Object.keys(f)[0], Object.values(f)[0].type]));
	for (const [names, type] of [['second minute hour day month year error_code sync_rate', 'number'],
		['fault_tolerant hide_client_headers', 'boolean'], ['limit_by header_name path policy error_message', 'string'], ['redis', 'record']]) {
		names.split(' ').forEach((name) => assert.equal(types[name], type, name));
	}
	const shorthands = config.shorthand_fields.map((f) => Object.keys(f)[0]);
	for (const name of ['host', 'port', 'timeout', 'username', 'password', 'database', 'ssl', 'ssl_verify', 'server_name']) {
		assert.ok(shorthands.includes(`redis_${name}`), `redis_${name}`);
	}
	/* What is filled in is what the schema says. */
	const { redis, ...made } = (await want(201, 'POST', '/services/s/plugins', { name: 'rate-limiting', config: { minute: 1000 } })).json.config;
	for (const [name, value] of Object.entries({ ...RATE_LIMITING, minute: 1000 }).filter(([name]) => name !== 'redis')) {
		assert.equal(made[name], value ?? null, name);
	}
	assert.deepEqual(redis, Object.fromEntries(Object.entries(RATE_LIMITING.redis).map(([name, value]) => [name, value ?? null])));

	const validate = (status, plugin) => want(status, 'POST', '/schemas/plugins/validate', plugin);
	assert.deepEqual((await validate(200, { name: 'rate-limiting', config: { minute: 2 } })).json, { message: 'schema validation successful' });
	const none = "at least one of these fields must be non-empty: 'config.second', 'config.minute', 'config.hour', 'config.day', " +
		"'config.month', 'config.year'";
	schemaViolation(await validate(400, { name: 'rate-limiting', config: {} }), `schema violation (${none})`, { '@entity': [none] });
	schemaViolation(await validate(400, { name: 'rate-limiting', config: { minute: 'x' } }), 'schema violation (config.minute: expected a number)',
		{ config: { minute: 'expected a number' } });
	const lower = 'The limit for minute(1.0) cannot be lower than the limit for second(2.0)';
	schemaViolation(await validate(400, { name: 'rate-limiting', config: { second: 2, minute: 1 } }), `schema violation (${lower})`,
		{ '@entity': [lower] });
	schemaViolation(await validate(400, { name: 'rate-limiting', config: { minute: 2, never: 1 } }),
		'schema violation (config.never: unknown field)', { config: { never: 'unknown field' } });
});

check('a restart finds everything again', async () => {
	await gw.restart();
	assert.equal((await want(200, 'GET', '/services/s')).json.path, '/base');
	assert.equal((await fetch(`${gw.proxy}/r`)).status, 401, 'key-auth is in force');
});
