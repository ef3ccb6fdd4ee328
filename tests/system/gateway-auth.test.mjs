/* Who may use a service: key-auth, basic-auth, anonymous, acl, ip-restriction, and attempts to be somebody else. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import http from 'node:http';
import { after, before } from 'node:test';
import { check, until } from './lib/check.mjs';
import { Plugged } from './lib/plugged.mjs';

let plugged;
const serve = (...args) => plugged.serve(...args);
const want = (...args) => plugged.want(...args);
const ask = (...args) => plugged.ask(...args);
const passed = (asking) => plugged.passed(asking);
const refused = (...args) => plugged.refused(...args);

before(async () => {
	plugged = await Plugged.start({ loops: 2, gateway: { trusted_ips: ['127.0.0.1'] } });
	for (const name of ['jane', 'joe', 'guest']) {
		await want(201, 'POST', '/consumers', { username: name, custom_id: `${name}-7` });
	}
	await want(201, 'POST', '/consumers/jane/key-auth', { key: 'janes key' });
	await want(201, 'POST', '/consumers/joe/basic-auth', { username: 'joe', password: 'pass: wörd' });
	await want(201, 'POST', '/consumers/jane/basic-auth', { username: 'jane', password: 'sesame' });
});

after(() => plugged?.close());

const basic = (text) => `Basic ${Buffer.from(text).toString('base64')}`;

const identity = ({ headers }) => Object.fromEntries(Object.entries(headers).filter(([name]) =>
	/^x[-_](consumer|credential|anonymous)/.test(name)));

check('check 30: key-auth: three refusals, and who it was', async () => {
	await serve('key', { 'key-auth': {} });
	const key = (await want(200, 'GET', '/consumers/jane/key-auth')).data[0];
	const jane = (await want(200, 'GET', '/consumers/jane'));
	const missing = 'No API key found in request';

	await refused(ask('/key'), 401, missing, 'Key');
	await refused(ask('/key', { apikey: '' }), 401, missing, 'Key');
	await refused(ask('/key?apikey='), 401, missing, 'Key');
	await refused(ask('/key', { apikey: ['janes key', 'janes key'] }), 401, 'Duplicate API key found', 'Key');
	await refused(ask('/key?apikey=a&apikey=janes%20key'), 401, 'Duplicate API key found', 'Key');
	for (const wrong of ['janes ke', 'janes keyy', 'Janes key', 'joe', key.id]) {
		await refused(ask('/key', { apikey: wrong }), 401, 'Unauthorized', 'Key');
	}
	/* A body is not looked into unless it is asked for. */
	await refused(ask('/key', { 'content-type': 'application/json' },
		{ method: 'POST', body: '{"apikey":"janes key"}' }), 401, missing, 'Key');
	/* The header is first: what the query says does not help. */
	await refused(ask('/key?apikey=janes%20key', { apikey: 'x' }), 401, 'Unauthorized', 'Key');

	for (const seen of [
		await passed(ask('/key', { APIKEY: 'janes key' })),
		await passed(ask('/key?apikey=janes+key')),
		await passed(ask('/key?a=b&apikey=janes%20key')),
	]) {
		assert.deepEqual(identity(seen), {
			'x-consumer-id': jane.id,
			'x-consumer-custom-id': 'jane-7',
			'x-consumer-username': 'jane',
			'x-credential-identifier': key.id,
		});
	}
	await want(409, 'POST', '/consumers/joe/key-auth', { key: 'janes key' });
	/* One that nobody chose. */
	const made = await want(201, 'POST', '/consumers/joe/key-auth', {});
	assert.match(made.key, /^[A-Za-z0-9]{32}$/);
	assert.equal((await passed(ask('/key', { apikey: made.key }))).headers['x-consumer-username'], 'joe');
});

