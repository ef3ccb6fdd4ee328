/*
 * Hostile peers against the running server: what they send must cost them, not the others.
 *
 * Tenants are made over the management interface; the hub's side is written by hand.
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { createHmac, randomUUID } from 'node:crypto';
import { check, until } from './lib/check.mjs';
import { abortable, request, timed } from './lib/client.mjs';
import { Hub, negotiate, RS } from './lib/hub.mjs';
import { RawConnection } from './lib/raw.mjs';
import { Server } from './lib/server.mjs';

let server;
const tokens = {};
const secrets = {};

before(async () => {
	server = await Server.start({ relay: { request_expiration: '3s' } });
	for (const name of ['T1', 'T2', 'sized']) {
		const made = await server.manage('POST', '/management/tenants', { name });
		assert.equal(made.status, 202);
		secrets[name] = await server.newSecret(name);
		tokens[name] = await server.token(name, secrets[name]);
	}
});

after(async () => {
	const story = server.child.lines;
	await server.close();
	for (const secret of [...Object.values(secrets), ...Object.values(tokens)]) {
		assert.ok(!story.some((line) => line.includes(secret)), 'a secret is in the log');
	}
});

async function withHub(fn, tenant = 'T1') {
	const hub = await Hub.open(server, { token: tokens[tenant] });
	try {
		await server.connections(1);
		return await fn(hub);
	} finally {
		hub.close();
		await server.connections(0);
	}
}

const base64 = (text) => Buffer.from(text).toString('base64');
const bearer = (tenant) => ({ Authorization: `Bearer ${tokens[tenant]}` });

async function taken(hub) {
	return (await hub.next()).arguments[0];
}

/* Answers a request as the test says; the completion that came back. */
async function deliver(hub, { requestId, requestOriginId }, response = {}) {
	hub.record({
		type: 1, invocationId: 'd', target: 'Deliver', arguments: [{
			requestId, requestOriginId, httpStatusCode: 200, httpHeaders: {}, bodySize: 0, bodyContent: null, ...response,
		}],
	});
	return await hub.next();
}

async function idle() {
	await until(async () => await server.metric('posthouse_relay_requests_in_flight') === 0, 'no request in flight');
	await server.noBodyFiles();
}

const NOT_A_RESPONSE = [
	{ httpHeaders: { 'A\r\nB: c': ['d'] } },
	{ httpHeaders: { A: ['b\r\nB: c'] } },
	{ httpHeaders: { A: ['b\nB: c'] } },
	{ httpHeaders: { A: ['b\0'] } },
	{ httpHeaders: { A: ['\x7f'] } },
	{ httpHeaders: { '': ['b'] } },
	{ httpHeaders: { 'A B': ['c'] } },
	{ httpHeaders: { 'A:': ['c'] } },
	{ httpHeaders: { É: ['c'] } },
	{ httpHeaders: { A: [1] } },
	{ httpHeaders: [] },
	{ httpHeaders: Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`H${i}`, ['v']])) },
	{ httpHeaders: { A: ['x'.repeat(600_000)] } },
	{ httpStatusCode: 0 }, { httpStatusCode: 101 }, { httpStatusCode: 199 }, { httpStatusCode: 600 },
	{ httpStatusCode: -200 }, { httpStatusCode: 4_294_967_496 },
	{ bodySize: 3, bodyContent: '!!!!' }, { bodySize: 3, bodyContent: 'YWJ' },
	{ bodySize: 100 },
	{ bodySize: 1e15 },
];

check('a response that is none becomes 502, and the client\'s connection stays in step', () => withHub(async (hub) => {
	const raw = await RawConnection.open(server.relay);
	for (const response of NOT_A_RESPONSE) {
		raw.send('GET /relay/T1/web/a HTTP/1.1\r\nHost: x\r\n\r\n');
		await deliver(hub, await taken(hub), response);
		const { status, body } = await raw.response();
		assert.deepEqual([status, body.length], [502, 0], JSON.stringify(response).slice(0, 80));
	}
	raw.close();
}));

