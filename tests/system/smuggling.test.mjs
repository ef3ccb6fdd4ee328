/*
 * Every class of request and response smuggling that HTTP/1 can express.
 *
 * The oracle for a request: what is refused gets exactly one answer and the connection
 * is closed; nothing after it is read as a request; and no target ever sees the marker.
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from './lib/check.mjs';
import { request } from './lib/client.mjs';
import { Connector } from './lib/connector.mjs';
import { BAD_ANSWERS, chunked, head, post, REFUSED } from './lib/hostile.mjs';
import { RawConnection } from './lib/raw.mjs';
import { KEYS, Server } from './lib/server.mjs';
import { SignalrConnector } from './lib/signalr.mjs';
import { RawTarget, Target } from './lib/target.mjs';

const SMUGGLED = 'GET /relay/T1/web/smuggled HTTP/1.1\r\nHost: x\r\n\r\n';

let server;
let target;
let connector;
let hub;

before(async () => {
	server = await Server.start();
	target = await Target.start();
	connector = await Connector.start(server, {
		tenant: 'T1', secret: await server.addTenant('T1'), targets: { web: target.url },
	});
	hub = await SignalrConnector.start(server, { tenant: 'hostile', secret: await server.addTenant('hostile') });
});

after(async () => {
	await hub?.stop();
	await connector?.close();
	await target?.close();
	await server?.close();
});

/* The three surfaces have one parser; each must show it. */
function surfaces() {
	return [
		{ name: 'relay', url: server.relay, path: '/relay/T1/web/x' },
		{ name: 'management', url: server.management, path: '/management/tenants' },
		{ name: 'status', url: server.status, path: '/health/live' },
	];
}

async function refusal(url, bytes, allowed) {
	const raw = await RawConnection.open(url);
	try {
		raw.send(bytes + SMUGGLED);
		const reply = await raw.response();
		assert.ok(reply, 'there is an answer before the close');
		assert.ok(allowed.includes(reply.status), `status ${reply.status}, not ${allowed}`);
		assert.equal(await raw.rest(), '', 'one answer only');
	} finally {
		raw.close();
	}
}

for (const name of ['relay', 'management', 'status']) {
	check(`requests that are refused, on the ${name} listener`, { timeout: 120_000 }, async (t) => {
		const { url, path } = surfaces().find((s) => s.name === name);
		target.forget();
		for (const [what, make, allowed = [400]] of REFUSED) {
			const bytes = make(path);
			/* These may refuse by the head, before they look at a body; closing they owe all the same. */
			const early = name !== 'relay' && bytes.startsWith('POST') ? [401, 405] : [];
			await t.test(what, () => refusal(url, bytes, [...allowed, ...early]));
		}
		assert.deepEqual(target.requests.filter((r) => r.url.includes('smuggled')), []);
		if (name === 'relay') {
			const body = await request(url, '/relay/T1/web/still-alive');
			assert.equal(body.status, 200);
		}
	});
}

