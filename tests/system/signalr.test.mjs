/* The SignalR transport: spec §4, §5, §6. */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import { after, before } from 'node:test';
import { check, event, until, within } from './lib/check.mjs';
import { request, timed } from './lib/client.mjs';
import { Connector } from './lib/connector.mjs';
import { HANDSHAKE, Hub, negotiate, RS } from './lib/hub.mjs';
import { Idp, Key, now } from './lib/idp.mjs';
import { RawConnection } from './lib/raw.mjs';
import { Server } from './lib/server.mjs';
import { SignalrConnector } from './lib/signalr.mjs';
import { pattern, Target } from './lib/target.mjs';

const CLOSED = (changes) => ({ type: 7, ...changes });

/* One server trusts its own issuer, the other one that makes every wrong token. */
let server;
let secret;
let idp;
let foreign;

before(async () => {
	server = await Server.start({ relay: { keep_alive_interval: '1s', handshake_timeout: '1s' } });
	secret = await server.addTenant('T1');
	idp = await Idp.start({ keys: [new Key('rsa'), new Key('ec', 'ES256')] });
	foreign = await Server.start({ relay: { authority: idp.authority } });
	await foreign.addTenant('T1');
});

after(async () => {
	await server?.close();
	await foreign?.close();
	await idp?.close();
});

function openHub(options = {}) {
	return server.token('T1', secret).then((token) => Hub.open(server, { token, ...options }));
}

check('check 17: who may negotiate', async () => {
	const status = async (token) => (await negotiate(foreign, { token })).status;
	assert.equal(await status(idp.token('T1')), 200);
	assert.equal(await status(idp.token('T1', {}, { key: idp.keys[1] })), 200, 'ES256');
	assert.equal(await status(idp.token('T1', { aud: ['x', 'relayserver'] })), 200);
	assert.equal(await status(idp.token('T1', { scope: 'openid connector' })), 200);
	assert.equal(await status(idp.token('T1', { scope: ['openid', 'connector'] })), 200);
	assert.equal(await status(idp.token('T1', { exp: now() - 240 })), 200, 'within the skew');

	const refused = {
		'wrong audience': idp.token('T1', { aud: 'other' }),
		'no audience': idp.token('T1', { aud: undefined }),
		'audience as a prefix': idp.token('T1', { aud: 'relayserver2' }),
		'wrong issuer': idp.token('T1', { iss: 'http://evil.example' }),
		'expired over five minutes ago': idp.token('T1', { exp: now() - 310 }),
		'no expiry': idp.token('T1', { exp: undefined }),
		'not yet valid': idp.token('T1', { nbf: now() + 400 }),
		'unsigned': idp.unsigned('T1'),
		'unsigned, spelled': idp.unsigned('T1', 'nOnE'),
		'HS256 with the public key': idp.confused('T1'),
		'another key under the same id': idp.token('T1', {}, { key: new Key('rsa') }),
		'an EC key claimed to be RSA': idp.token('T1', {}, { key: idp.keys[1], header: { alg: 'RS256' } }),
		'cut signature': idp.token('T1').slice(0, -8),
		'garbage': 'garbage',
	};
	for (const [what, token] of Object.entries(refused)) {
		const reply = await negotiate(foreign, { token });
		assert.equal(reply.status, 401, what);
		assert.match(reply.headers.get('www-authenticate'), /^Bearer.*error="invalid_token"/, what);
	}
	const without = await negotiate(foreign);
	assert.equal(without.status, 401);
	assert.equal(without.headers.get('www-authenticate'), 'Bearer');

	assert.equal(await status(idp.token('T1', { scope: 'openid' })), 403);
	assert.equal(await status(idp.token('T1', { scope: undefined })), 403);
	assert.equal(await status(idp.token('T1', { scope: 'connectors' })), 403);
	assert.equal(await status(idp.token(undefined)), 403);
});

check('check 17: a new key of the issuer is fetched, and not for every unknown id', async () => {
	const rotated = new Key('rotated');
	idp.keys.push(rotated);
	const token = idp.token('T1', {}, { key: rotated });
	await until(async () => (await negotiate(foreign, { token })).status === 200, 'the new key is known');
	const before = idp.keyFetches;
	const stranger = new Key('stranger');
	for (let i = 0; i < 20; i++) {
		const reply = await negotiate(foreign, { token: idp.token('T1', {}, { key: stranger }) });
		assert.equal(reply.status, 401);
	}
	assert.ok(idp.keyFetches - before <= 1, `${idp.keyFetches - before} fetches`);
});

