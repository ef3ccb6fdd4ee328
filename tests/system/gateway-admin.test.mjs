/* The Admin API of the gateway, profile of Kong 3.10: acceptance checks 1 to 12 and 16. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import tls from 'node:tls';
import { check, until } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { execute } from './lib/process.mjs';
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

check('check 2: a service from a form, once', async () => {
	const form = 'name=s&url=http://127.0.0.1:9000/base';
	const { json } = await want(201, 'POST', '/services', form);
	assert.deepEqual({ protocol: json.protocol, host: json.host, port: json.port, path: json.path },
		{ protocol: 'http', host: '127.0.0.1', port: 9000, path: '/base' });
	assert.equal(json.retries, 5);
	assert.equal(json.connect_timeout, 60000);
	assert.equal(json.enabled, true);
	assert.equal(json.tags, null);
	assert.ok(Number.isInteger(json.created_at));
	const again = await want(409, 'POST', '/services', form);
	assert.equal(again.json.code, 5);
	assert.equal(again.json.name, 'unique constraint violation');
	assert.equal(again.json.message, 'UNIQUE violation detected on \'{name="s"}\'');
	assert.deepEqual(again.json.fields, { name: 's' });
});

check('check 3: what is missing and what is unknown', async () => {
	const missing = (await want(400, 'POST', '/services', {})).json;
	assert.equal(missing.code, 2);
	assert.equal(missing.name, 'schema violation');
	assert.equal(missing.fields.host, 'required field missing');
	const unknown = (await want(400, 'POST', '/services', { host: 'h', extra: 1 })).json;
	assert.deepEqual(unknown.fields, { extra: 'unknown field' });
	assert.equal(unknown.message, 'schema violation (extra: unknown field)');
});

check('check 4: PUT, PATCH, GET and DELETE of what is not there', async () => {
	assert.equal((await want(200, 'PUT', '/services/n', { host: 'h', retries: 1 })).json.name, 'n');
	assert.equal((await want(200, 'PUT', '/services/n', { host: 'h' })).json.retries, 5);
	const patch = (await want(404, 'PATCH', '/services/absent', {})).json;
	assert.equal(patch.code, 6);
	assert.equal(patch.message, 'could not find the entity with \'{name="absent"}\'');
	assert.deepEqual((await want(404, 'GET', '/services/absent')).json, { message: 'Not found' });
	assert.equal((await want(204, 'DELETE', '/services/absent')).text, '');
});

check('check 5: routes of a service', async () => {
	await want(201, 'POST', '/services/s/routes', 'paths[]=/r&name=r');
	const none = (await want(400, 'POST', '/services/s/routes', { protocols: ['http'] })).json;
	assert.match(none.message, /must set one of 'methods', 'hosts', 'headers', 'paths'/);
	const path = (await want(400, 'POST', '/services/s/routes', { paths: ['r'] })).json;
	assert.match(path.message, /should start with: \/ \(fixed path\) or ~\/ \(regex path\)/);
	const sets = { protocols: ['http', 'tcp'], paths: ['/x'] };
	assert.match((await want(400, 'POST', '/services/s/routes', sets)).json.message,
		/these sets are mutually exclusive: \('http', 'https'\), \('tcp', 'tls', 'udp'\)/);
});

check('check 6: a service that has routes stays', async () => {
	const { json } = await want(400, 'DELETE', '/services/s');
	assert.equal(json.code, 4);
	assert.deepEqual(json.fields, { '@referenced_by': 'routes' });
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
	assert.equal((await want(400, 'GET', '/consumers?size=0')).json.code, 9);
	assert.equal((await want(400, 'GET', '/consumers?offset=%25')).json.code, 7);
});

check('check 8: tags', async () => {
	const count = async (tags) => (await want(200, 'GET', `/consumers?size=1000&tags=${tags}`)).json.data.length;
	assert.equal(await count('odd'), 125);
	assert.equal(await count('odd,t1'), 25);
	assert.equal(await count('t1/t2'), 50);
	assert.equal(await count('odd,t2'), 0);
	const mixed = (await want(400, 'GET', '/consumers?tags=a,b/c')).json;
	assert.equal(mixed.code, 11);
	assert.equal(mixed.message, 'invalid option (tags: invalid filter syntax)');
});

check('check 9: plugins', async () => {
	const unknown = (await want(400, 'POST', '/plugins', { name: 'nope' })).json;
	assert.equal(unknown.fields.name,
		"plugin 'nope' not enabled; add it to the 'plugins' configuration property");
	await want(201, 'POST', '/services/s/plugins', { name: 'key-auth' });
	const twice = (await want(409, 'POST', '/services/s/plugins', { name: 'key-auth' })).json;
	assert.equal(twice.code, 5);
	assert.match(twice.message, /consumer=null,name="key-auth",route=null,service=\{id="/);
});

check('check 10: methods and media types', async () => {
	const options = await want(204, 'OPTIONS', '/services/s');
	assert.equal(options.headers['allow'], 'DELETE, GET, HEAD, OPTIONS, PATCH, PUT');
	assert.equal(options.headers['access-control-allow-methods'], options.headers['allow']);
	assert.deepEqual((await want(405, 'DELETE', '/services')).json, { message: 'Method not allowed' });
	assert.equal((await want(415, 'POST', '/services', '<a/>', { type: 'text/xml' })).text, '');
	assert.deepEqual((await want(400, 'POST', '/services', '{', { type: 'application/json' })).json,
		{ message: 'Cannot parse JSON body' });
	await want(200, 'GET', '/services/');
	assert.equal((await want(200, 'HEAD', '/services')).text, '');
});

async function certificate(name) {
	const [key, cert] = [join(gw.dir, `${name}.key`), join(gw.dir, `${name}.crt`)];
	await execute('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
		'-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-days', '2', '-keyout', key, '-out', cert]);
	return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') };
}

async function subject(name) {
	const socket = tls.connect({ host: '127.0.0.1', port: new URL(gw.proxies[1]).port, servername: name, rejectUnauthorized: false });
	await once(socket, 'secureConnect');
	const { CN } = socket.getPeerCertificate().subject;
	socket.destroy();
	return CN;
}

check('check 11: certificates by server name', async () => {
	const pem = await certificate('a.test');
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
	await want(204, 'DELETE', `/certificates/${json.id}`);
	assert.equal((await want(200, 'GET', '/snis')).json.data.length, 1, 'its snis went along');
});

check('check 12: targets, and one that is marked ill', async () => {
	const origin = await Echo.start();
	const target = new URL(origin.url).host;
	try {
		await want(201, 'POST', '/upstreams', { name: 'up.test' });
		await want(201, 'POST', '/upstreams/up.test/targets', { target });
		assert.equal((await want(409, 'POST', '/upstreams/up.test/targets', { target })).json.code, 5);
		await want(404, 'PUT', '/upstreams/up.test/targets/10.0.0.1:1', { target: '10.0.0.1:1' });
		await want(201, 'POST', '/services', { name: 'balanced', host: 'up.test' });
		await want(201, 'POST', '/services/balanced/routes', { paths: ['/balanced'] });
		await until(async () => (await fetch(`${gw.proxy}/balanced`)).status === 200, 'the target is used');
		await want(204, 'PUT', `/upstreams/up.test/targets/${target}/unhealthy`);
		const reply = await fetch(`${gw.proxy}/balanced`);
		assert.equal(reply.status, 503);
		assert.match(await reply.text(), /failure to get a peer from the ring-balancer/);
		await want(204, 'PUT', `/upstreams/up.test/targets/${target}/healthy`);
		assert.equal((await fetch(`${gw.proxy}/balanced`)).status, 200);
	} finally {
		await origin.close();
	}
});

check('check 16: schemas', async () => {
	const { json } = await want(200, 'GET', '/schemas/plugins/rate-limiting');
	const config = json.fields.find((f) => f.config).config;
	const names = config.fields.map((f) => Object.keys(f)[0]);
	for (const name of ['second', 'minute', 'hour', 'limit_by', 'policy', 'fault_tolerant', 'hide_client_headers']) {
		assert.ok(names.includes(name), name);
	}
	assert.equal(config.fields.find((f) => f.fault_tolerant).fault_tolerant.default, true);
	const valid = await want(200, 'POST', '/schemas/plugins/validate', { name: 'rate-limiting', config: { minute: 2 } });
	assert.deepEqual(valid.json, { message: 'schema validation successful' });
	const invalid = await want(400, 'POST', '/schemas/plugins/validate', { name: 'rate-limiting', config: {} });
	assert.equal(invalid.json.code, 2);
});

check('a restart finds everything again', async () => {
	await gw.restart();
	assert.equal((await want(200, 'GET', '/services/s')).json.path, '/base');
	assert.equal((await fetch(`${gw.proxy}/r`)).status, 401, 'key-auth is in force');
});