/* Legal, if unusual: taken, with the meaning that every recipient gives it. */
const TAKEN = [
	['a chunk size with leading zeros', chunked('0005\r\nHello\r\n000\r\n\r\n'), 'Hello'],
	['hexadecimal in both cases', chunked('A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n'), '01234567890123456789'],
	['Transfer-Encoding in capitals', post('TRANSFER-ENCODING: ChUnKeD', '1\r\nx\r\n0\r\n\r\n'), 'x'],
	['blanks around the value', post('Content-Length: \t 5 \t', 'Hello'), 'Hello'],
	['an empty line before the request line', (path) => `\r\n${post('Content-Length: 1', 'x')(path)}`, 'x'],
	['a GET with a body', (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nHello`, 'Hello'],
	['a body that looks like a request', post(`Content-Length: ${SMUGGLED.length}`, SMUGGLED), SMUGGLED],
	['absolute form that agrees with Host', (path) => `GET http://x${path} HTTP/1.1\r\nHost: x\r\n\r\n`, ''],
];

check('requests that are taken end where their framing says', async (t) => {
	for (const [what, make, body] of TAKEN) {
		await t.test(what, async () => {
			const raw = await RawConnection.open(server.relay);
			try {
				raw.send(make('/relay/T1/web/x'));
				const reply = await raw.response();
				assert.equal(reply.status, 200);
				assert.equal(JSON.parse(reply.body).body, body);
				raw.send('GET /relay/T1/$ping HTTP/1.1\r\nHost: x\r\n\r\n');
				assert.equal((await raw.response()).body.toString(), 'PONG');
			} finally {
				raw.close();
			}
		});
	}
	assert.deepEqual(target.requests.filter((r) => r.url.includes('smuggled')), []);
});

check('an answer before the body was read does not let the body become a request', async () => {
	const cases = [
		[server.relay, `POST /relay/nobody/x HTTP/1.1\r\nHost: x\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n`],
		[server.relay, `GET /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n`],
		[server.relay, `POST /connector/negotiate HTTP/1.1\r\nHost: x\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n`],
		[server.management, `POST /management/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n`],
		[server.status, `POST /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n`],
	];
	target.forget();
	for (const [url, head] of cases) {
		const raw = await RawConnection.open(url);
		raw.send(head);
		raw.send(SMUGGLED);
		raw.send('GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
		const first = await raw.response();
		assert.ok(first.status >= 400, `${first.status}`);
		const rest = await raw.rest();
		assert.ok(!rest.includes(' 200 '), `a second answer: ${rest}`);
		raw.close();
	}
	assert.deepEqual(target.requests, []);
});

check('methods that start with a known one, and paths that confuse, stay one request', async () => {
	target.forget();
	const raw = await RawConnection.open(server.relay);
	raw.send('GET //relay/T1/web/x HTTP/1.1\r\nHost: x\r\n\r\n');
	assert.ok([400, 404].includes((await raw.response()).status));
	raw.close();
	for (const path of ['/x/../relay/T1/web/x', '/relay/T1/../../management/tenants', '/%72elay%2fT1%2fweb', '/relay%00/T1/web']) {
		const reply = await request(server.relay, path);
		assert.ok([400, 404].includes(reply.status), `${path}: ${reply.status}`);
	}
	assert.deepEqual(target.requests, []);
});

check('management needs its key on every request of a connection', async () => {
	const raw = await RawConnection.open(server.management);
	raw.send(`GET /management/tenants HTTP/1.1\r\nHost: x\r\nApi-Key: ${KEYS.read}\r\n\r\n` +
		'GET /management/tenants HTTP/1.1\r\nHost: x\r\n\r\n');
	assert.equal((await raw.response()).status, 200);
	assert.equal((await raw.response()).status, 401);
	raw.close();
});

check('answers of a target that are refused', { timeout: 120_000 }, async (t) => {
	for (const [what, bytes, then] of BAD_ANSWERS) {
		await t.test(what, async () => {
			const bad = await RawTarget.start((socket) => {
				socket.write(Buffer.from(bytes, 'latin1'));
				if (then === 'end') {
					socket.end();
				}
			});
			const theirs = await Connector.start(server, {
				tenant: 'bad', secret: await badSecret(), targets: { raw: { url: bad.url, timeout: '5s' } },
			});
			try {
				const reply = await request(server.relay, '/relay/bad/raw/x');
				assert.equal(reply.status, 502);
				assert.equal(reply.body.length, 0);
				assert.equal((await request(server.relay, '/relay/bad/$ping')).text, 'PONG');
			} finally {
				await theirs.stop();
				await bad.close();
				await server.connections(2);
			}
		});
	}
});

let known;
async function badSecret() {
	known ??= await server.addTenant('bad');
	return known;
}

/* Answers with something around them that must not reach the next client; `true`: 502 will do, too. */
const GOOD_ANSWERS = [
	['bytes after the body', `${head('Content-Length: 5')}Hello${head('Content-Length: 6\r\nX-Injected: 1')}poison`, 'Hello', true],
	['interim answers', `${head('Link: </a>', 'HTTP/1.1 103 Early Hints')}${head('', 'HTTP/1.1 100 Continue').replace('\r\n\r\n\r\n', '\r\n\r\n')}${head('Content-Length: 5')}Hello`, 'Hello'],
	['204 with a body', `${head('Content-Length: 5', 'HTTP/1.1 204 No Content')}Hello`, '', true],
	['304 with a body', `${head('Content-Length: 5', 'HTTP/1.1 304 Not Modified')}Hello`, '', true],
	['no reason', `${head('Content-Length: 5', 'HTTP/1.1 200 ')}Hello`, 'Hello'],
	['Content-Length twice, equal', `${head('Content-Length: 5\r\nContent-Length: 5')}Hello`, 'Hello', true],
	['until the close', `${head('X-A: 1')}Hello`, 'Hello'],
];

check('answers of a target that are taken never spill into the next', async (t) => {
	for (const [what, bytes, text, mayRefuse] of GOOD_ANSWERS) {
		await t.test(what, async () => {
			const raw = await RawTarget.start((socket) => {
				socket.write(Buffer.from(bytes, 'latin1'));
				if (what === 'until the close') {
					socket.end();
				}
			});
			const theirs = await Connector.start(server, {
				tenant: 'bad', secret: await badSecret(), targets: { raw: raw.url },
			});
			try {
				for (let i = 0; i < 3; i++) {
					const reply = await request(server.relay, '/relay/bad/raw/x');
					assert.equal(reply.headers['x-injected'], undefined);
					if (mayRefuse && reply.status === 502) {
						assert.equal(reply.text, '');
						continue;
					}
					assert.equal(reply.status, Number(bytes.match(/HTTP\/1\.1 ([2-5]\d\d)/)[1]));
					assert.equal(reply.text, text);
				}
			} finally {
				await theirs.stop();
				await raw.close();
				await server.connections(2);
			}
		});
	}
});

/* What a connector may say in Deliver without the client's connection suffering. */
const HOSTILE = [
	['CR LF in a value', { headers: { 'X-A': ['a\r\nX-Injected: 1'] } }],
	['LF in a value', { headers: { 'X-A': ['a\nX-Injected: 1'] } }],
	['CR in a value', { headers: { 'X-A': ['a\rX-Injected: 1'] } }],
	['NUL in a value', { headers: { 'X-A': ['a\0b'] } }],
	['a whole answer in a value', { headers: { 'X-A': ['a\r\n\r\nHTTP/1.1 200 OK\r\nX-Injected: 1\r\nContent-Length: 0\r\n\r\n'] } }],
	['CR LF in a name', { headers: { 'X-A: 1\r\nX-Injected': ['1'] } }],
	['a colon in a name', { headers: { 'X-Injected: 1, X-B': ['1'] } }],
	['a blank in a name', { headers: { 'X-A ': ['1'], 'X B': ['1'] } }],
	['an empty name', { headers: { '': ['1'] } }],
	['NUL in a name', { headers: { 'X\0': ['1'] } }],
	['a name beyond ASCII', { headers: { 'X-Ä': ['1'], 'Content\u2010Length': ['5'] } }],
	['a value beyond Latin-1 whose low bytes are CR LF', { headers: { 'X-A': ['a\u010d\u010aX-Injected: 1'] } }],
	['a short Content-Length', { headers: { 'Content-Length': ['1'] }, body: 'Hello' }],
	['a long Content-Length', { headers: { 'content-length': ['500'] }, body: 'Hello' }],
	['two Content-Lengths', { headers: { 'Content-Length': ['1', '500'] }, body: 'Hello' }],
	['Content-Length in two spellings', { headers: { 'Content-Length': ['1'], 'CONTENT-LENGTH': ['2'] }, body: 'Hello' }],
	['a negative Content-Length', { headers: { 'Content-Length': ['-1'] } }],
	['Transfer-Encoding', { headers: { 'Transfer-Encoding': ['chunked'] }, body: '0\r\n\r\n' }],
	['Connection: close and Upgrade', { headers: { Connection: ['close, upgrade'], Upgrade: ['h2c'] }, body: 'Hello' }],
	...[0, 1, 99, 100, 101, 199, 600, 999, 1000, -1, 2 ** 31, 2 ** 53, 200.5, '200', null, true, {}].map((status) =>
		[`status ${JSON.stringify(status)}`, { changes: { httpStatusCode: status } }]),
	['body that is no base64', { changes: { bodyContent: '***', bodySize: 3 } }],
	['base64 cut short', { changes: { bodyContent: 'SGVsbG', bodySize: 5 } }],
	['bodySize larger than the body', { body: 'Hello', changes: { bodySize: 5000 } }],
	['bodySize smaller than the body', { body: 'Hello', changes: { bodySize: 1 } }],
	['bodySize negative', { body: 'Hello', changes: { bodySize: -1 } }],
	['bodySize without any body', { changes: { bodySize: 100, bodyContent: null } }],
	['bodySize beyond everything', { changes: { bodySize: 2 ** 62, bodyContent: null } }],
	['headers of the wrong type', { changes: { httpHeaders: ['X-A'] } }],
	['a header value of the wrong type', { changes: { httpHeaders: { 'X-A': 'text', 'X-B': [1, null] } } }],
	['10,000 headers', { headers: Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`X-${i}`, ['1']])) }],
	['a header of 1 MiB', { headers: { 'X-A': ['x'.repeat(900_000)] } }],
	['204 with a body', { status: 204, body: 'Hello' }],
	['304 with a body', { status: 304, body: 'Hello' }],
];

