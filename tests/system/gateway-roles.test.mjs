/* role:// and relay:// of an installation in two processes: the gateway finds the other's roles at `role_urls`. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { selfSigned, selfSignedFiles } from './lib/certificate.mjs';
import { check } from './lib/check.mjs';
import { Connector } from './lib/connector.mjs';
import { Gateway } from './lib/gateway.mjs';
import { KEYS, Server } from './lib/server.mjs';
import { Target, pattern, sha256, values } from './lib/target.mjs';

let gw;
let server;
let target;
let connector;

before(async () => {
	target = await Target.start();
	server = await Server.start({ relay: { forwarded_headers: 'both', trusted_proxies: ['127.0.0.1'] } });
	gw = await Gateway.start({ gateway: { role_urls: { management: server.management, relay: server.relay } } });
	await gw.route({ url: 'role://management' }, { paths: ['/management'], strip_path: false });
	await gw.route({ url: 'role://relay' }, { paths: ['/r'] });
	await gw.route({ url: 'relay://T1/web' }, { paths: ['/erp'] });
	await gw.route({ url: 'role://statistics' }, { paths: ['/statistics'] });
	/* A connector's WebSocket takes the same way. */
	connector = await Connector.start(Object.create(server, { relay: { value: `${gw.proxy}/r` } }), {
		tenant: 'T1', secret: await server.addTenant('T1'), targets: { web: target.url },
	});
});

after(async () => {
	await connector?.close();
	await gw?.close();
	await server?.close();
	await target?.close();
});

check('a role of another process checks its keys as ever', async () => {
	const path = '/management/tenants/T1';
	assert.equal((await gw.get(path)).status, 401);
	const reply = await gw.get(path, { 'Api-Key': KEYS.read });
	assert.equal(reply.status, 200, reply.text);
	assert.equal(reply.json.name, 'T1');
});

check('a relayed target, its client, and a large body', async () => {
	const { url, raw } = (await gw.get('/erp/a%20b?q=1')).json;
	assert.equal(url, '/a%20b?q=1');
	assert.deepEqual(values(raw, 'x-forwarded-prefix'), ['/erp']);
	assert.deepEqual(values(raw, 'x-forwarded-for'), ['127.0.0.1, 127.0.0.1'], 'the client, and the gateway');
	assert.equal(await server.metric('posthouse_relay_connections'), 1);
	const body = pattern(1 << 20);
	const sunk = (await gw.send('POST', '/erp/sink', { body })).json;
	assert.deepEqual(sunk, { length: body.length, sha256: sha256(body) });
});

check('a role that is nowhere: the log says what is missing', async () => {
	const from = gw.child.lines.length;
	const { status, text } = await gw.get('/statistics/x');
	assert.equal(status, 503);
	assert.match(text, /The upstream server is currently unavailable/);
	await gw.child.line(/a role does not run here, and gateway\.role_urls does not say where.*statistics/, { from });
});

check('a role that went away, and came back', async () => {
	const path = '/management/tenants/T1';
	await server.stop();
	assert.equal((await gw.get(path)).status, 502);
	await server.restart();
	assert.equal((await gw.get(path)).status, 401);
});

check('a role at https: its certificate must be of role_ca', async () => {
	const pair = await selfSignedFiles(server.dir, 'roles.test', { alt: 'IP:127.0.0.1' });
	const secure = await Server.start({ management: { listen: [{ address: '127.0.0.1:0', tls: pair }] } });
	const other = await selfSigned(server.dir, 'other.test');
	const status = async (role_ca) => {
		const from = await Gateway.start({ gateway: { role_urls: { management: secure.management }, ...(role_ca && { role_ca }) } });
		await from.route({ url: 'role://management' }, { paths: ['/management'], strip_path: false });
		const reply = await from.get('/management/tenants/T1');
		await from.close();
		return reply.status;
	};
	try {
		assert.match(secure.management, /^https:/);
		assert.equal(await status(pair.cert), 401, 'the role wants its key');
		assert.equal(await status(other.cert), 502);
		assert.equal(await status(), 502, 'the system knows no such CA');
	} finally {
		await secure.close();
	}
});