check('check 30: what a client says it is does not reach the service', async () => {
	const forged = {};
	for (const name of ['Consumer-ID', 'Consumer-Username', 'Consumer-Custom-ID', 'Credential-Identifier',
		'Anonymous-Consumer']) {
		forged[`X-${name}`] = 'forged';
		forged[`x_${name.replaceAll('-', '_')}`] = 'forged';
		forged[`X-${name.replace('-', '_').toLowerCase()}`] = ['forged', 'forged'];
	}
	await serve('spoof', { 'key-auth': {}, acl: { deny: ['nobody'] } });

	const seen = await passed(ask('/spoof', {
		apikey: 'janes key', 'X-Consumer-Groups': 'admin', X_Consumer_Groups: 'admin', ...forged,
	}));
	assert.doesNotMatch(JSON.stringify(seen.headers), /forged|admin/);
	assert.equal(seen.headers['x-consumer-username'], 'jane');
	await refused(ask('/spoof', { ...forged, 'x-consumer-username': 'jane' }), 401,
		'No API key found in request', 'Key');
});

/* All that the gateway tells of a client, as a client may spell it. */
const IDENTITY = ['X-Consumer-ID', 'X-Consumer-Username', 'X-Consumer-Custom-ID', 'X-Consumer-Groups', 'X-Credential-Identifier',
	'X-Anonymous-Consumer', 'X-Authenticated-Userid', 'X-Authenticated-Scope', 'X-Authenticated-Groups'];
const FORGED = Object.fromEntries(IDENTITY.flatMap((name) => [name, name.toLowerCase().replaceAll('-', '_'), name.replace('-', '_'), name.replaceAll('-', '.')])
	.map((name) => [name, 'forged']));

const told = ({ raw }) => Object.fromEntries(raw.map(([name, value]) => [name.toLowerCase().replaceAll(/[^a-z]/g, '-'), value])
	.filter(([name]) => /^x-(consumer|credential|anonymous|authenticated)/.test(name)));

check('check 30: nor does what it says through a proxy that is trusted, or lists in Connection', async () => {
	const jane = await want(200, 'GET', '/consumers/jane');
	const guest = await want(200, 'GET', '/consumers/guest');
	const key = (await want(200, 'GET', '/consumers/jane/key-auth')).data[0];
	await serve('unguarded');
	await serve('guarded', { 'key-auth': {} });
	await serve('guested', { 'key-auth': { anonymous: 'guest' }, 'basic-auth': { anonymous: 'guest' } });
	const of = (consumer) => ({
		'x-consumer-id': consumer.id, 'x-consumer-custom-id': consumer.custom_id, 'x-consumer-username': consumer.username,
	});
	const isJane = { ...of(jane), 'x-credential-identifier': key.id };
	const isGuest = { ...of(guest), 'x-anonymous-consumer': 'true' };

	for (const headers of [FORGED, { ...FORGED, Connection: Object.keys(FORGED) }, { Connection: IDENTITY.join(', ') }]) {
		assert.deepEqual(told(await passed(ask('/unguarded', headers))), {});
		assert.deepEqual(told(await passed(ask('/guarded', { apikey: 'janes key', ...headers }))), isJane);
		assert.deepEqual(told(await passed(ask('/guested', { apikey: 'janes key', ...headers }))), isJane);
		assert.deepEqual(told(await passed(ask('/guested', headers))), isGuest);
	}
});

