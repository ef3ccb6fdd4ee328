/* Which route a request takes, and what path its service gets. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';

let gw;
let echo;

before(async () => {
	gw = await Gateway.start();
	echo = await Echo.start();
});

after(async () => {
	await echo?.close();
	await gw?.close();
});

check('a request no route matches', async () => {
	const reply = await gw.get('/nowhere');
	const id = reply.headers['x-kong-request-id'];

	assert.equal(reply.status, 404);
	assert.match(id, /^[0-9a-f]{32}$/);
	assert.equal(reply.text, `{\n  "message":"no Route matched with those values",\n  "request_id":"${id}"\n}`);
	assert.equal(reply.headers['content-type'], 'application/json; charset=utf-8');
	assert.equal(reply.headers.server, 'kong/3.10.0');

	const plain = await gw.get('/nowhere', { Accept: 'text/plain' });
	assert.equal(plain.text,
		`no Route matched with those values\nrequest_id: ${plain.headers['x-kong-request-id']}\n`);
	assert.match(plain.headers['content-type'], /^text\/plain/);
});

check('the normalized path reaches the service', async () => {
	await gw.route({ name: 'base', url: `${echo.url}/base` }, { paths: ['/r'] });
	assert.equal((await gw.get('/r/%7Ea//b/../c?x=')).json.url, '/base/~a/c?x=');
	await gw.clear();
});