/* What the connector claims about the framing, and what the client may see of it. */
const FRAMING = [
	{ method: 'GET', response: { httpHeaders: { 'Content-Length': ['999'] }, bodySize: 3, bodyContent: base64('abc') }, length: '3', body: 'abc' },
	{ method: 'GET', response: { bodySize: 500, bodyContent: base64('abc') }, length: '3', body: 'abc' },
	{ method: 'GET', response: { bodySize: -1, bodyContent: base64('abc') }, length: '3', body: 'abc' },
	{ method: 'GET', response: { httpHeaders: { 'Transfer-Encoding': ['chunked'], 'content-length': ['1', '2'] } }, length: '0', body: '' },
	{ method: 'GET', response: { httpHeaders: { Connection: ['close, X'], X: ['1'], Upgrade: ['h2c'] } }, length: '0', body: '' },
	{ method: 'GET', response: { httpStatusCode: 204, bodySize: 3, bodyContent: base64('abc') }, length: undefined, body: '' },
	{ method: 'GET', response: { httpStatusCode: 205, bodySize: 3, bodyContent: base64('abc') }, length: '0', body: '' },
	{ method: 'GET', response: { httpStatusCode: 304, bodySize: 3, bodyContent: base64('abc') }, length: undefined, body: '' },
	{ method: 'HEAD', response: { bodySize: 3, bodyContent: base64('abc') }, length: '3', body: '' },
	{ method: 'HEAD', response: { httpHeaders: { 'Content-Length': ['77'] } }, length: '77', body: '' },
];

check('a connector cannot choose the framing of a response', () => withHub(async (hub) => {
	const raw = await RawConnection.open(server.relay);
	for (const { method, response, length, body } of FRAMING) {
		raw.send(`${method} /relay/T1/web/a HTTP/1.1\r\nHost: x\r\n\r\n`);
		await deliver(hub, await taken(hub), response);
		const reply = await raw.response({ method });
		assert.deepEqual(reply.all('content-length'), length === undefined ? [] : [length]);
		assert.deepEqual(reply.all('transfer-encoding'), []);
		assert.deepEqual([reply.header('x'), reply.header('upgrade'), reply.header('connection')], [undefined, undefined, undefined]);
		assert.equal(reply.body.toString(), body);
	}
	/* Nothing was left over between the answers. */
	raw.send('GET /health/check HTTP/1.1\r\nHost: x\r\n\r\n');
	assert.equal((await raw.response()).status, 200);
	raw.close();
}));

check('another tenant\'s connector can neither answer, take over, read nor write a request', () => withHub(async (hub) => {
	const pending = request(server.relay, '/relay/T1/web/a', { method: 'POST', body: Buffer.alloc(20_000, 'b') });
	const record = await taken(hub);
	const other = await Hub.open(server, { token: tokens.T2 });
	assert.equal((await deliver(other, record, { httpStatusCode: 299 })).error, undefined);
	other.record({
		type: 1, invocationId: 'a', target: 'Acknowledge',
		arguments: [{ originId: record.requestOriginId, requestId: record.requestId, removeRequestBodyContent: true }],
	});
	await other.next();
	for (const [method, kind] of [['GET', 'request'], ['POST', 'response']]) {
		const url = `${server.relay}/body/${kind}/${record.requestId}`;
		const reply = await fetch(url, { method, headers: bearer('T2'), body: method === 'POST' ? 'x' : undefined });
		assert.equal(reply.status, 404);
	}
	const own = await fetch(`${server.relay}/body/request/${record.requestId}`, { headers: bearer('T1') });
	assert.equal((await own.arrayBuffer()).byteLength, 20_000);
	await deliver(hub, record, { httpStatusCode: 201 });
	assert.equal((await pending).status, 201);
	other.close();
	await server.connections(1);
	await idle();
}));

check('the size that a connector says is not believed', () => withHub(async (hub) => {
	const counted = () => server.metric('posthouse_relay_response_bytes_total');
	const before = await counted();
	for (let i = 0; i < 3; i++) {
		const reply = request(server.relay, '/relay/sized/web/a');
		const asked = await taken(hub);
		const stored = await fetch(`${server.relay}/body/response/${asked.requestId}`, { method: 'POST', headers: bearer('sized'), body: 'tiny' });
		assert.equal(await stored.text(), '4');
		await deliver(hub, asked, { bodySize: 9_000_000_000_000_000_000 });
		assert.equal((await reply).text, 'tiny');
	}
	assert.equal(await counted(), before + 12);
	await until(async () => (await server.stats('/statistics/tenants/sized/summary')).responseBytes === 12, 'the statistics know of 12 bytes');
}, 'sized'));