check('what plugins read of a consumer is what authentication said', async () => {
	await want(201, 'POST', '/consumers', { username: 'rose', custom_id: 'R' });
	await want(201, 'POST', '/consumers/rose/key-auth', { key: 'rose' });
	await want(201, 'POST', '/consumers/rose/acls', { group: 'gardeners' });
	const asRose = (path, headers) => ask(path, { apikey: 'rose', ...headers });

	await serve('renamed', { 'key-auth': {}, acl: { allow: ['gardeners'] }, 'request-transformer': {
		remove: { headers: ['X-Consumer-ID', 'X-Consumer-Username', 'X-Consumer-Custom-ID', 'X-Consumer-Groups', 'X-Credential-Identifier'] },
		replace: { uri: '/of/$(headers.x_consumer_username)' },
		add: {
			headers: ['X-User:$(headers.x_consumer_username)', 'X-Groups:$(headers["x-consumer-groups"] or "none")',
				'X-Scope:$(headers.x_authenticated_scope or "none")'],
			querystring: ['id:$(headers.x_consumer_custom_id)'],
			body: ['user:$(headers["X-Consumer-Username"])'],
		},
	} });
	for (const headers of [{}, FORGED]) {
		const seen = await passed(ask('/renamed', { apikey: 'rose', 'Content-Type': 'application/json', ...headers }, { method: 'POST', body: '{}' }));
		assert.deepEqual([seen.url, seen.headers['x-user'], seen.headers['x-groups'], seen.headers['x-scope'], seen.body],
			['/of/rose?id=R', 'rose', 'gardeners', 'none', '{"user":"rose"}']);
		assert.deepEqual(told(seen), {});
	}

	await serve('limited', { 'key-auth': {}, 'rate-limiting': { year: 1, limit_by: 'header', header_name: 'X-Consumer-Custom-ID' } });
	const statuses = [];
	for (const headers of [{}, { 'X-Consumer-Custom-ID': '1' }, { X_Consumer_Custom_ID: '2' }]) {
		statuses.push((await asRose('/limited', headers)).status);
	}
	assert.deepEqual(statuses, [200, 429, 429]);

	/* Who is somebody gets the page of consumers; who only says so does not. */
	await serve('shown', { 'key-auth': { anonymous: 'guest' }, 'request-termination': {
		status_code: 200, echo: true, trigger: 'X-Credential-Identifier',
	} });
	assert.equal((await ask('/shown', FORGED)).json.message, undefined, 'the service answers');
	const { request } = (await asRose('/shown', FORGED)).json;
	assert.doesNotMatch(JSON.stringify(request), /forged/);
	assert.deepEqual(request.headers.filter(({ name }) => name === 'X-Consumer-Username').map(({ value }) => value), ['rose']);
});

check('who has blanks at the ends of a name is not taken for who has none', async () => {
	await serve('blanks', { 'key-auth': {}, acl: { deny: ['nobody'] } });
	await serve('blanks-basic', { 'basic-auth': {} });
	for (const [i, name] of ['jane ', ' jane', 'jane\t', ' '].entries()) {
		const { id } = await want(201, 'POST', '/consumers', { username: name, custom_id: `${name}${name}` });
		const key = await want(201, 'POST', `/consumers/${id}/key-auth`, { key: `blank ${i}` });
		await want(201, 'POST', `/consumers/${id}/basic-auth`, { username: name, password: 'p' });
		await want(201, 'POST', `/consumers/${id}/acls`, { group: name });
		assert.deepEqual(identity(await passed(ask('/blanks', { apikey: `blank ${i}` }))),
			{ 'x-consumer-id': id, 'x-credential-identifier': key.id });
		assert.deepEqual(identity(await passed(ask('/blanks-basic', { authorization: basic(`${name}:p`) }))), { 'x-consumer-id': id });
		await want(201, 'POST', `/consumers/${id}/acls`, { group: 'j k' });
		assert.equal((await passed(ask('/blanks', { apikey: `blank ${i}` }))).headers['x-consumer-groups'], 'j k');
	}
});