check('check 18: negotiate, versions and ids', async () => {
	const token = await server.token('T1', secret);
	const reply = await negotiate(server, { token });
	assert.equal(reply.status, 200);
	assert.match(reply.headers.get('content-type'), /^application\/json/);
	assert.ok(reply.headers.get('content-length'));
	const v1 = await reply.json();
	assert.equal(v1.negotiateVersion, 1);
	assert.match(v1.connectionToken, /^[A-Za-z0-9_-]{22,}$/);
	assert.match(v1.connectionId, /^[A-Za-z0-9_-]{22,100}$/);
	assert.notEqual(v1.connectionId, v1.connectionToken);
	assert.deepEqual(v1.availableTransports, [
		{ transport: 'WebSockets', transferFormats: ['Text', 'Binary'] },
		{ transport: 'ServerSentEvents', transferFormats: ['Text'] },
		{ transport: 'LongPolling', transferFormats: ['Text', 'Binary'] },
	]);
	const bad = await negotiate(server, { token, query: '?negotiateVersion=abc' });
	assert.equal(bad.status, 200);
	assert.deepEqual(await bad.json(), { error: 'The client requested a non-integer protocol version.' });
	const v0 = await (await negotiate(server, { token, query: '' })).json();
	assert.equal(v0.negotiateVersion, 0);
	assert.equal(v0.connectionToken, undefined);
	assert.equal((await (await negotiate(server, { token, query: '?NEGOTIATEVERSION=7' })).json()).negotiateVersion, 1);
	assert.equal((await negotiate(server, { token, method: 'GET' })).status, 405);
});

for (const transport of ['WebSockets', 'SSE', 'LongPolling']) {
	check(`check 19: @microsoft/signalr over ${transport}`, async () => {
		const hub = await SignalrConnector.start(server, { tenant: 'T1', secret, transport });
		try {
			for (const size of [0, 5, 16384, 16385, 1 << 20]) {
				const pending = request(server.relay, '/relay/T1/x', { method: 'POST', body: pattern(size) });
				const record = await hub.requests.take();
				const body = await hub.body(record);
				assert.equal(body.length, size);
				assert.equal(await hub.deliver(record, { body }), null);
				assert.ok((await pending).body.equals(pattern(size)), `${size} bytes`);
			}
			const many = Array.from({ length: 30 }, (_, i) => request(server.relay, `/relay/T1/x/${i}`));
			for (let i = 0; i < many.length; i++) {
				const record = await hub.requests.take();
				await hub.deliver(record, { body: record.url });
			}
			assert.deepEqual((await Promise.all(many)).map((r) => r.text), many.map((_, i) => String(i)));
		} finally {
			await hub.stop();
		}
		await server.connections(0);
	});
}

check('check 20: server-sent events with the token in the query only; nowhere else', async () => {
	const token = await server.token('T1', secret);
	const { connectionToken } = await (await negotiate(server, { token })).json();
	const raw = await RawConnection.open(server.relay);
	try {
		raw.send(`GET /connector?id=${connectionToken}&access_token=${token} HTTP/1.1\r\nHost: x\r\n` +
			'Accept: text/event-stream\r\n\r\n');
		await raw.until(() => raw.text.includes('\r\n\r\n') && raw.text.includes(':\r\n'), 'the first event');
		assert.match(raw.text, /^HTTP\/1\.1 200 /);
		assert.match(raw.text, /content-type: text\/event-stream/i);
		assert.match(raw.text, /cache-control: no-cache,\s?no-store/i);
	} finally {
		raw.close();
	}
	const id = '6f1c0000000040008000000000000001';
	const body = await request(server.relay, `/body/request/${id}?access_token=${token}`);
	assert.equal(body.status, 401);
	assert.equal((await request(server.relay, `/connector?id=${connectionToken}`)).status, 401);
});