check('whether a response is wanted says only the process that asked for it', () => withHub(async (hub) => {
	const pending = request(server.relay, '/relay/T1/web/a');
	const { requestId, requestOriginId } = await taken(hub);
	const wanted = async (id, query) => (await fetch(`${server.relay}/body/response/${id}${query}`, { headers: bearer('T1') })).status;
	const nobody = randomUUID().replaceAll('-', '').replace(/..$/, '00');
	assert.equal(await wanted(requestId, `?origin=${requestOriginId}`), 204);
	assert.equal(await wanted(nobody, `?origin=${requestOriginId}`), 410);
	for (const query of ['', '?origin=', `?origin=${randomUUID()}`]) {
		assert.equal(await wanted(nobody, query), 404, query);
		assert.equal(await wanted(requestId, query), 404, query);
	}
	await deliver(hub, { requestId, requestOriginId }, { httpStatusCode: 201 });
	assert.equal((await pending).status, 201);
}));

check('a second answer, an answer too late, and an upload that loses the race leave nothing', () => withHub(async (hub) => {
	const upload = (record, size) => fetch(`${server.relay}/body/response/${record.requestId}`, {
		method: 'POST', headers: bearer('T1'), body: Buffer.alloc(size),
	});
	const pending = request(server.relay, '/relay/T1/web/a');
	const record = await taken(hub);
	const uploads = [upload(record, 3_000_000), upload(record, 40_000), upload(record, 40_000)];
	await uploads[2];
	await deliver(hub, record, { bodySize: 40_000 });
	await deliver(hub, record, { httpStatusCode: 500 });
	const reply = await pending;
	/* 500: the large one came last, so that the first answer's body is not what is stored. */
	assert.ok([200, 500].includes(reply.status), `${reply.status}`);
	await Promise.all(uploads);
	assert.equal((await upload(record, 10)).status, 404);
	await idle();
}));

check('an upload that nobody waits for any more is cut', () => withHub(async (hub) => {
	const begin = async (record) => {
		const raw = await RawConnection.open(server.relay);
		raw.send(`POST /body/response/${record.requestId} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n`);
		raw.send(`Authorization: ${bearer('T1').Authorization}\r\n\r\n4e20\r\n${'a'.repeat(20_000)}\r\n`);
		await until(async () => (await server.bodyFiles()).length > 0, 'the upload has begun');
		return raw;
	};
	const cut = async (raw) => {
		assert.equal((await raw.response()).status, 404);
		raw.close();
		await idle();
		assert.equal(await server.metric('posthouse_relay_body_bytes'), 0);
	};
	const gone = abortable(server.relay, '/relay/T1/web/gone');
	let raw = await begin(await taken(hub));
	gone.abort();
	await cut(raw);
	const expires = request(server.relay, '/relay/T1/web/expires');
	raw = await begin(await taken(hub));
	assert.equal((await expires).status, 408);
	await cut(raw);
	const answered = request(server.relay, '/relay/T1/web/answered');
	const record = await taken(hub);
	raw = await begin(record);
	await deliver(hub, record, { httpStatusCode: 201 });
	assert.equal((await answered).status, 201);
	await cut(raw);
}));

const BAD_RECORDS = [
	'{', '[]', 'null', '{}', '{"type":"1"}', '{"type":1e999}', '{"type":6,"type":7}', '', '\ufeff{"type":6}', '{"type":6}\0',
	'['.repeat(100_000), '{"a":'.repeat(50_000),
];

check('a record that is none ends that connection, with the reason', async () => {
	for (const record of BAD_RECORDS) {
		const hub = await Hub.open(server, { token: tokens.T1 });
		hub.send(record + RS);
		assert.deepEqual(await hub.next(), { type: 7, error: 'Connection closed with an error.' }, record.slice(0, 40));
		await hub.gone();
	}
	const large = await Hub.open(server, { token: tokens.T1 });
	large.send('x'.repeat(5 << 20));
	assert.equal(await large.gone(), 1009);
	await server.connections(0);
});