check('check 30: key-auth: other names and places, hidden keys, a realm, preflights', async () => {
	await serve('places', { 'key-auth': {
		key_names: ['X-Key', 'k'], key_in_body: true, hide_credentials: true, realm: 'a "b"', run_on_preflight: false,
	} });
	const post = (type, body) => ask('/places?x=1', { 'content-type': type }, { method: 'POST', body });
	const parts = (list) => `${list.map(([k, v]) =>
		`--B\r\nContent-Disposition: form-data; name="${k}"\r\n\r\n${v}\r\n`).join('')}--B--\r\n`;

	await refused(ask('/places', { apikey: 'janes key' }), 401, 'No API key found in request',
		'Key realm="a \\"b\\""');
	let seen = await passed(ask('/places?x=1', { 'x-key': 'janes key' }));
	assert.equal(seen.headers['x-key'], undefined);
	seen = await passed(ask('/places?x=1&k=janes%20key&y=%20z'));
	assert.equal(seen.url, '/?x=1&y=%20z');
	seen = await passed(post('application/json', '{"k":"janes key","b":[1, 2]}'));
	assert.deepEqual(JSON.parse(seen.body), { b: [1, 2] });
	assert.equal(seen.headers['content-length'], String(seen.body.length));
	seen = await passed(post('application/x-www-form-urlencoded', 'a=1&k=janes+key&b=2'));
	assert.equal(seen.body, 'a=1&b=2');
	seen = await passed(post('multipart/form-data; boundary=B', parts([['a', '1'], ['k', 'janes key']])));
	assert.equal(seen.body, parts([['a', '1']]));
	await refused(post('application/json', '{"k":["janes key"'), 401, 'No API key found in request',
		'Key realm="a \\"b\\""');

	/* A key that comes in other places as well, and not just one of them. */
	const twice = (headers, body) => ask('/places?k=janes%20key&y=%20z', { 'content-type': 'application/json', 'x-key': 'janes key', ...headers },
		{ method: 'POST', body });
	seen = await passed(twice({ k: 'janes key' }, '{"k":"janes key","X-Key":["janes key"],"b":[1, 2]}'));
	assert.deepEqual([seen.headers['x-key'], seen.headers.k, seen.url, JSON.parse(seen.body)], [undefined, undefined, '/?y=%20z', { b: [1, 2] }]);
	seen = await passed(twice({}, '{ "b": 1 }'));
	assert.equal(seen.body, '{ "b": 1 }', 'left as it is where there is none');
	for (const list of ['["janes key"]', '["janes key","janes key"]']) {
		await refused(post('application/json', `{"k":${list}}`), 401, 'Duplicate API key found', 'Key realm="a \\"b\\""');
	}

	/* Behind many others, too; in what cannot be looked through it might be. */
	const fields = Array.from({ length: 1500 }, (_, i) => `f${i}=${i}`).join('&');
	const form = 'application/x-www-form-urlencoded';
	seen = await passed(ask(`/places?${'a&'.repeat(1500)}k=janes%20key`, { 'content-type': form, 'x-key': 'janes key' },
		{ method: 'POST', body: `${fields}&k=janes+key&z=1` }));
	assert.deepEqual([seen.url, seen.body], [`/?${'a&'.repeat(1499)}a`, `${fields}&z=1`]);
	for (const [type, body] of [[form, `${'a&'.repeat(100_000)}k=janes+key`], ['application/json', '{"k":"janes key","k":1}']]) {
		await refused(ask('/places', { 'content-type': type, 'x-key': 'janes key' }, { method: 'POST', body }), 400,
			'Cannot parse the request body');
	}
	seen = await passed(twice({ 'content-type': 'text/plain' }, '{"k":"janes key"'));
	assert.equal(seen.body, '{"k":"janes key"', 'where no key is looked for');

	seen = await passed(ask('/places', {}, { method: 'OPTIONS' }));
	assert.deepEqual(identity(seen), {});
});

check('check 30: a key ends with its consumer, at once and on all connections', async () => {
	await serve('gone', { 'key-auth': {} });
	const agent = new http.Agent({ keepAlive: true, maxSockets: 24 });
	const all = (key) => Promise.all(Array.from({ length: 24 }, () =>
		ask('/gone', { apikey: key }, { agent }).then((r) => r.status)));

	for (let round = 0; round < 3; round++) {
		await want(201, 'POST', '/consumers', { username: 'brief' });
		const json = await want(201, 'POST', '/consumers/brief/key-auth', { key: 'brief' });
		assert.deepEqual(new Set(await all('brief')), new Set([200]), 'a new key works at once');

		await want(200, 'PATCH', `/consumers/brief/key-auth/${json.id}`, { key: 'other' });
		assert.deepEqual(new Set(await all('brief')), new Set([401]), 'the old key is gone');
		assert.deepEqual(new Set(await all('other')), new Set([200]));
		await want(204, 'DELETE', round === 0 ? `/consumers/brief/key-auth/${json.id}` : '/consumers/brief');
		assert.deepEqual(new Set(await all('other')), new Set([401]));
		if (round === 0) {
			await want(204, 'DELETE', '/consumers/brief');
		}
	}
	agent.destroy();
});