check('hostile Delivers: one well-formed answer each, and the connection goes on', { timeout: 120_000 }, async (t) => {
	const known_ = await server.newSecret('hostile');
	for (const [what, answer] of HOSTILE) {
		await t.test(what, async () => {
			const raw = await RawConnection.open(server.relay);
			const pending = raw.response();
			raw.send('GET /relay/hostile/x HTTP/1.1\r\nHost: x\r\n\r\n');
			const record = await hub.requests.take();
			/* What cannot be read at all fails the invocation; an honest answer then ends the request. */
			await hub.deliver(record, answer).catch(async () => {
				if (hub.connection.state !== 'Connected') {
					hub = await SignalrConnector.start(server, { tenant: 'hostile', secret: known_ });
				}
				await hub.deliver(record, { status: 502 }).catch(() => {});
			});
			const reply = await pending;
			assert.ok(reply, 'there is an answer');
			assert.ok(reply.status >= 200 && reply.status <= 599, `${reply.status}`);
			assert.equal(reply.header('x-injected'), undefined);
			assert.equal(reply.header('transfer-encoding'), undefined);
			assert.ok(reply.all('content-length').length <= 1);
			if (!raw.ended && reply.header('connection') !== 'close') {
				raw.send('GET /health HTTP/1.1\r\nHost: x\r\n\r\n');
				const next = await raw.response();
				assert.equal(next.status, 404, 'the next answer is the next request\'s');
				assert.equal(raw.text, '');
			}
			raw.close();
		});
	}
	assert.equal((await request(server.relay, '/relay/T1/$ping')).text, 'PONG');
});