function forged() {
	const [head, payload, signature] = tokens.T1.split('.');
	const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
	const header = JSON.parse(Buffer.from(head, 'base64url'));
	const claims = JSON.parse(Buffer.from(payload, 'base64url'));
	const hs = `${encode({ ...header, alg: 'HS256' })}.${payload}`;
	return {
		'alg none': `${encode({ ...header, alg: 'none' })}.${payload}.`,
		'alg NoNe': `${encode({ ...header, alg: 'NoNe' })}.${payload}.${signature}`,
		'no signature': `${head}.${payload}.`,
		'two parts': `${head}.${payload}`,
		'four parts': `${tokens.T1}.x`,
		'HS256': `${hs}.${createHmac('sha256', '').update(hs).digest('base64url')}`,
		'other kid': `${encode({ ...header, kid: '../../dev/null' })}.${payload}.${signature}`,
		'kid no string': `${encode({ ...header, kid: {} })}.${payload}.${signature}`,
		'unknown crit': `${encode({ ...header, crit: ['x'], x: 1 })}.${payload}.${signature}`,
		'other client': `${head}.${encode({ ...claims, client_id: 'T2' })}.${signature}`,
		'padded': `${tokens.T1}=`,
		'twice': `${tokens.T1},${tokens.T1}`,
	};
}

check('forged tokens are refused', async () => {
	for (const [name, token] of Object.entries(forged())) {
		const reply = await negotiate(server, { token });
		assert.equal(reply.status, 401, name);
		assert.match(reply.headers.get('www-authenticate'), /^Bearer error="invalid_token"/, name);
	}
	assert.equal((await negotiate(server, { token: tokens.T1 })).status, 200);
});

check('a connection\'s token serves its own tenant only, and its public id nobody', async () => {
	const { connectionId, connectionToken } = await (await negotiate(server, { token: tokens.T1 })).json();
	const ask = async (method, id, tenant) => (await request(server.relay, `/connector?id=${id}`, {
		method, headers: bearer(tenant), body: method === 'POST' ? '{}' : undefined,
	})).status;
	for (const method of ['GET', 'POST', 'DELETE']) {
		assert.equal(await ask(method, connectionToken, 'T2'), 404, method);
		assert.equal(await ask(method, connectionId, 'T1'), 404, method);
	}
	assert.equal(await ask('GET', connectionToken, 'T1'), 200);
	assert.equal(await ask('DELETE', connectionToken, 'T1'), 202);
	assert.equal(await ask('DELETE', connectionToken, 'T1'), 404);
});

const BAD_PATHS = [
	'..', '../..', '%2e%2e/x', '%2E%2E%2Fx', '.%2e/x', 'a/../b', '/h', '//h', '\\h', 'a\\..\\b', '%5c..%5cx', 'http://h/',
	'%00', 'a%0d%0ab', '%', '%zz', '..;/x', '..%00/', '%c0%ae%c0%ae/', '%252e%252e/', '\xe9', 'a b', '#f',
];

check('paths that could leave the target never reach a connector', () => withHub(async (hub) => {
	const raw = async (path) => {
		const connection = await RawConnection.open(server.relay);
		connection.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
		const { status } = await connection.response();
		connection.close();
		return status;
	};
	for (const path of BAD_PATHS) {
		assert.equal(await raw(`/relay/T1/web/${path}`), 400, JSON.stringify(path));
	}
	for (const path of ['//relay/T1/web', '/relay//T1/web', '/relay/../relay/T1/web', '/%72elay/T1/web', '/relay/T%2f1/web']) {
		assert.equal(await raw(path), 404, path);
	}
	const pending = request(server.relay, '/relay/T1/web/last');
	const record = await taken(hub);
	assert.equal(record.url, 'last');
	await deliver(hub, record);
	assert.equal((await pending).status, 200);
}));

