/* The discovery document, routes and health: spec §2. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from './lib/check.mjs';
import { request } from './lib/client.mjs';
import { Idp } from './lib/idp.mjs';
import { Server } from './lib/server.mjs';

const NAMES = [
	'acknowledgeEndpoint', 'authorizationServer', 'authorizationTokenEndpoint', 'connectorEndpoint',
	'endpointTimeout', 'handshakeTimeout', 'keepAliveInterval', 'reconnectMaximumDelay',
	'reconnectMinimumDelay', 'requestEndpoint', 'responseEndpoint', 'serverVersion',
];
const DISCOVERY = '/.well-known/relayserver-configuration';

let server;

before(async () => {
	server = await Server.start({
		relay: { endpoint_timeout: '2m', reconnect_maximum_delay: '5m', keep_alive_interval: '15s' },
	});
});

after(() => server?.close());

check('check 01: the discovery document has exactly the twelve names', async () => {
	const reply = await request(server.relay, DISCOVERY, { headers: { Host: 'relay.example:1234' } });
	assert.equal(reply.status, 200);
	assert.equal(reply.headers['content-type'], 'application/json; charset=utf-8');
	const document = reply.json;
	assert.deepEqual(Object.keys(document).sort(), NAMES);
	assert.equal(document.endpointTimeout, '00:02:00');
	assert.equal(document.reconnectMaximumDelay, '00:05:00');
	assert.equal(document.keepAliveInterval, '00:00:15');
	assert.equal(document.connectorEndpoint, 'http://relay.example:1234/connector');
	assert.equal(document.acknowledgeEndpoint, 'http://relay.example:1234/acknowledge');
	assert.equal(document.requestEndpoint, 'http://relay.example:1234/body/request');
	assert.equal(document.responseEndpoint, 'http://relay.example:1234/body/response');
	assert.match(document.serverVersion, /^\d+\.\d+\.\d+/);
});

check('check 01: a configured public URL goes before the Host', async () => {
	const other = await Server.start({ relay: { public_url: 'https://relay.example/base' } });
	try {
		const { json } = await request(other.relay, DISCOVERY);
		assert.equal(json.connectorEndpoint, 'https://relay.example/base/connector');
		assert.equal(json.requestEndpoint, 'https://relay.example/base/body/request');
	} finally {
		await other.close();
	}
});

check('check 02: authorizationServer ends with a slash though the authority does not', async () => {
	const idp = await Idp.start();
	const other = await Server.start({ relay: { authority: idp.authority } });
	try {
		const { json } = await request(other.relay, DISCOVERY);
		assert.equal(json.authorizationServer, `${idp.authority}/`);
		assert.equal(json.authorizationTokenEndpoint, `${idp.authority}/token`);
	} finally {
		await other.close();
		await idp.close();
	}
});

check('check 02: the built-in issuer is found through discovery', async () => {
	const { json } = await request(server.relay, DISCOVERY);
	assert.match(json.authorizationServer, /\/$/);
	const reply = await fetch(`${json.authorizationServer}.well-known/openid-configuration`);
	assert.equal(reply.status, 200);
	const metadata = await reply.json();
	assert.equal(metadata.token_endpoint, json.authorizationTokenEndpoint);
	const { keys } = await (await fetch(metadata.jwks_uri)).json();
	assert.ok(keys.length > 0);
	assert.ok(keys.every((key) => key.d === undefined), 'no private part is published');
});

check('an authority that does not answer makes discovery 503, not a hang', async () => {
	const idp = await Idp.start();
	await idp.close();
	const other = await Server.start({ relay: { authority: idp.authority } });
	try {
		assert.equal((await request(other.relay, DISCOVERY)).status, 503);
	} finally {
		await other.close();
	}
});

check('unknown paths are 404 and wrong methods 405, both empty', async () => {
	const guid = '6f1c0000-0000-4000-8000-000000000001';
	const cases = [
		['GET', '/', 404], ['GET', '/relayX/T1/web', 404], ['GET', '/nothing', 404],
		['POST', DISCOVERY, 405],
		['GET', `/acknowledge/${guid}/${guid}`, 405],
		['POST', '/acknowledge/not-a-guid/neither', 404],
		['POST', `/acknowledge/${guid}/${guid}`, 204],
		['GET', '/connector/negotiate', 405],
		['PUT', `/body/response/${guid}`, 405],
	];
	for (const [method, path, status] of cases) {
		const reply = await request(server.relay, path, { method });
		assert.equal(reply.status, status, `${method} ${path}`);
		assert.equal(reply.body.length, 0, `${method} ${path} has no body`);
		assert.equal('allow' in reply.headers, status === 405, `${method} ${path}: Allow`);
	}
});

check('paths are matched in any case', async () => {
	assert.equal((await request(server.relay, DISCOVERY.toUpperCase())).status, 200);
	const guid = '6F1C000000004000800000000000000A';
	const reply = await request(server.relay, `/ACKNOWLEDGE/{${guid}}/${guid}`.replace(/[{}]/g, ''),
		{ method: 'POST' });
	assert.equal(reply.status, 204);
});

check('the status listener tells liveness, readiness and metrics', async () => {
	assert.equal((await request(server.status, '/health/live')).status, 200);
	assert.equal((await request(server.status, '/health/ready')).status, 200);
	const metrics = await request(server.status, '/metrics');
	assert.equal(metrics.status, 200);
	assert.match(metrics.headers['content-type'], /^text\/plain/);
	assert.match(metrics.text, /^# TYPE \w+ (counter|gauge|histogram)$/m);
	/* Where no gateway runs, nothing is told about one. */
	for (const path of ['/status', '/status/ready', '/upstreams/x/health']) {
		assert.equal((await request(server.status, path)).status, 404, path);
	}
});