check('check 21: handshakes that are refused', async () => {
	const cases = [
		['{"protocol":"messagepack","version":1}', "The protocol 'messagepack' is not supported."],
		['{"protocol":"json","version":2}', "The server does not support version 2 of the 'json' protocol."],
	];
	for (const [text, error] of cases) {
		const hub = await openHub({ handshake: false });
		hub.send(text + RS);
		assert.deepEqual(await hub.records.take(), { error });
		await hub.gone();
	}
	const silent = await openHub({ handshake: false });
	const { value, ms } = await timed(silent.records.take());
	assert.deepEqual(value, { error: 'Handshake was canceled.' });
	assert.ok(ms > 500, `${ms} ms`);
	await silent.gone();
});

check('check 22: the server pings, and drops a client that fell silent', async () => {
	const hub = await openHub();
	const { value } = await timed(hub.records.take());
	assert.deepEqual(value, { type: 6 });
	hub.record({ type: 6 });
	const { ms } = await timed(hub.gone());
	assert.ok(ms > 1500 && ms < 8000, `dropped after ${ms} ms`);
	await server.connections(0);
});

check('check 23: unknown methods complete with an error, if somebody waits for it', async () => {
	const hub = await openHub();
	hub.record({ type: 1, target: 'Foo', arguments: [] });
	hub.record({ arguments: [], invocationId: '7', target: 'Foo', type: 1 });
	assert.deepEqual(await hub.next(), {
		type: 3, invocationId: '7',
		error: "Failed to invoke 'Foo' due to an error on the server. HubException: Method does not exist.",
	});
	hub.record({ type: 1, invocationId: '8', target: 'Deliver', arguments: ['nonsense'] });
	assert.deepEqual(await hub.next(), {
		type: 3, invocationId: '8', error: "Failed to invoke 'Deliver' due to an error on the server.",
	});
	hub.record({ type: 99, whatever: true });
	hub.record({ type: 1, invocationId: '9', target: 'acknowledge', headers: {}, arguments: [{
		originId: '6f1c0000-0000-4000-8000-000000000001', requestId: '6F1C0000000040008000000000000002',
		removeRequestBodyContent: true, surplus: 1,
	}] });
	assert.deepEqual(await hub.next(), { type: 3, invocationId: '9', result: null });
	hub.close();
});

check('check 23: a malformed record closes with an error', async () => {
	for (const text of ['{"type":', 'null', '[]', '{"type":"1"}', '{"type":1,"target":7,"arguments":[]}']) {
		const hub = await openHub();
		hub.send(text + RS);
		assert.deepEqual(await hub.next(), CLOSED({ error: 'Connection closed with an error.' }), text);
		await hub.gone();
	}
});

check('check 24: two messages in a frame, and one over two frames', async () => {
	const hub = await openHub({ handshake: false });
	const call = (id) => JSON.stringify({ type: 1, target: 'Foo', invocationId: id, arguments: [] });
	hub.send(HANDSHAKE + call('1') + RS + call('2') + RS);
	assert.deepEqual(await hub.records.take(), {});
	assert.equal((await hub.next()).invocationId, '1');
	assert.equal((await hub.next()).invocationId, '2');
	hub.send(call('3').slice(0, 10));
	hub.send(call('3').slice(10) + RS + call('4').slice(0, 1));
	assert.equal((await hub.next()).invocationId, '3');
	hub.send(call('4').slice(1));
	hub.send(RS);
	assert.equal((await hub.next()).invocationId, '4');
	/* And one message over two WebSocket fragments. */
	hub.socket.send(call('5').slice(0, 9), { fin: false });
	hub.socket.send(call('5').slice(9) + RS, { fin: true });
	assert.equal((await hub.next()).invocationId, '5');
	hub.close();
});

/* A server that creates tenants writes to its database before the connection is a member. */
check('check 24: a message behind the handshake is answered before the tenant is known', async () => {
	const creating = await Server.start({ relay: { enable_automatic_tenant_creation: true } });
	try {
		const token = await creating.token('T1', await creating.addTenant('T1'));
		const hub = await Hub.open(creating, { token, handshake: false });
		hub.send(`${HANDSHAKE}{"type":1,"target":"Foo","invocationId":"1","arguments":[]}${RS}`);
		assert.deepEqual(await hub.records.take(), {});
		assert.equal((await hub.next()).invocationId, '1');
		hub.close();
	} finally {
		await creating.close();
	}
});