check('floods within one request are refused early', async () => {
	const head = 'POST /relay/T1/web/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';
	const get = 'GET /relay/T1/web/a HTTP/1.1\r\nHost: x\r\n';
	const cases = [
		[400, `${head}1;${'a=b;'.repeat(100_000)}\r\nx\r\n0\r\n\r\n`],
		[400, `${head}${'0'.repeat(100_000)}1\r\nx\r\n0\r\n\r\n`],
		[400, `${head}0\r\n${'T: v\r\n'.repeat(50_000)}\r\n`],
		[400, '\r\n'.repeat(100_000)],
		[414, `GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: x\r\n\r\n`],
		[431, `${get}H: ${'v'.repeat(1_000_000)}`],
		[431, `${get}${'H: v\r\n'.repeat(200)}\r\n`],
		[431, `${get}${`H: ${'v'.repeat(1300)}\r\n`.repeat(60)}\r\n`],
	];
	for (const [status, bytes] of cases) {
		const raw = await RawConnection.open(server.relay);
		raw.send(bytes);
		assert.equal((await raw.response()).status, status, bytes.slice(60, 120));
		await raw.closed();
	}
});

/* Clients that vanish while their request waits, is sent, is being answered. */
check('a thousand clients that reset leave no request, file or descriptor', () => withHub(async (hub) => {
	await until(async () => await server.metric('posthouse_http_connections', /relay/) <= 2, 'earlier clients are gone');
	const fds = (await server.footprint()).fds;
	const head = (tenant) => `POST /relay/${tenant}/web/a HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n`;
	const clients = await Promise.all(Array.from({ length: 1000 }, () => RawConnection.open(server.relay)));
	clients.forEach((client, i) => {
		client.send(head(i % 2 ? 'T1' : 'T2')).send(Buffer.alloc(i % 3 ? 20_000 : 10_000));
	});
	const record = await taken(hub);
	const stored = await fetch(`${server.relay}/body/response/${record.requestId}`, {
		method: 'POST', headers: bearer('T1'), body: Buffer.alloc(8 << 20),
	});
	assert.equal(stored.status, 200);
	clients.forEach((client) => client.socket.pause());
	hub.record({
		type: 1, target: 'Deliver',
		arguments: [{ requestId: record.requestId, requestOriginId: record.requestOriginId, httpStatusCode: 200, bodySize: 8 << 20 }],
	});
	clients.forEach((client) => client.socket.resetAndDestroy());
	await idle();
	await until(async () => (await server.footprint()).fds <= fds + 20, 'the descriptors are closed');
}));

check('wrong secrets are slowed down for that client only, and tell nothing', async () => {
	let asked = 0; /* no trusted proxy: what is told of the client counts for nothing */
	const ask = (tenant, secret) => fetch(`${server.identity}/connect/token`, {
		method: 'POST',
		headers: { Authorization: `Basic ${base64(`${tenant}:${secret}`)}`, 'X-Forwarded-For': `10.0.0.${asked++ % 250}` },
		body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'connector' }),
	});
	const unknown = await ask('nobody', 'x');
	const wrong = await ask('T2', 'x');
	assert.deepEqual([unknown.status, await unknown.text()], [wrong.status, await wrong.text()]);
	await until(async () => (await ask('T2', 'wrong')).status === 429, 'it is slowed down');
	assert.equal((await ask('T1', secrets.T1)).status, 200);
});

check('behind a trusted proxy, too: of a connector it is its own address that counts', async () => {
	const own = await Server.start({ relay: { trusted_proxies: ['127.0.0.1', '10.9.0.0/16'] }, identity: { failures_max: 3 } });
	let hub;
	try {
		const secret = await own.addTenant('T1');
		const ask = async (role, password, from) => (await fetch(`${own[role]}/connect/token`, {
			method: 'POST',
			headers: { Authorization: `Basic ${base64(`T1:${password}`)}`, 'X-Forwarded-For': from },
			body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'connector' }),
		})).status;
		for (const [role, bad, good] of [['relay', '66.6.6.6', '10.0.0.1'], ['identity', '66.6.6.7', '10.0.0.2']]) {
			/* What stands before the last address is the client's own word, and proxies are no clients. */
			const chains = [bad, `1.2.3.4, ${bad}`, `${good},${bad} , 10.9.1.1`, bad];
			const answers = [];
			for (const chain of chains) {
				answers.push(await ask(role, 'wrong', chain));
			}
			assert.deepEqual(answers, [401, 401, 401, 429], role);
			assert.equal(await ask(role, secret, bad), 429, role);
			assert.equal(await ask(role, secret, good), 200, role);
			assert.equal(await ask(role, secret, `${bad}, ${good}`), 200, role);
		}
		hub = await Hub.open(own, { token: await own.token('T1', secret), headers: { 'X-Forwarded-For': '1.2.3.4, 10.0.0.1' } });
		const address = await until(async () =>
			(await own.stats('/statistics/connections?tenant=T1')).results[0]?.remoteIpAddress, 'the connection is written');
		assert.equal(address, '10.0.0.1');
	} finally {
		hub?.close();
		await own.close();
	}
});

