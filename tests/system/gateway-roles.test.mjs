/* role:// and relay:// of an installation in two processes: the gateway finds the other's roles at `role_urls`. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
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