check('check 24: a message of 1 MiB is taken, one without end is not', async () => {
	const hub = await openHub();
	hub.record({ type: 1, target: 'Foo', invocationId: 'big', arguments: ['x'.repeat(1 << 20)] });
	assert.equal((await hub.next()).invocationId, 'big');
	hub.socket.on('error', () => {});
	const flood = setInterval(() => hub.socket.readyState === 1 && hub.send('x'.repeat(1 << 20)), 1);
	try {
		await hub.gone();
	} finally {
		clearInterval(flood);
	}
});

check('check 25: a token for an unknown tenant never becomes a connection', async () => {
	const reply = await negotiate(foreign, { token: idp.token('ghost') });
	assert.equal(reply.status, 403);
	assert.equal(await foreign.metric('posthouse_relay_connections'), 0);
	assert.equal((await foreign.manage('GET', '/management/tenants/ghost')).status, 404);
});

check('check 25: with automatic creation the tenant appears with its name', async () => {
	const open = await Server.start({ relay: { authority: idp.authority, enable_automatic_tenant_creation: true } });
	try {
		const token = idp.token('Branch7', { client_name: 'Branch seven', client_description: 'in the north' });
		const hub = await SignalrConnector.start(open, {
			tenant: 'Branch7', token, answer: () => ({ body: 'new' }),
		});
		const tenant = await until(async () => {
			const found = await open.manage('GET', '/management/tenants/branch7');
			return found.status === 200 && await found.json();
		}, 'the tenant exists');
		assert.equal(tenant.name, 'Branch7');
		assert.equal(tenant.displayName, 'Branch seven');
		assert.equal(tenant.description, 'in the north');
		assert.equal((await request(open.relay, '/relay/branch7/x')).text, 'new');
		await hub.stop();
	} finally {
		await open.close();
	}
});

check('check 26: a server that stops says so, and our connector is back after the restart', async () => {
	const one = await Server.start();
	const target = await Target.start();
	const theirs = await one.addTenant('T1');
	const connector = await Connector.start(one, { tenant: 'T1', secret: theirs, targets: { web: target.url } });
	try {
		const hub = await Hub.open(one, { token: await one.token('T1', theirs) });
		const stopped = one.stop();
		assert.deepEqual(await hub.next(), CLOSED({ allowReconnect: true }));
		await hub.gone();
		await stopped;
		const from = connector.seenLines;
		await one.restart();
		await connector.connected({ from });
		assert.equal((await request(one.relay, '/relay/T1/web/bytes/3')).status, 200);
	} finally {
		await connector.close();
		await target.close();
		await one.close();
	}
});

check('transport errors have their own statuses', async () => {
	const token = await server.token('T1', secret);
	const ask = (method, path, headers = {}) => request(server.relay, path, {
		method, headers: { Authorization: `Bearer ${token}`, ...headers },
	});
	const none = await ask('GET', '/connector', { Accept: 'text/event-stream' });
	assert.equal(none.status, 400);
	assert.equal(none.text, 'Connection ID required');
	const unknown = await ask('POST', '/connector?id=AAAAAAAAAAAAAAAAAAAAAA');
	assert.equal(unknown.status, 404);
	assert.equal(unknown.text, 'No Connection with that ID');
	assert.equal((await ask('PUT', '/connector?id=x')).status, 405);

	const hub = await openHub();
	const id = new URL(hub.socket.url).searchParams.get('id');
	const posted = await ask('POST', `/connector?id=${id}`);
	assert.equal(posted.status, 405);
	assert.equal(posted.text, 'POST requests are not allowed for WebSocket connections.');
	const deleted = await ask('DELETE', `/connector?id=${id}`);
	assert.equal(deleted.status, 400);
	assert.equal(deleted.text, 'Cannot terminate this connection using the DELETE endpoint.');
	hub.close();
});