check('check 30: a key with a ttl ends by itself', async () => {
	await serve('ttl', { 'key-auth': {} });
	const started = Date.now();
	await want(201, 'POST', '/consumers/joe/key-auth', { key: 'short', ttl: 2 });
	await passed(ask('/ttl', { apikey: 'short' }));
	await until(async () => (await ask('/ttl', { apikey: 'short' })).status === 401, 'the key expires');
	assert.ok(Date.now() - started >= 1000, 'not before its time');
	await refused(ask('/ttl', { apikey: 'short' }), 401, 'Unauthorized', 'Key');
});

check('check 30: a ttl ends whatever the client says of other times', async () => {
	const forged = [{ created_at: null }, { created_at: 4102444800 }, { created_at: 1 }];
	for (const [i, times] of forged.entries()) {
		await want(201, 'POST', '/consumers/joe/key-auth', { key: `forged-${i}`, ttl: 2, ...times });
	}
	await want(201, 'POST', '/consumers/joe/key-auth', { key: 'patched', ttl: 2 });
	await want(200, 'PATCH', '/key-auths/patched', { created_at: 4102444800 });
	await want(400, 'PATCH', '/key-auths/patched', { created_at: 9e18 });
	for (const key of ['patched', 'forged-0', 'forged-1', 'forged-2']) {
		await until(async () => (await ask('/ttl', { apikey: key })).status === 401, `${key} expires`);
		await want(404, 'GET', `/key-auths/${key}`);
	}
});

check('check 30: what is read in the last second of a key and written again does not make it last', async () => {
	const { id } = await want(201, 'POST', '/consumers/joe/key-auth', { key: 'last', ttl: 1 });
	let shown;
	do {
		const reply = await plugged.gw.admin('GET', `/key-auths/${id}`);
		if (reply.status === 404) {
			break;
		}
		shown = reply.json;
		assert.equal(shown.ttl, 1);
	} while (shown);
	await want(200, 'PUT', `/key-auths/${id}`, shown);
	await until(async () => (await ask('/ttl', { apikey: 'last' })).status === 401, 'the key expires');
});

check('check 31: basic-auth: a NUL is refused, so that no part of a secret can stand for it', async () => {
	const nul = async (at, path, body, type) => {
		const { fields } = await want(400, 'POST', path, body, type);
		assert.deepEqual(Object.keys(fields), [at]);
		assert.match(fields[at], /^invalid NUL character detected at position [12]$/);
	};
	await nul('password', '/consumers/joe/basic-auth', { username: 'nul', password: '\0secret' });
	await nul('password', '/consumers/joe/basic-auth', 'username=nul&password=%00secret');
	await nul('group', '/consumers/joe/acls', { group: 'a\0b' });
	await nul('key', '/consumers/joe/key-auth', { key: 'a\0b' });
	await nul('username', '/consumers', { username: 'a\0b' });
	await want(404, 'GET', '/consumers/joe/acls/a%00b');
});