check('a client cannot send what only relay server and connector say', () => withHub(async (hub) => {
	const pending = request(server.relay, '/relay/T1/web/a', {
		headers: {
			'relayserver-AcknowledgeUrl': 'http://evil/', 'RelayServer-RequestId': 'x', 'X-RelayServer': 'y',
			RelayServer_AcknowledgeUrl: 'http://evil/', 'relayserver_Connector-Version': 'z',
		},
	});
	const record = await taken(hub);
	await deliver(hub, record);
	assert.equal((await pending).status, 200);
	const names = Object.keys(record.httpHeaders).map((name) => name.toLowerCase());
	assert.deepEqual(names.filter((name) => name.includes('relayserver')), ['x-relayserver']);
}));

check('a first segment with a colon is no scheme for the connector', () => withHub(async (hub) => {
	const cases = { 'ftp:x': './ftp:x', 'https:x?y=a:b': './https:x?y=a:b', 'a/b:c': 'a/b:c', '?a:b': '?a:b', ':x': './:x' };
	for (const [sent, seen] of Object.entries(cases)) {
		const pending = request(server.relay, `/relay/T1/web/${sent}`);
		const record = await taken(hub);
		assert.equal(record.url, seen);
		await deliver(hub, record);
		await pending;
	}
}));

/* What needs a server of its own. */
const others = [];
after(async () => {
	for (const other of others) {
		await other.close();
	}
});

async function start(relay = {}) {
	const own = await Server.start({ relay: { request_expiration: '3s', ...relay } });
	others.push(own);
	assert.equal((await own.manage('POST', '/management/tenants', { name: 'T1' })).status, 202);
	return { server: own, token: await own.token('T1', await own.newSecret('T1')) };
}

check('a client cannot take the Host header away by naming it in Connection', async () => {
		const { server, token } = await start();
		const hub = await Hub.open(server, { token });
		const raw = await RawConnection.open(server.relay);
		raw.send('GET /relay/T1/web/a HTTP/1.1\r\nHost: x\r\nConnection: Host\r\n\r\n');
		const record = (await hub.next()).arguments[0];
		raw.close();
		hub.close();
		assert.deepEqual(record.httpHeaders.Host, ['x']);
	});

check('two Authorization lines are refused where a token is demanded', async () => {
		const { server, token } = await start({ require_active_connection: true });
		await server.manage('PUT', '/management/tenants/T1', { name: 'T1', requireAuthentication: true });
		const raw = await RawConnection.open(server.relay);
		raw.send(`GET /relay/T1/web/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nAuthorization: Bearer x\r\n\r\n`);
		const { status } = await raw.response();
		raw.close();
		assert.ok([400, 401].includes(status), `${status}`);
	});

check('waiting /queue requests without a connector do not hold up the shutdown', async () => {
		const { server } = await start();
		assert.equal((await request(server.relay, '/queue/T1/web/a')).status, 202);
		const { ms } = await timed(server.stop());
		assert.ok(ms < 10_000, `${Math.round(ms)} ms`);
	});

check('a connector that asks without reading is dropped before it takes much memory', async () => {
	const { server, token } = await start();
	const { connectionToken } = await (await negotiate(server, { token })).json();
	const post = async (body) => (await request(server.relay, `/connector?id=${connectionToken}`, {
		method: 'POST', headers: { Authorization: `Bearer ${token}` }, body,
	})).status;
	const events = await RawConnection.open(server.relay);
	events.send(`GET /connector?id=${connectionToken} HTTP/1.1\r\nHost: x\r\n`);
	events.send(`Authorization: Bearer ${token}\r\nAccept: text/event-stream\r\n\r\n`);
	await events.until(() => events.text.includes(':\r\n'), 'the event stream opens');
	events.socket.pause();
	assert.equal(await post(`{"protocol":"json","version":1}${RS}`), 200);
	const record = `{"type":1,"target":"x","arguments":[],"invocationId":"${'i'.repeat(3 << 20)}"}${RS}`;
	let status = 200;
	for (let i = 0; i < 20 && status === 200; i++) {
		status = await post(record);
	}
	events.close();
	assert.equal(status, 404, '60 MiB of unread answers are kept');
	await server.connections(0);
});