check('long polling by hand: first poll empty, a second ends the first, delete ends all', async () => {
	const token = await server.token('T1', secret);
	const { connectionToken } = await (await negotiate(server, { token })).json();
	const url = `/connector?id=${connectionToken}`;
	const ask = (method, body) => request(server.relay, url, {
		method, body, headers: { Authorization: `Bearer ${token}` },
	});
	const first = await ask('GET');
	assert.equal(first.status, 200);
	assert.equal(first.body.length, 0);
	assert.equal(first.headers['cache-control'].replace(/\s/g, ''), 'no-cache,no-store');
	assert.equal((await ask('POST', HANDSHAKE)).status, 200);
	const handshake = await ask('GET');
	assert.equal(handshake.text, `{}${RS}`);
	/* Two connections, so either may be the earlier: that one is ended. */
	const polls = [ask('GET'), ask('GET')];
	const [status, ended] = await Promise.race(polls.map(async (p, i) => [(await p).status, i]));
	assert.equal(status, 204);
	const end = await ask('DELETE');
	assert.equal(end.status, 202);
	assert.equal((await polls[1 - ended]).status, 204);
	assert.equal((await ask('GET')).status, 404);
	await server.connections(0);
});

check('a token of another tenant does not take over a connection', async () => {
	const otherSecret = await server.addTenant('T2');
	const token = await server.token('T1', secret);
	const { connectionToken } = await (await negotiate(server, { token })).json();
	const stolen = await request(server.relay, `/connector?id=${connectionToken}`, {
		headers: { Authorization: `Bearer ${await server.token('T2', otherSecret)}` },
	});
	assert.ok([403, 404].includes(stolen.status), `${stolen.status}`);
});

check('a deleted tenant loses its connections', async () => {
	const doomed = await server.addTenant('doomed');
	const hub = await Hub.open(server, { token: await server.token('doomed', doomed) });
	const gone = within(hub.closed, 'the hub closes');
	assert.equal((await server.manage('DELETE', '/management/tenants/doomed')).status, 204);
	await gone;
});

check('Configure arrives where the tenant has a configuration', async () => {
	const theirs = await server.addTenant('configured', {
		keepAliveInterval: '00:00:20', enableTracing: true, reconnectMinimumDelay: null, reconnectMaximumDelay: null,
	});
	const hub = await Hub.open(server, { token: await server.token('configured', theirs) });
	const record = await hub.next();
	assert.equal(record.target, 'Configure');
	assert.equal(record.invocationId, undefined);
	const [config] = record.arguments;
	assert.equal(config.keepAliveInterval, '00:00:20');
	assert.equal(config.enableTracing, true);
	assert.equal(config.reconnectMinimumDelay, null);
	hub.close();
	await event(hub.socket, 'close').catch(() => {});
});

/* { status, text } of one request over HTTP/2. */
async function askH2(session, head, body) {
	const stream = session.request(head).setEncoding('utf8');
	let text = '';
	stream.on('data', (d) => {
		text += d;
	});
	const ended = event(stream, 'end', 'the end of an answer');
	let status;
	stream.on('response', (h) => {
		status = h[':status'];
	});
	stream.end(body);
	await ended;
	return { status, text };
}

check('over HTTP/2: long polling works, Server-Sent Events are not offered and refused', async () => {
	const shared = await Server.start({ relay: { listen: [{ address: '127.0.0.1:0', http2: true }] } });
	const session = http2.connect(shared.relay);
	try {
		const token = await shared.token('T1', await shared.addTenant('T1'));
		const head = { authorization: `Bearer ${token}` };
		const { status, text } = await askH2(session, { ...head, ':method': 'POST', ':path': '/connector/negotiate?negotiateVersion=1' });
		assert.equal(status, 200, text);
		const { connectionToken, availableTransports } = JSON.parse(text);
		assert.deepEqual(availableTransports.map((t) => t.transport), ['WebSockets', 'LongPolling']);

		const path = `/connector?id=${connectionToken}`;
		const events = await askH2(session, { ...head, ':path': path, accept: 'text/event-stream' });
		assert.deepEqual([events.status, events.text], [406, 'Server-Sent Events need HTTP/1.1']);
		/* The same connection goes on with another transport. */
		assert.equal((await askH2(session, { ...head, ':path': path })).status, 200);
		assert.equal((await askH2(session, { ...head, ':method': 'POST', ':path': path }, HANDSHAKE)).status, 200);
		assert.equal((await askH2(session, { ...head, ':path': path })).text, `{}${RS}`);
	} finally {
		session.close();
		await shared.close();
	}
});