check('check 31: basic-auth: SHA-1 is what is kept, and the password is what lets in', async () => {
	await serve('basic', { 'basic-auth': {} });
	const { id } = (await want(200, 'GET', '/consumers/joe'));
	const kept = (await want(200, 'GET', '/consumers/joe/basic-auth/joe'));
	const challenge = 'Basic realm="service"';

	assert.equal(kept.password, createHash('sha1').update(`pass: wörd${id}`).digest('hex'));
	for (const authorization of [
		undefined, 'Basic', 'Basic ', 'Basic !!!', basic('joe'), basic('joe:'), basic(':pass: wörd'),
		basic('joe:pass: word'), basic('joe:pass: wörd '), basic('Joe:pass: wörd'), basic('nobody:pass: wörd'),
		basic(`joe:${kept.password}`), `Bearer ${basic('joe:pass: wörd').slice(6)}`, basic('jane:pass: wörd'),
	]) {
		await refused(ask('/basic', authorization === undefined ? {} : { authorization }), 401, 'Unauthorized',
			challenge);
	}
	for (const headers of [
		{ authorization: basic('joe:pass: wörd') },
		{ authorization: basic('joe:pass: wörd').replace('Basic', 'bASIC') },
		{ 'proxy-authorization': basic('joe:pass: wörd'), authorization: basic('jane:sesame') },
		{ 'proxy-authorization': basic('nobody:x'), authorization: basic('joe:pass: wörd') },
		{ 'proxy-authorization': 'Basic !', authorization: basic('joe:pass: wörd') },
	]) {
		const seen = await passed(ask('/basic', headers));
		assert.deepEqual(identity(seen), {
			'x-consumer-id': id, 'x-consumer-custom-id': 'joe-7', 'x-consumer-username': 'joe',
			'x-credential-identifier': 'joe',
		});
		assert.equal(seen.headers.authorization, headers.authorization, 'kept unless it is to be hidden');
	}
	await refused(ask('/basic', { 'proxy-authorization': basic('joe:wrong'), authorization: basic('jane:sesame') }), 401,
		'Unauthorized', challenge);
	assert.equal((await want(200, 'GET', '/basic-auths')).data.find((c) => c.id === kept.id).password, kept.password);
	await want(200, 'PATCH', '/consumers/joe/basic-auth/joe', { password: 'new' });
	await refused(ask('/basic', { authorization: basic('joe:pass: wörd') }), 401, 'Unauthorized', challenge);
	await passed(ask('/basic', { authorization: basic('joe:new') }));

	await serve('hidden', { 'basic-auth': { hide_credentials: true, realm: 'r' } });
	const seen = await passed(ask('/hidden', { 'proxy-authorization': basic('nobody:x'), authorization: basic('joe:new') }));
	assert.equal(seen.headers.authorization, undefined);
	assert.equal(seen.headers['proxy-authorization'], undefined);
	await refused(ask('/hidden'), 401, 'Unauthorized', 'Basic realm="r"');
});

check('check 30: anonymous: who has no key goes on as somebody', async () => {
	const guest = (await want(200, 'GET', '/consumers/guest'));
	const as_guest = {
		'x-consumer-id': guest.id, 'x-consumer-custom-id': 'guest-7', 'x-consumer-username': 'guest',
		'x-anonymous-consumer': 'true',
	};
	await serve('open', { 'key-auth': { anonymous: guest.id } });
	assert.deepEqual(identity(await passed(ask('/open'))), as_guest);
	assert.deepEqual(identity(await passed(ask('/open', { apikey: 'wrong' }))), as_guest);
	assert.deepEqual(identity(await passed(ask('/open', { 'x-credential-identifier': 'x' }))), as_guest);
	const seen = identity(await passed(ask('/open', { apikey: 'janes key', 'X-Anonymous-Consumer': 'true' })));
	assert.equal(seen['x-consumer-username'], 'jane');
	assert.equal(seen['x-anonymous-consumer'], undefined);

	await serve('lost', { 'key-auth': { anonymous: 'not there' } });
	await refused(ask('/lost'), 500, 'anonymous consumer not there is configured but doesn\'t exist');
	await passed(ask('/lost', { apikey: 'janes key' }));
});

check('two ways to log in: both, or either', async () => {
	const key = { apikey: 'janes key' };
	const password = { authorization: basic('jane:sesame') };
	await serve('and', { 'key-auth': {}, 'basic-auth': {} });
	await refused(ask('/and', password), 401, 'No API key found in request', 'Key');
	await refused(ask('/and', key), 401, 'Unauthorized', 'Basic realm="service"');
	assert.equal((await passed(ask('/and', { ...key, ...password }))).headers['x-credential-identifier'], 'jane');

	await serve('or', { 'key-auth': { anonymous: 'guest' }, 'basic-auth': { anonymous: 'guest' } });
	const who = async (headers) => identity(await passed(ask('/or', headers)));
	for (const headers of [key, password, { ...key, authorization: basic('jane:wrong') },
		{ ...password, apikey: 'wrong' }]) {
		const seen = await who(headers);
		assert.equal(seen['x-consumer-username'], 'jane');
		assert.equal(seen['x-anonymous-consumer'], undefined);
	}
	assert.equal((await who({}))['x-anonymous-consumer'], 'true');

	/* Nobody gets in by this alone: who is to be let in anonymously is ended elsewhere. */
	await want(201, 'POST', '/consumers/guest/plugins', {
		name: 'request-termination', route: { name: 'or' }, config: { status_code: 401, message: 'Log in' },
	});
	assert.equal((await ask('/or')).text, '{"message":"Log in"}');
	await who(key);
});

