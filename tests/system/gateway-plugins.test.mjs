/* What plugins do to traffic: limits, terminations, ids, redirects, cors; which instance runs; logs and metrics. */
import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import { once } from 'node:events';
import { after, before } from 'node:test';
import { constants } from 'node:fs';
import { open, readFile, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { check, deferred, until } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { execute } from './lib/process.mjs';
import { Plugged } from './lib/plugged.mjs';
import { RawConnection } from './lib/raw.mjs';

let plugged;
const serve = (...args) => plugged.serve(...args);
const want = (...args) => plugged.want(...args);
const ask = (...args) => plugged.ask(...args);
const passed = (asking) => plugged.passed(asking);
const refused = (...args) => plugged.refused(...args);

before(async () => {
	const free = '127.0.0.1:0';
	plugged = await Plugged.start({ loops: 2, gateway: { listen: [free, { address: free, tls: {} }] } });
});

after(() => plugged?.close());

/* Runs until a whole run is inside of one minute, so that no window ends in the middle. */
async function withinMinute(run) {
	for (;;) {
		const minute = Math.floor(Date.now() / 60_000);
		const value = await run();
		if (Math.floor(Date.now() / 60_000) === minute) {
			return value;
		}
	}
}

check('check 34: the third of two a minute is 429, and what the client is told', async () => {
	await serve('minute', { 'rate-limiting': { minute: 2, hour: 10, limit_by: 'header', header_name: 'X-Who' } });
	const replies = await withinMinute(async () => {
		const who = { 'X-Who': `w${Math.random()}` };
		const left = 60 - Math.floor(Date.now() / 1000) % 60;
		return {
			left, first: await ask('/minute', who), second: await ask('/minute', who),
			third: await refused(ask('/minute', who), 429, 'API rate limit exceeded'),
			other: await ask('/minute', { 'X-Who': `v${Math.random()}` }),
		};
	});
	const limits = ({ headers: h }) => [h['x-ratelimit-limit-minute'], h['x-ratelimit-remaining-minute'],
		h['x-ratelimit-limit-hour'], h['x-ratelimit-remaining-hour'], h['ratelimit-limit'], h['ratelimit-remaining']];
	const names = (reply) => reply.raw.map(([name]) => name).filter((name) => /ratelimit|retry/i.test(name)).sort();
	const told = ['RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset', 'X-RateLimit-Limit-Hour',
		'X-RateLimit-Limit-Minute', 'X-RateLimit-Remaining-Hour', 'X-RateLimit-Remaining-Minute'];

	assert.deepEqual(limits(replies.first), ['2', '1', '10', '9', '2', '1']);
	assert.deepEqual(limits(replies.second), ['2', '0', '10', '8', '2', '0']);
	assert.deepEqual(limits(replies.third), ['2', '0', '10', '8', '2', '0']);
	assert.deepEqual(limits(replies.other), ['2', '1', '10', '9', '2', '1']);
	assert.deepEqual([replies.first.status, replies.second.status, replies.other.status], [200, 200, 200]);
	assert.deepEqual(names(replies.first), told);
	assert.deepEqual(names(replies.second), told);
	assert.deepEqual(names(replies.third), [...told, 'Retry-After'].sort());
	for (const name of ['first', 'second', 'third']) {
		const wait = Number(replies[name].headers['ratelimit-reset']);
		assert.ok(wait >= 1 && wait <= replies.left, `${name}: ${wait} of ${replies.left} s`);
	}
	assert.equal(replies.third.headers['ratelimit-reset'], replies.third.headers['retry-after']);

	await serve('quiet', { 'rate-limiting': {
		year: 1, hide_client_headers: true, error_code: 503, error_message: 'Slow "down"',
	} });
	await passed(ask('/quiet'));
	const reply = await refused(ask('/quiet'), 503, 'Slow "down"');
	assert.deepEqual(Object.keys(reply.headers).filter((name) => /ratelimit|retry/.test(name)), []);
});

check('what plugins say of a call stands in place of what its service says', async () => {
	const names = ['X-RateLimit-Limit-Year', 'X-RateLimit-Remaining-Year', 'RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset', 'X-Request-ID'];
	const service = await Echo.start({ answer: (req, res) => {
		names.forEach((name) => res.setHeader(name.toLowerCase(), [`${name} of the service`, 'again']));
		res.setHeader('X-RateLimit-Limit-Minute', '100').setHeader('Retry-After', '7').setHeader('Vary', 'Accept').end();
	} });
	try {
		await want(201, 'POST', '/services', { name: 'outspoken', url: service.url });
		await want(201, 'POST', '/services/outspoken/routes', { name: 'outspoken', paths: ['/outspoken'] });
		await plugged.plug('/routes/outspoken', 'rate-limiting', { year: 5 });
		await plugged.plug('/routes/outspoken', 'correlation-id', { header_name: 'X-Request-ID', echo_downstream: true });
		await plugged.plug('/routes/outspoken', 'cors', { origins: ['https://a.example', 'https://b.example'] });
		const reply = await ask('/outspoken', { 'X-Request-ID': 'abc', Origin: 'https://a.example' });
		const at = (name) => reply.raw.filter(([k]) => k.toLowerCase() === name.toLowerCase()).map(([, v]) => v);

		assert.deepEqual(names.filter((name) => name !== 'RateLimit-Reset').map(at), [['5'], ['4'], ['5'], ['4'], ['abc']]);
		assert.match(at('RateLimit-Reset').join(), /^\d+$/);
		assert.deepEqual([at('X-RateLimit-Limit-Minute'), at('Retry-After')], [['100'], ['7']], 'of which no plugin speaks');
		assert.deepEqual(at('Vary'), ['Accept', 'Origin'], 'a list has both');
	} finally {
		await service.close();
	}
});

check('check 34: exact over all loops and connections', async () => {
	await serve('exact', { 'rate-limiting': { year: 100, limit_by: 'service' } });
	const agent = new http.Agent({ keepAlive: true, maxSockets: 32 });
	const replies = await Promise.all(Array.from({ length: 320 }, () => ask('/exact', {}, { agent })));
	agent.destroy();
	const left = replies.filter((r) => r.status === 200).map((r) => Number(r.headers['ratelimit-remaining']));

	assert.equal(replies.filter((r) => r.status === 429).length, 220);
	assert.deepEqual(left.sort((a, b) => a - b), Array.from({ length: 100 }, (_, i) => i));
	assert.equal(plugged.echo.requests.filter((r) => r.headers['x-forwarded-path'] === '/exact').length, 100);
});

check('check 34: by consumer, credential, address, header and path', async () => {
	for (const name of ['ann', 'bob']) {
		await want(201, 'POST', '/consumers', { username: name });
		for (const key of [`${name}-1`, `${name}-2`]) {
			await want(201, 'POST', `/consumers/${name}/key-auth`, { key });
		}
	}
	const status = async (path, apikey) => (await ask(path, apikey ? { apikey } : {})).status;
	await serve('by-consumer', { 'key-auth': {}, 'rate-limiting': { year: 1 } });
	assert.deepEqual([await status('/by-consumer', 'ann-1'), await status('/by-consumer', 'ann-2'),
		await status('/by-consumer', 'bob-1')], [200, 429, 200]);
	await serve('by-credential', { 'key-auth': {}, 'rate-limiting': { year: 1, limit_by: 'credential' } });
	assert.deepEqual([await status('/by-credential', 'ann-1'), await status('/by-credential', 'ann-2'),
		await status('/by-credential', 'ann-1')], [200, 200, 429]);
	await serve('by-path', { 'rate-limiting': { year: 1, limit_by: 'path', path: '/by-path/a' } });
	assert.deepEqual([await status('/by-path/a'), await status('/by-path/b'), await status('/by-path/a'),
		await status('/by-path/c')], [200, 200, 429, 429]);
	/* Without the header, or the path, it is the address that counts; header and address are not mixed up. */
	await serve('by-header', { 'rate-limiting': { year: 1, limit_by: 'header', header_name: 'X-Who' } });
	const of = async (headers) => (await ask('/by-header', headers)).status;
	assert.deepEqual([await of({}), await of({}), await of({ 'x-who': 'a' }), await of({ 'x-who': 'a' }),
		await of({ 'x-who': 'b' })], [200, 429, 200, 429, 200]);
	/* Not built yet; the documentation says so. */
	for (const policy of ['redis', 'cluster']) {
		const { message } = await want(400, 'POST', '/routes/by-path/plugins',
			{ name: 'rate-limiting', config: { minute: 1, policy } });
		assert.match(message, new RegExp(`policy '${policy}' is not built yet; use 'local'`));
	}
	const refusal = await want(400, 'POST', '/plugins', { name: 'rate-limiting', config: { second: 2, minute: 1 } });
	assert.match(refusal.message, /The limit for minute\(1\.0\) cannot be lower than the limit for second\(2\.0\)/);
});

check('check 35: request-size-limiting: 413, 417 and 411; what is as large as it may be passes', async () => {
	await serve('size', { 'request-size-limiting': { allowed_payload_size: 10, size_unit: 'bytes' } });
	const post = (path, n, headers = {}) => ask(path, { 'Content-Type': 'text/plain', ...headers },
		{ method: 'POST', body: 'x'.repeat(n) });
	const chunked = { 'Transfer-Encoding': 'chunked' };

	assert.equal((await passed(post('/size', 10))).body.length, 10);
	await refused(post('/size', 11), 413, 'Request size limit exceeded');
	await passed(post('/size', 10, chunked));
	await passed(ask('/size'));
	assert.equal((await post('/size', 1000, chunked)).status, 413);

	/* Refused before the client has sent anything of it. */
	const raw = await RawConnection.open(plugged.gw.proxy);
	raw.send('POST /size HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n');
	const reply = await raw.response();
	assert.equal(reply.status, 417);
	assert.match(reply.body.toString(),
		/^\{\n {2}"message":"Request size limit exceeded",\n {2}"request_id":"[0-9a-f]{32}"\n\}$/);
	raw.close();

	await serve('kilo', { 'request-size-limiting': { allowed_payload_size: 2, size_unit: 'kilobytes' } });
	await passed(post('/kilo', 2048));
	await refused(post('/kilo', 2049), 413, 'Request size limit exceeded');

	await serve('length', { 'request-size-limiting': { allowed_payload_size: 1, require_content_length: true } });
	await refused(post('/length', 1, chunked), 411, 'A valid Content-Length header is required');
	await passed(post('/length', 1));
	await passed(post('/length', 1 << 20));
	await refused(post('/length', (1 << 20) + 1), 413, 'Request size limit exceeded');
});

check('check 35: a body is collected for a plugin when those before it have let the client in', async () => {
	await serve('guarded', { 'key-auth': {}, 'request-size-limiting': { allowed_payload_size: 1, size_unit: 'kilobytes' },
		'request-transformer': { add: { body: ['added:yes'] } } });
	await want(201, 'POST', '/consumers', { username: 'guarded' });
	const { key } = await want(201, 'POST', '/consumers/guarded/key-auth', {});
	const post = 'POST /guarded HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n';
	/* None of the body is sent: who waits for it never answers. */
	const before = async (head) => {
		const raw = await RawConnection.open(plugged.gw.proxy);
		const reply = await raw.send(`${post}${head}\r\n`).response();
		raw.close();
		return [reply.status, reply.body.toString()];
	};
	const [without, message] = await before('Content-Length: 1000\r\n');

	assert.equal(without, 401);
	assert.match(message, /No API key found in request/);
	assert.equal((await before('Transfer-Encoding: chunked\r\n'))[0], 401);
	assert.equal((await before('Expect: 100-continue\r\nContent-Length: 1000\r\n'))[0], 401);
	assert.equal((await before(`apikey: ${key}\r\nContent-Length: 1000000\r\n`))[0], 413);
	assert.equal((await before(`apikey: ${key}\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n${'x'.repeat(2048)}`))[0], 413);
	const seen = await passed(ask('/guarded', { apikey: key, 'Content-Type': 'application/json' }, { method: 'POST', body: '{"sent":1}' }));
	assert.deepEqual(JSON.parse(seen.body), { sent: 1, added: 'yes' });
});

check('what is null in a configuration is shown so, and used as by default', async () => {
	await serve('null-size', { 'request-size-limiting': { allowed_payload_size: null } });
	await passed(ask('/null-size', {}, { method: 'POST', body: 'x'.repeat(100) }));
	await serve('null-rate', { 'rate-limiting': { year: 1, policy: null, limit_by: null, error_code: null, error_message: null } });
	await passed(ask('/null-rate'));
	await refused(ask('/null-rate'), 429, 'API rate limit exceeded');
	const [plugin] = (await want(200, 'GET', '/routes/null-rate/plugins')).data;
	assert.deepEqual([plugin.config.policy, plugin.config.error_code], [null, null]);
});

check('check 35: request-termination: messages, bodies, an echo, a trigger', async () => {
	await serve('end', { 'request-termination': {} });
	let reply = await ask('/end');
	assert.equal(reply.status, 503);
	assert.equal(reply.text, '{"message":"Service unavailable"}');
	assert.equal(reply.headers['content-type'], 'application/json; charset=utf-8');
	assert.equal(reply.headers.server, 'kong/3.10.0');

	await serve('end-message', { 'request-termination': { status_code: 410, message: 'So "long"' } });
	reply = await ask('/end-message');
	assert.equal(reply.status, 410);
	assert.equal(reply.text, '{"message":"So \\"long\\""}');
	await want(400, 'POST', '/plugins', { name: 'request-termination', config: { message: 'a', body: 'b' } });

	await serve('end-body', { 'request-termination': {
		status_code: 200, body: '<p>gone</p>', content_type: 'text/html', trigger: 'X-End',
	} });
	await passed(ask('/end-body'));
	for (const asking of [ask('/end-body', { 'x-end': '' }), ask('/end-body?X-End=1'), ask('/end-body?X-End')]) {
		reply = await asking;
		assert.equal(reply.status, 200);
		assert.equal(reply.text, '<p>gone</p>');
		assert.equal(reply.headers['content-type'], 'text/html');
	}
	await serve('end-echo', { 'request-termination': { status_code: 404, echo: true, message: 'm' } });
	reply = await ask('/end-echo/x?a=b', { 'X-A': '1' }, { method: 'POST', body: 'b' });
	assert.equal(reply.status, 404);
	const { request, matched_route: route, matched_service: service, message } = reply.json;
	assert.equal(message, 'm');
	assert.deepEqual([request.method, request.path, route.name, service.name],
		['POST', '/end-echo/x', 'end-echo', 'end-echo']);
});

check('check 35: correlation-id: made, counted, kept and echoed', async () => {
	await serve('id', { 'correlation-id': {} });
	const first = (await passed(ask('/id'))).headers['kong-request-id'];
	const second = (await passed(ask('/id'))).headers['kong-request-id'];
	assert.match(first, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}#\d+$/);
	assert.equal(second.split('#')[0], first.split('#')[0]);
	assert.ok(Number(second.split('#')[1]) > Number(first.split('#')[1]));
	assert.equal((await passed(ask('/id', { 'Kong-Request-ID': 'mine' }))).headers['kong-request-id'], 'mine');

	await serve('id-echo', {
		'correlation-id': { header_name: 'X-Id', generator: 'uuid', echo_downstream: true }, 'key-auth': {},
	});
	const reply = await ask('/id-echo', { 'X-Id': 'mine' });
	assert.equal(reply.status, 401);
	assert.equal(reply.headers['x-id'], 'mine');
	assert.match((await ask('/id-echo')).headers['x-id'], /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
	const both = await ask('/id-echo', { apikey: 'ann-1' });
	assert.equal(both.headers['x-id'], both.json.headers['x-id'], 'service and client hear the same');
	assert.equal((await ask('/id')).headers['kong-request-id'], undefined, 'no echo unless it is asked for');
});

check('check 35: redirect: elsewhere, with or without the path', async () => {
	await serve('old', { redirect: { location: 'https://new.example/a?b=c' } });
	let reply = await ask('/old/x?y=z');
	assert.equal(reply.status, 301);
	assert.equal(reply.headers.location, 'https://new.example/a?b=c');
	assert.equal(reply.text, 'redirecting');
	assert.equal(reply.headers.server, 'kong/3.10.0');
	await serve('older', { redirect: { location: 'https://new.example:8/a', keep_incoming_path: true, status_code: 308 } });
	reply = await ask('/older/%20x?y=z');
	assert.equal(reply.status, 308);
	assert.equal(reply.headers.location, 'https://new.example:8/older/%20x?y=z');
});

check('check 33: cors: preflights before authentication, origins by name and by regex', async () => {
	const preflight = (path, origin, more) => ask(path,
		{ Origin: origin, 'Access-Control-Request-Method': 'PUT', ...more }, { method: 'OPTIONS' });
	const cors = (reply) => Object.fromEntries(Object.entries(reply.headers)
		.filter(([name]) => /^access-control|^vary$/.test(name)).map(([k, v]) => [k.replace('access-control-', ''), v]));
	const methods = 'GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS,TRACE,CONNECT';

	await serve('cors', { cors: {}, 'key-auth': {} });
	let reply = await preflight('/cors', 'https://a.example', { 'Access-Control-Request-Headers': 'x-a, x-b' });
	assert.equal(reply.status, 200);
	assert.equal(reply.headers['content-length'], '0');
	assert.deepEqual(cors(reply), { 'allow-origin': '*', 'allow-methods': methods, 'allow-headers': 'x-a, x-b' });
	/* Errors, too, may be read. */
	reply = await ask('/cors', { Origin: 'https://a.example' });
	assert.equal(reply.status, 401);
	assert.equal(reply.headers['access-control-allow-origin'], '*');

	await serve('cors2', { cors: {
		origins: ['https://app.example', 'https?://[a-z]+\\.b\\.example'], credentials: true, max_age: 60,
		methods: ['GET', 'PUT'], headers: ['X-A'], exposed_headers: ['X-B', 'X-C'],
	} });
	for (const origin of ['https://app.example', 'https://app.example:443', 'http://x.b.example',
		'http://x.b.example:80']) {
		reply = await preflight('/cors2', origin, { 'Access-Control-Request-Headers': 'other' });
		assert.deepEqual(cors(reply), {
			'allow-origin': origin, vary: 'Origin', 'allow-credentials': 'true', 'allow-methods': 'GET,PUT',
			'allow-headers': 'X-A', 'max-age': '60',
		});
		reply = await ask('/cors2', { Origin: origin });
		assert.deepEqual(cors(reply), {
			'allow-origin': origin, vary: 'Origin', 'allow-credentials': 'true', 'expose-headers': 'X-B,X-C',
		});
	}
	for (const origin of ['https://app.example.evil', 'https://app.example:8443', 'http://x.b.example:8080',
		'https://x.bxexample', 'https://evil/https://x.b.example', 'null']) {
		assert.equal(cors(await preflight('/cors2', origin))['allow-origin'], undefined, origin);
		reply = await ask('/cors2', { Origin: origin });
		assert.equal(reply.status, 200);
		assert.deepEqual([cors(reply)['allow-origin'], cors(reply)['allow-credentials'], cors(reply).vary],
			[undefined, undefined, 'Origin'], origin);
	}
});

check('check 33: cors: one origin, any with credentials, none, private networks, preflights for the service', async () => {
	const cors = async (asking) => Object.fromEntries(Object.entries((await asking).headers)
		.filter(([name]) => /^access-control-(?!allow-methods)|^vary$/.test(name)).map(([k, v]) => [k.replace('access-control-', ''), v]));
	const preflight = (path, more) => ask(path,
		{ Origin: 'https://b.example', 'Access-Control-Request-Method': 'PUT', ...more }, { method: 'OPTIONS' });
	const from = (path) => ask(path, { Origin: 'https://b.example' });

	/* The browser compares: it is told the one, whoever asks. */
	await serve('cors-one', { cors: { origins: ['https://a.example'] } });
	const one = { 'allow-origin': 'https://a.example', vary: 'Origin' };
	assert.deepEqual(await cors(preflight('/cors-one')), one);
	assert.deepEqual(await cors(from('/cors-one')), one);
	assert.deepEqual(await cors(ask('/cors-one')), one);

	await serve('cors-any', { cors: { origins: ['*'], credentials: true, private_network: true } });
	const any = { 'allow-origin': 'https://b.example', vary: 'Origin', 'allow-credentials': 'true' };
	assert.deepEqual(await cors(preflight('/cors-any')), any);
	assert.deepEqual(await cors(from('/cors-any')), any);
	assert.deepEqual(await cors(preflight('/cors-any', { 'Access-Control-Request-Private-Network': 'true' })),
		{ ...any, 'allow-private-network': 'true' });

	await serve('cors-absent', { cors: { allow_origin_absent: false } });
	assert.deepEqual(await cors(ask('/cors-absent')), {});
	assert.deepEqual(await cors(from('/cors-absent')), { 'allow-origin': '*' });

	await serve('cors-on', { cors: { preflight_continue: true } });
	assert.equal((await passed(preflight('/cors-on'))).method, 'OPTIONS', 'the service answers it');
	assert.equal((await passed(ask('/cors', { apikey: 'ann-1' }, { method: 'PUT' }))).method, 'PUT');
	await refused(ask('/cors', { Origin: 'https://b.example' }, { method: 'OPTIONS' }), 401,
		'No API key found in request', 'Key');
});

check('check 37: which instance runs: eight scopes, one by one disabled, and others\' stay out', async () => {
	await serve('scopes');
	await plugged.plug('/services/scopes', 'key-auth', { anonymous: 'passer-by' });
	for (const name of ['carl', 'passer-by']) {
		await want(201, 'POST', '/consumers', { username: name });
	}
	await want(201, 'POST', '/consumers/carl/key-auth', { key: 'carl' });
	await want(201, 'POST', '/services/scopes/routes', { name: 'sibling', paths: ['/sibling'] });
	const r = { route: { name: 'scopes' } };
	const s = { service: { name: 'scopes' } };
	const c = { consumer: { username: 'carl' } };
	const scopes = { rsc: { ...r, ...s, ...c }, rc: { ...r, ...c }, sc: { ...s, ...c }, rs: { ...r, ...s }, c, r, s, global: {} };
	const ids = {};
	const says = async (path, headers) => {
		const reply = await ask(path, headers);
		return reply.status === 200 ? 'service' : reply.json.message;
	};
	const carl = { apikey: 'carl' };

	assert.equal(await says('/scopes', carl), 'service');
	for (const [message, scope] of Object.entries(scopes).reverse()) {
		ids[message] = (await plugged.plug('', 'request-termination', { message }, scope)).id;
		await want(409, 'POST', '/plugins', { name: 'request-termination', config: { message }, ...scope });
		assert.equal(await says('/scopes', carl), message);
	}
	/* Another route of the service, another consumer, another service. */
	assert.equal(await says('/sibling', carl), 'sc');
	assert.equal(await says('/sibling'), 's');
	assert.equal(await says('/scopes'), 'rs');
	assert.equal(await says('/minute'), 'global');
	/* One that is disabled leaves it to the next. */
	for (const message of Object.keys(scopes)) {
		assert.equal(await says('/scopes', carl), message);
		await want(200, 'PATCH', `/plugins/${ids[message]}`, { enabled: false });
	}
	assert.equal(await says('/scopes', carl), 'service');
	assert.equal(await says('/scopes'), 'service');
	for (const id of Object.values(ids)) {
		await want(204, 'DELETE', `/plugins/${id}`);
	}
});

check('check 37: a plugin of a consumer is chosen after authentication, for those below it', async () => {
	await serve('chosen', { 'key-auth': {}, 'rate-limiting': { year: 1 } });
	await want(201, 'POST', '/consumers', { username: 'vip' });
	await want(201, 'POST', '/consumers/vip/key-auth', { key: 'vip' });
	await plugged.plug('/consumers/vip', 'rate-limiting', { year: 500 }, { route: { name: 'chosen' } });
	await plugged.plug('/consumers/vip', 'response-transformer', { add: { headers: ['X-Vip:yes'] } });
	for (const left of ['499', '498']) {
		const reply = await ask('/chosen', { apikey: 'vip' });
		assert.equal(reply.headers['x-ratelimit-remaining-year'], left);
		assert.equal(reply.headers['x-vip'], 'yes');
	}
	const reply = await ask('/chosen', { apikey: 'bob-1' });
	assert.equal(reply.headers['x-ratelimit-remaining-year'], '0');
	assert.equal(reply.headers['x-vip'], undefined);
	await refused(ask('/chosen', { apikey: 'bob-1' }), 429, 'API rate limit exceeded');
	await refused(ask('/chosen'), 401, 'No API key found in request', 'Key');
});

const names = (object) => Object.keys(object).sort();

/* What each record has. */
const RECORD = ['client_ip', 'latencies', 'request', 'response', 'route', 'service', 'source', 'started_at', 'tries',
	'upstream_status', 'upstream_uri', 'workspace', 'workspace_name'];

/* The record that has this path. */
async function record(file, uri) {
	return await until(async () => {
		const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n').slice(0, -1).map((l) => JSON.parse(l));
		return lines.find((l) => l.request.uri === uri);
	}, `a record of ${uri}`);
}

check('check 38: file-log: all fields of a record, of the service\'s answers and of ours', async () => {
	const path = join(plugged.gw.dir, 'access.log');
	await serve('log', { 'key-auth': {}, 'file-log': {
		path, custom_fields_by_lua: { env: 'return "prod"', n: 'return 7' },
	} });
	const before = Date.now();
	const seen = await ask('/log/x%20y?a=1&a=2&b&c=%26',
		{ apikey: 'ann-1', Authorization: 'Basic c2VjcmV0', 'X-Twice': ['1', '2'] }, { method: 'POST', body: 'four' });
	assert.equal(seen.status, 200);
	const ann = (await want(200, 'GET', '/consumers/ann'));
	const route = await want(200, 'GET', '/routes/log');
	const service = await want(200, 'GET', '/services/log');
	let r = await record(path, '/log/x%20y?a=1&a=2&b&c=%26');

	assert.deepEqual(names(r), [...RECORD, 'authenticated_entity', 'consumer', 'env', 'n'].sort());
	assert.deepEqual(names(r.request), ['headers', 'id', 'method', 'querystring', 'size', 'uri', 'url']);
	assert.deepEqual(names(r.response), ['headers', 'size', 'status']);
	assert.deepEqual(names(r.latencies), ['kong', 'proxy', 'receive', 'request']);
	assert.deepEqual(names(r.tries[0]), ['balancer_latency', 'balancer_start', 'ip', 'port']);
	assert.deepEqual(names(r.authenticated_entity), ['consumer_id', 'id']);
	assert.equal(r.request.id, seen.headers['x-kong-request-id']);
	assert.equal(r.request.method, 'POST');
	assert.equal(r.request.url, `${plugged.gw.proxy}/log/x%20y?a=1&a=2&b&c=%26`);
	assert.deepEqual(r.request.querystring, { a: ['1', '2'], b: true, c: '&' });
	assert.ok(r.request.size > 100 && r.request.size < 1000, 'head and body');
	assert.equal(r.request.headers.authorization, 'REDACTED');
	assert.deepEqual(r.request.headers['x-twice'], ['1', '2']);
	assert.doesNotMatch(JSON.stringify(r), /c2VjcmV0/);
	assert.equal(r.upstream_uri, '/x%20y?a=1&a=2&b&c=%26');
	assert.equal(r.upstream_status, '200');
	assert.equal(r.response.status, 200);
	assert.ok(r.response.size > seen.body.length + 100, 'head and body');
	assert.equal(r.response.headers['content-type'], 'application/json');
	assert.equal(r.response.headers['x-kong-request-id'], r.request.id);
	for (const name of ['request', 'kong', 'proxy', 'receive']) {
		assert.ok(Number.isInteger(r.latencies[name]) && r.latencies[name] >= 0, `${name} ${r.latencies[name]}`);
	}
	assert.equal(r.tries.length, 1);
	assert.deepEqual([r.tries[0].ip, r.tries[0].port], ['127.0.0.1', plugged.echo.port]);
	assert.ok(r.tries[0].balancer_start >= before - 1);
	assert.ok(Number.isInteger(r.tries[0].balancer_latency));
	assert.equal(r.authenticated_entity.consumer_id, ann.id);
	const [key] = (await want(200, 'GET', '/consumers/ann/key-auth')).data.filter((k) => k.key === 'ann-1');
	assert.equal(r.authenticated_entity.id, key.id);
	assert.deepEqual([r.consumer.id, r.consumer.username], [ann.id, 'ann']);
	assert.deepEqual([r.route.id, r.route.name, r.route.service.id], [route.id, 'log', service.id]);
	assert.deepEqual([r.service.id, r.service.name, r.service.port], [service.id, 'log', plugged.echo.port]);
	assert.equal(r.workspace_name, 'default');
	assert.equal(r.workspace, '0dc6f45b-8f8d-40d2-a504-473544ee190b');
	assert.equal(r.client_ip, '127.0.0.1');
	assert.ok(r.started_at >= before - 1 && r.started_at <= Date.now());
	assert.equal(r.source, 'upstream');
	assert.deepEqual([r.env, r.n], ['prod', 7]);

	await refused(ask('/log/nobody'), 401, 'No API key found in request', 'Key');
	r = await record(path, '/log/nobody');
	assert.deepEqual([r.source, r.response.status, r.upstream_status, r.tries.length, r.consumer],
		['kong', 401, '', 0, undefined]);
	assert.equal(r.latencies.proxy, -1, 'no service was asked');
	assert.deepEqual(names(r), [...RECORD, 'env', 'n'].sort());
});

check('check 38: file-log: who the client is stands in a record as the gateway says it', async () => {
	const path = join(plugged.gw.dir, 'who.log');
	const consumer = await want(201, 'POST', '/consumers', { username: 'lea' });
	const credential = await want(201, 'POST', '/consumers/lea/key-auth', { key: 'leas' });
	await serve('who-log', { 'key-auth': {}, 'file-log': { path } });
	const forged = { 'X-Consumer-Username': 'admin', X_Consumer_ID: 'admin', 'X-Consumer-Groups': ['a', 'b'], 'x-consumer-custom-id': 'admin' };
	const told = async (uri, headers) => {
		await ask(uri, { 'X-Other': '1', ...headers });
		const r = await record(path, uri);
		assert.equal(r.request.headers['x-other'], '1');
		return Object.fromEntries(Object.entries(r.request.headers).filter(([name]) => /^x.c/.test(name)));
	};

	const lea = { 'x-consumer-id': consumer.id, 'x-consumer-username': 'lea', 'x-credential-identifier': credential.id };
	assert.deepEqual(await told('/who-log/honest', { apikey: 'leas' }), lea);
	assert.deepEqual(await told('/who-log/forged', { apikey: 'leas', ...forged }), lea);
	assert.deepEqual(await told('/who-log/refused', forged), {});
});

check('check 38: file-log: no object of a record has a member twice', async () => {
	const path = join(plugged.gw.dir, 'once.log');
	await serve('once-log', { 'file-log': { path } });
	const raw = await RawConnection.open(plugged.gw.proxy);
	const logged = async (query, ...lines) => {
		const uri = `/once-log?${query}`;
		raw.send([`GET ${uri} HTTP/1.1`, 'Host: a', ...lines, '', ''].join('\r\n'));
		assert.equal((await raw.response()).status, 200);
		const { request } = await record(path, uri);
		const line = (await readFile(path, 'utf8')).split('\n').find((l) => JSON.parse(l).request.uri === uri);
		return { ...request, line };
	};
	/* The text, since JSON.parse keeps the last of several members. */
	for (const [query, text] of [
		['x=1&%78=2&x=3', '{"x":["1","2","3"]}'],
		['%78=1&y=2&x', '{"x":["1",true],"y":"2"}'],
		['a+b=1&a%20b=2', '{"a b":["1","2"]}'],
		['%=1&%25=2&a%=3&a%25=4', '{"%":["1","2"],"a%":["3","4"]}'],
		['%ff=1&%fe=2&%ef%bf%bd=3', '{"\ufffd":["1","2","3"]}'],
		['%22=1&%22=2&=3&&=4', '{"\\"":["1","2"],"":["3","4"]}'],
		['x=1&X=2&xx=3', '{"x":"1","X":"2","xx":"3"}'],
	]) {
		assert.ok((await logged(query)).line.includes(`"querystring":${text},"headers"`), query);
	}
	const { headers, line } = await logged('headers', 'x-a: 1', 'X-A: 2', 'X_A: 3', 'x-a: 4');
	assert.deepEqual([headers['x-a'], headers.x_a], [['1', '2', '4'], '3']);
	assert.equal(line.match(/"x-a":/g).length, 1);
	raw.close();
});

check('check 38: file-log: a target with a host is told as the path with its query, and as the URL', async () => {
	const path = join(plugged.gw.dir, 'absolute.log');
	await serve('absolute', { 'file-log': { path } });
	const raw = await RawConnection.open(plugged.gw.proxy);
	const get = async (target) => {
		raw.send(`GET ${target} HTTP/1.1\r\nHost: name.test:81\r\n\r\n`);
		return (await raw.response()).status;
	};
	for (const [target, uri] of [
		['http://name.test:81/absolute/x%20y?a=1&b', '/absolute/x%20y?a=1&b'], ['HTTP://name.test:81/absolute', '/absolute'],
		['http://name.test:81/absolute/?', '/absolute/?'], ['/absolute/z?', '/absolute/z?'],
	]) {
		assert.equal(await get(target), 200);
		assert.equal((await record(path, uri)).request.url, `http://name.test:81${uri}`);
	}
	raw.close();
});

check('check 38: file-log: what TLS is told, also of a client that has left', async () => {
	const path = join(plugged.gw.dir, 'tls.log');
	const gate = deferred();
	const stuck = await Echo.start({ answer: async (_, res) => {
		await gate.promise;
		res.end();
	} });
	const get = (uri) => https.get(`${plugged.gw.proxies[1]}${uri}`, { rejectUnauthorized: false, agent: false });
	try {
		await serve('tls', { 'file-log': { path } });
		await serve('tls-left', { 'file-log': { path } });
		await want(200, 'PATCH', '/services/tls-left', { url: stuck.url });
		const whole = get('/tls/whole');
		const [reply] = await once(whole, 'response');
		const used = { version: reply.socket.getProtocol(), cipher: reply.socket.getCipher().standardName };
		reply.resume();
		const left = get('/tls-left/x');
		left.on('error', () => {});
		await stuck.hits.take();
		left.destroy();
		for (const [uri, status, source] of [['/tls/whole', 200, 'upstream'], ['/tls-left/x', 499, 'kong']]) {
			const r = await record(path, uri);
			assert.deepEqual(r.request.tls, { ...used, client_verify: 'NONE' });
			assert.equal(r.request.url, `${plugged.gw.proxies[1]}${uri}`);
			assert.deepEqual([r.response.status, r.source], [status, source]);
		}
	} finally {
		gate.resolve();
		await stuck.close();
	}
});

check('check 38: file-log: rotated by renaming, when it reopens', async () => {
	const path = join(plugged.gw.dir, 'rotated.log');
	await serve('rotated', { 'file-log': { path, reopen: true } });
	await passed(ask('/rotated/1'));
	await record(path, '/rotated/1');
	await rename(path, `${path}.1`);
	await passed(ask('/rotated/2'));
	await record(path, '/rotated/2');
	assert.doesNotMatch(await readFile(`${path}.1`, 'utf8'), /rotated\/2/);
});

check('check 38: file-log: rotated by renaming and SIGHUP, also when it does not reopen', async () => {
	const path = join(plugged.gw.dir, 'hup.log');
	await serve('hup', { 'file-log': { path } });
	await passed(ask('/hup/1'));
	await record(path, '/hup/1');
	await rename(path, `${path}.1`);
	await passed(ask('/hup/2'));
	await record(`${path}.1`, '/hup/2');
	plugged.gw.child.signal_('SIGHUP');
	await until(() => stat(path).catch(() => null), 'the new file');
	await passed(ask('/hup/3'));
	await record(path, '/hup/3');
});

check('check 38: file-log: a pipe that nobody reads does not hold up the end, and what it did not take is counted', async () => {
	const ending = await Gateway.start();
	const fifo = join(ending.dir, 'fifo');
	const asked = 200; /* more than the pipe has room for */
	let reader;
	try {
		await execute('mkfifo', [fifo]);
		reader = await open(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
		await ending.make('/plugins', { name: 'request-termination', config: { status_code: 200 } });
		await ending.make('/plugins', { name: 'file-log', config: { path: fifo } });
		await ending.route({ url: 'http://127.0.0.1:1' }, { name: 'r', paths: ['/s'] });
		const replies = await Promise.all(Array.from({ length: asked }, () => ending.get('/s')));
		assert.deepEqual(new Set(replies.map((r) => r.status)), new Set([200]));
		await ending.stop();
		const said = await ending.child.line(/"cannot write log file","path":"[^"]*fifo","error":"too slow"/);
		const lines = (await reader.readFile('utf8')).split('\n').slice(0, -1).map((l) => JSON.parse(l));
		assert.ok(lines.length > 0);
		assert.equal(lines.length + JSON.parse(said).lines_dropped, asked);
	} finally {
		await reader?.close();
		await ending.close();
	}
});

/* A full disk, a pipe that nobody reads, no folder, a folder. */
check('check 38: file-log: what cannot be written holds up nobody, and is counted', async () => {
	const fifo = join(plugged.gw.dir, 'fifo');
	await execute('mkfifo', [fifo]);
	const paths = { full: '/dev/full', fifo, nowhere: '/nowhere/at/all', folder: plugged.gw.dir };
	const dropped = async () => (await scrape(plugged.gw.status)).value('posthouse_file_log_dropped_total');
	const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
	for (const [name, path] of Object.entries(paths)) {
		const earlier = await dropped();
		await serve(name, { 'file-log': { path } });
		const replies = await Promise.all(Array.from({ length: 50 }, () => ask(`/${name}`, {}, { agent })));
		assert.deepEqual(new Set(replies.map((r) => r.status)), new Set([200]), name);
		await until(async () => await dropped() === earlier + 50, `dropped lines of ${name} are counted`);
	}
	agent.destroy();
	await plugged.gw.child.line(/"cannot write log file","path":"\/dev\/full","error":"No space left/);
});

check('check 38: prometheus: what was counted, on both listeners, in the strict text format', async () => {
	await serve('seen', { prometheus: {
		per_consumer: true, status_code_metrics: true, latency_metrics: true, bandwidth_metrics: true,
	}, 'key-auth': {} });
	for (let i = 0; i < 3; i++) {
		await passed(ask('/seen', { apikey: 'ann-1' }));
	}
	assert.equal((await ask('/seen')).status, 401);

	for (const url of [plugged.gw.status, plugged.gw.adminUrl]) {
		const page = await scrape(url);
		const labels = { service: 'seen', route: 'seen', workspace: 'default' };
		assert.equal(page.value('kong_http_requests_total',
			{ ...labels, code: '200', source: 'service', consumer: 'ann' }), 3);
		assert.equal(page.value('kong_http_requests_total',
			{ ...labels, code: '401', source: 'kong', consumer: '' }), 1);
		for (const name of ['kong_kong_latency_ms', 'kong_request_latency_ms', 'kong_upstream_latency_ms']) {
			assert.equal(page.types.get(name), 'histogram');
			assert.equal(page.value(`${name}_count`, labels), name.includes('upstream') ? 3 : 4, name);
		}
		for (const direction of ['ingress', 'egress']) {
			assert.ok(page.value('kong_bandwidth_bytes', { ...labels, direction, consumer: 'ann' }) > 0);
		}
	}
});

check('what is not built is refused by name', async () => {
	const built = Object.keys((await want(200, 'GET', '/')).plugins.available_on_server);
	const missing = ['ai-proxy', 'bot-detection', 'hmac-auth', 'jwt', 'oauth2', 'pre-function', 'proxy-cache',
		'response-ratelimiting'].filter((name) => !built.includes(name));
	for (const name of ['nope', ...missing]) {
		const { message } = await want(400, 'POST', '/plugins', { name, config: {} });
		assert.match(message, new RegExp(`plugin '${name}' not enabled|not built`));
	}
});

async function scrape(url) {
	const reply = await fetch(`${url}/metrics`);
	assert.equal(reply.status, 200);
	assert.match(reply.headers.get('content-type'), /^text\/plain(; *version=0\.0\.4)?/);
	return parseMetrics(await reply.text());
}

/* The text format 0.0.4, with what promtool checks: HELP and TYPE once and before, no family twice, no sample twice. */
function parseMetrics(text) {
	const types = new Map();
	const helps = new Set();
	const done = new Set();
	const samples = new Map();
	let current;

	assert.ok(text.endsWith('\n'));
	for (const line of text.slice(0, -1).split('\n')) {
		const head = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
		if (head) {
			const [, kind, name, rest] = head;
			if (name !== current) {
				assert.ok(!done.has(name), `${name} is in two places`);
				done.add(name);
				current = name;
			}
			if (kind === 'HELP') {
				assert.ok(!helps.has(name), `two HELP of ${name}`);
				helps.add(name);
			} else {
				assert.ok(!types.has(name), `two TYPE of ${name}`);
				assert.match(rest, /^(counter|gauge|histogram|untyped)$/);
				types.set(name, rest);
			}
			continue;
		}
		const m = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\S+)$/.exec(line);
		assert.ok(m, `no sample: ${line}`);
		const [, name, inner = '', value] = m;
		const family = types.get(current) === 'histogram' ? name.replace(/_(bucket|sum|count)$/, '') : name;
		assert.equal(family, current, `${name} is below ${current}`);
		assert.match(value, /^([+-]?Inf|NaN|-?\d+(\.\d+)?(e[+-]?\d+)?)$/);
		const labels = Object.fromEntries([...inner.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, k, v]) => [k, v]));
		const key = keyOf(name, labels);
		assert.ok(!samples.has(key), `${key} is there twice`);
		samples.set(key, { name, labels, value: Number(value.replace('Inf', 'Infinity')) });
	}
	for (const name of types.keys()) {
		assert.ok(helps.has(name), `no HELP of ${name}`);
	}
	checkHistograms(types, samples);
	return { types, samples, value: (name, labels = {}) => samples.get(keyOf(name, labels))?.value };
}

const keyOf = (name, labels) => `${name}${JSON.stringify(Object.entries(labels).sort())}`;

/* Buckets grow, the last is +Inf and as large as the count. */
function checkHistograms(types, samples) {
	for (const { name, labels, value } of samples.values()) {
		const family = name.replace(/_count$/, '');
		if (family === name || types.get(family) !== 'histogram') {
			continue;
		}
		const buckets = [...samples.values()].filter((s) => s.name === `${family}_bucket` &&
			keyOf('', { ...s.labels, le: '' }) === keyOf('', { ...labels, le: '' }));
		let last = { le: -Infinity, value: 0 };
		for (const b of buckets) {
			const le = Number(b.labels.le.replace('Inf', 'Infinity'));
			assert.ok(le > last.le && b.value >= last.value, `${family}: buckets in order`);
			last = { le, value: b.value };
		}
		assert.deepEqual(last, { le: Infinity, value }, family);
		assert.ok(samples.has(keyOf(`${family}_sum`, labels)));
	}
}