check('a connector that sends a body where none belongs is refused, and nobody else notices', async () => {
	const { server, token } = await start();
	for (const framing of ['Transfer-Encoding: chunked', 'Content-Length: 100']) {
		for (const accept of ['text/event-stream', '*/*']) {
			const { connectionToken } = await (await negotiate(server, { token })).json();
			const raw = await RawConnection.open(server.relay);
			raw.send(`GET /connector?id=${connectionToken} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n`);
			raw.send(`${framing}\r\nAccept: ${accept}\r\n\r\n`);
			assert.equal((await raw.response()).status, 400, `${framing}, ${accept}`);
			raw.close();
		}
	}
	assert.equal((await negotiate(server, { token })).status, 200);
});

check('a body that crosses the limit with its last piece, for somebody who is refused at once', async () => {
	const own = await Server.start({ relay: { tenant_info_cache_duration: '60s' } });
	others.push(own);
	const path = '/relay/nobody/web/';
	for (const size of [16384, 16385, 65536]) {
		for (let i = 0; i < 3; i++) {
			/* What is known of the tenant is at hand, so the answer comes within the last piece. */
			assert.equal((await request(own.relay, path)).status, 404);
			const raw = await RawConnection.open(own.relay);
			raw.send(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${size}\r\n\r\n${'a'.repeat(size)}`);
			assert.equal((await raw.response()).status, 404, String(size));
			raw.close();
		}
	}
});

check('a long poll whose client vanished takes no requests, and ends', async () => {
	const { server: own, token } = await start();
	const { connectionToken } = await (await negotiate(own, { token })).json();
	const url = `/connector?id=${connectionToken}`;
	const headers = { Authorization: `Bearer ${token}` };
	await request(own.relay, url, { headers });
	await request(own.relay, url, { method: 'POST', headers, body: `{"protocol":"json","version":1}${RS}` });
	await request(own.relay, url, { headers });
	const poll = await RawConnection.open(own.relay);
	poll.send(`GET ${url} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
	await own.connections(1);
	const first = request(own.relay, '/relay/T1/web/0');
	await poll.response();
	poll.send(`GET ${url} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`);
	poll.close();
	const hub = await Hub.open(own, { token });
	for (let i = 0; i < 10; i++) {
		const pending = request(own.relay, `/relay/T1/web/${i}`);
		await deliver(hub, await taken(hub));
		assert.equal((await pending).status, 200);
	}
	await own.connections(1);
	hub.close();
	assert.equal((await first).status, 408);
});

check('a large body for nobody is refused before it is stored', async () => {
	const { server: own, token } = await start();
	await own.manage('POST', '/management/tenants', { name: 'T2', requireAuthentication: true });
	const head = (tenant, more = '') =>
		`POST /relay/${tenant}/web/a HTTP/1.1\r\nHost: x\r\n${more}Content-Length: 20000000\r\n\r\n`;
	const cases = [[head('nobody'), 404], [head('T2'), 401], [head('T2', `Authorization: Bearer ${token}\r\n`.repeat(2)), 400]];
	for (const [text, status] of cases) {
		const raw = await RawConnection.open(own.relay);
		raw.send(text).send(Buffer.alloc(100_000));
		assert.equal((await raw.response()).status, status);
		raw.close();
	}
	await own.noBodyFiles();
	const hub = await Hub.open(own, { token });
	const pending = request(own.relay, '/relay/T1/web/a', { method: 'POST', body: Buffer.alloc(2_000_000) });
	const record = await taken(hub);
	assert.equal(record.bodySize, 2_000_000);
	await deliver(hub, record);
	assert.equal((await pending).status, 200);
	hub.close();
	assert.equal(await own.metric('posthouse_relay_body_bytes'), 0);
});