check('check 33: acl: groups that may pass, and what the service hears', async () => {
	await want(201, 'POST', '/consumers/jane/acls', { group: 'staff' });
	await want(201, 'POST', '/consumers/jane/acls', { group: 'admins' });
	await serve('open-acl', { acl: { allow: ['staff'] } });
	await refused(ask('/open-acl'), 401, 'Unauthorized');

	await serve('allow', { 'key-auth': {}, acl: { allow: ['boss', 'staff'] } });
	const key = { apikey: 'janes key' };
	await want(201, 'POST', '/consumers/joe/key-auth', { key: 'joes' });
	const seen = await passed(ask('/allow', key));
	assert.deepEqual(seen.headers['x-consumer-groups'].split(', ').sort(), ['admins', 'staff']);
	await refused(ask('/allow', { apikey: 'joes' }), 403, 'You cannot consume this service');
	const { id } = (await want(201, 'POST', '/consumers/joe/acls', { group: 'boss' }));
	assert.equal((await passed(ask('/allow', { apikey: 'joes' }))).headers['x-consumer-groups'], 'boss');
	await want(204, 'DELETE', `/consumers/joe/acls/${id}`);
	await refused(ask('/allow', { apikey: 'joes' }), 403, 'You cannot consume this service');

	await serve('deny', { 'key-auth': {}, acl: { deny: ['staff'], hide_groups_header: true } });
	await refused(ask('/deny', key), 403, 'You cannot consume this service');
	const joe = await passed(ask('/deny', { apikey: 'joes', 'X-Consumer-Groups': 'forged' }));
	assert.equal(joe.headers['x-consumer-groups'], undefined);
});

check('check 33: ip-restriction: the address that a trusted peer tells', async () => {
	const from = (ip, path) => ask(path, { 'x-real-ip': ip });
	await serve('ip', { 'ip-restriction': { allow: ['10.0.0.0/8', '2001:db8::/32'], deny: ['10.6.0.0/16'] } });
	await passed(from('10.255.0.1', '/ip'));
	const told = (more) => passed(ask('/ip', { 'x-real-ip': '10.255.0.1', ...more })).then(({ headers }) => headers['x-forwarded-for']);
	assert.equal(await told(), '10.255.0.1', 'whom nobody is named before is the client');
	assert.equal(await told({ 'x-forwarded-for': '192.0.2.1' }), '192.0.2.1, 127.0.0.1', 'and then who connected');
	await passed(from('2001:db8:1::2', '/ip'));
	for (const ip of ['10.6.6.6', '11.0.0.1', '127.0.0.1', '2001:db9::1']) {
		await refused(from(ip, '/ip'), 403, `IP address not allowed: ${ip}`);
	}
	await refused(ask('/ip'), 403, 'IP address not allowed: 127.0.0.1');
	assert.match((await want(400, 'POST', '/plugins', { name: 'ip-restriction', config: {} })).message,
		/at least one of these fields must be non-empty: 'config\.allow', 'config\.deny'/);
	await serve('ip2', { 'ip-restriction': { deny: ['127.0.0.1'], status: 418, message: 'not "you"' } });
	await refused(ask('/ip2'), 418, 'not "you"');
	await passed(from('10.6.6.6', '/ip2'));
});

check('a refusal in the form that is asked for', async () => {
	const id = (r) => r.headers['x-kong-request-id'];
	let reply = await ask('/key', { accept: 'text/plain' });
	assert.equal(reply.status, 401);
	assert.equal(reply.text, `No API key found in request\nrequest_id: ${id(reply)}\n`);
	reply = await ask('/key', { accept: 'application/json;q=0.3, text/html;q=0.9' });
	assert.match(reply.text, /<p>No API key found in request\.<\/p>/);
	assert.equal(reply.headers['www-authenticate'], 'Key');
	reply = await ask('/key', {}, { method: 'HEAD' });
	assert.equal(reply.status, 401);
	assert.equal(reply.text, '');
});
