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

const post = (headers, body) => (path) => `POST ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${body}`;
const get = (headers) => (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n`;
const chunked = (body) => post('Transfer-Encoding: chunked', body);
const long = (n) => 'x'.repeat(n);

/* [name, bytes of the request, statuses allowed (400 alone where none are given)] */
const REFUSED = [
	/* 1: framing told twice */
	['Content-Length and Transfer-Encoding', post('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n')],
	['Transfer-Encoding and Content-Length', post('Transfer-Encoding: chunked\r\nContent-Length: 5', '0\r\n\r\n')],
	['Content-Length twice, equal', post('Content-Length: 5\r\nContent-Length: 5', 'Hello')],
	['Content-Length twice, different', post('Content-Length: 5\r\nContent-Length: 6', 'Hello')],
	['Transfer-Encoding twice', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', '0\r\n\r\n')],
	['Transfer-Encoding: identity, chunked in two lines', post('Transfer-Encoding: identity\r\nTransfer-Encoding: chunked', '0\r\n\r\n'), [400, 501]],
	...[',chunked', 'chunked,', 'xchunked', 'chunkedx', 'chunked chunked', 'chunked, chunked', '"chunked"', 'chunked;a=b',
		'\xa0chunked', 'chunked\xa0', '\x85chunked', 'chunked\x85', '\xffchunked', 'chunked\x00', '\x0bchunked', 'chunked\x0c',
		'', 'identity', 'gzip, chunked', 'chunked, gzip', 'chunked, identity', 'cow'].map((coding) =>
		[`Transfer-Encoding: ${JSON.stringify(coding)}`, post(`Transfer-Encoding: ${coding}`, '0\r\n\r\n'), [400, 501]]),
	['Transfer-Encoding in HTTP/1.0', (path) => `POST ${path} HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],

	/* 2: Content-Length */
	...['', '+10', '-48', '010', '0x10', '1_0', '1Z', '5, 5', '5,6', '5;5', ' ', '1 0', '1.0', '1e1', '\xb25', '18446744073709551616',
		'9223372036854775808', '99999999999999999999999', '4294967296999999999999'].map((value) =>
		[`Content-Length: ${JSON.stringify(value)}`, post(`Content-Length: ${value}`, 'Hello'), [400, 413]]),

	/* 3: chunks */
	...['', '0x5', '+5', '-5', '5_', '5g', ' 5', '\t5', 'g', ';a', '5 5', '5\r', '10000000000000000', 'ffffffffffffffff',
		'fffffffffffffffff', '0000000000000000000000000000000005'].map((size) =>
		[`chunk size ${JSON.stringify(size)}`, chunked(`${size}\r\nHello\r\n0\r\n\r\n`), [400, 413]]),
	['CR in a chunk extension', chunked('5;a\rb\r\nHello\r\n0\r\n\r\n')],
	['LF in a chunk extension', chunked('5;a\nb\r\nHello\r\n0\r\n\r\n')],
	['NUL in a chunk extension', chunked('5;a\0b\r\nHello\r\n0\r\n\r\n')],
	['bare LF after a chunk size', chunked('5\nHello\r\n0\r\n\r\n')],
	['bare LF after a chunk', chunked('5\r\nHello\n0\r\n\r\n')],
	['bare CR after a chunk', chunked('5\r\nHello\r0\r\n\r\n')],
	['bytes after a chunk', chunked('5\r\nHelloXX\r\n0\r\n\r\n')],
	['XX after the end of a chunk', chunked('5\r\nHello\r\nXX0\r\n\r\n')],
	['an empty line before the last chunk', chunked('5\r\nHello\r\n\r\n0\r\n\r\n')],
	['a trailer without colon', chunked('0\r\nX-Trailer\r\n\r\n')],
	['a trailer with blank before the colon', chunked('0\r\nX-Trailer : 1\r\n\r\n')],
	['a trailer that frames: Content-Length', chunked('0\r\nContent-Length: 5\r\n\r\n')],
	['a trailer that frames: Transfer-Encoding', chunked('0\r\nTransfer-Encoding: chunked\r\n\r\n')],
	['a bare LF in the trailer', chunked('0\r\nX-T: 1\n\r\n')],
	['an endless chunk extension', chunked(`5;${long(100_000)}\r\nHello\r\n0\r\n\r\n`), [400, 413, 431]],
	['endless trailers', chunked(`0\r\n${'X-T: 1\r\n'.repeat(20_000)}\r\n`), [400, 413, 431]],

	/* 4: header names */
	['an empty header name', get(': value')],
	['blank before the colon', get('X-A : 1')],
	['tab before the colon', get('X-A\t: 1')],
	['blank before Content-Length\'s colon', post('Content-Length : 5', 'Hello')],
	['a blank on the first header line', (path) => `GET ${path} HTTP/1.1\r\n Host: x\r\n\r\n`],
	...['\0', '\r', '\n', '\x80', '\xa0', '\x7f', '(', ',', '/', ';', '@', '[', '{', '"'].map((byte) =>
		[`${JSON.stringify(byte)} in a header name`, get(`X-${byte}A: 1`)]),
	['no colon', get('X-A')],
	['a name over 64 KiB', get(`${long(65_541)}: 1`), [400, 431]],
	['a value over 64 KiB', get(`X-A: ${long(70_000)}`), [400, 431]],
	['2000 headers', get(Array.from({ length: 2000 }, (_, i) => `X-${i}: 1`).join('\r\n')), [400, 431]],

	/* 5: header values and line ends */
	['NUL in a value', get('X-A: a\0b')],
	['bare CR in a value', get('X-A: a\rb')],
	['bare LF in a value', get('X-A: a\nX-B: b')],
	['a control character in a value', get('X-A: a\x01b')],
	['obs-fold with a blank', get('X-A: a\r\n b')],
	['obs-fold with a tab', get('X-A: a\r\n\tb')],
	['obs-fold in Transfer-Encoding', post('Transfer-Encoding:\r\n chunked', '0\r\n\r\n')],
	['LF only line ends', (path) => `GET ${path} HTTP/1.1\nHost: x\n\n`],
	['LF after the request line', (path) => `GET ${path} HTTP/1.1\nHost: x\r\n\r\n`],
	['LF LF at the end of the head', (path) => `GET ${path} HTTP/1.1\r\nHost: x\n\n`],
	['CR CR LF', get('X-A: a\r')],

	/* 6: the request line */
	...['HTTP/1.32', 'HTTP/\r1.1', 'HTTP/1.1x', 'HTTP/01.1', 'HTTP/1', 'HTTP/1.', 'http/1.1', 'HTTPS/1.1', 'XTTP/1.1', 'HTTP/+1.1',
		'HTTP/1.1 HTTP/1.1', 'HTTP/9.9', 'HTTP/2.0', 'HTTP/1.\0', ''].map((version) =>
		[`version ${JSON.stringify(version)}`, (path) => `GET ${path} ${version}\r\nHost: x\r\n\r\n`, [400, 505]]),
	...['', 'G\0T', 'G(T', 'GET/', 'G\x80T', 'GET\t', ' GET', 'GET\r', long(10_000)].map((method) =>
		[`method ${JSON.stringify(method.slice(0, 12))}`, (path) => `${method} ${path} HTTP/1.1\r\nHost: x\r\n\r\n`, [400, 405, 414, 431, 501]]),
	['two blanks after the method', (path) => `GET  ${path} HTTP/1.1\r\nHost: x\r\n\r\n`],
	['two blanks before the version', (path) => `GET ${path}  HTTP/1.1\r\nHost: x\r\n\r\n`],
	['a tab for a blank', (path) => `GET\t${path} HTTP/1.1\r\nHost: x\r\n\r\n`],
	...['\0', '\x01', '\x7f', '\x80', '\xff'].map((byte) =>
		[`${JSON.stringify(byte)} in the target`, (path) => `GET ${path}${byte} HTTP/1.1\r\nHost: x\r\n\r\n`]),
	['a fragment in the target', (path) => `GET ${path}#a HTTP/1.1\r\nHost: x\r\n\r\n`],
	['no slash in the target', () => 'GET relay/T1/web/x HTTP/1.1\r\nHost: x\r\n\r\n'],
	['a target over the limit', (path) => `GET ${path}${long(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, [400, 414, 431]],
	['no Host', (path) => `GET ${path} HTTP/1.1\r\nX-A: 1\r\n\r\n`],
	['Host twice', get('Host: y')],
	['Host twice, equal', get('Host: x')],
	...['a\0.b', 'a b', 'a/b', 'a@b', 'a,b', 'a:b:c', 'a:99999999', '[::1', 'a\\b', 'a?b', 'a#b', '\xe9'].map((host) =>
		[`Host: ${JSON.stringify(host)}`, (path) => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`]),
	['absolute form that differs from Host', (path) => `GET http://other${path} HTTP/1.1\r\nHost: x\r\n\r\n`],
	['CONNECT', () => 'CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n', [400, 405, 501]],
	['an HTTP/2 preface', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 505]],
	['TLS on a plain port', () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n'],
];

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

const head = (headers, status = 'HTTP/1.1 200 OK') => `${status}\r\n${headers}\r\n\r\n`;

/* What a target may not answer: the client gets 502, the connection is not used again. */
const BAD_ANSWERS = [
	['Content-Length and Transfer-Encoding', `${head('Content-Length: 5\r\nTransfer-Encoding: chunked')}0\r\n\r\n`],
	['Content-Length twice, different', `${head('Content-Length: 5\r\nContent-Length: 6')}Hello!`],
	['Content-Length as a list', `${head('Content-Length: 5, 6')}Hello!`],
	['Content-Length signed', `${head('Content-Length: +5')}Hello`],
	['Content-Length empty', `${head('Content-Length: ')}Hello`],
	['Content-Length too large', `${head('Content-Length: 99999999999999999999')}Hello`],
	['an unknown coding', `${head('Transfer-Encoding: cow')}Hello`],
	['chunked not last', `${head('Transfer-Encoding: chunked, gzip')}0\r\n\r\n`],
	['a bad chunk size', `${head('Transfer-Encoding: chunked')}0x5\r\nHello\r\n0\r\n\r\n`],
	['bytes after a chunk', `${head('Transfer-Encoding: chunked')}5\r\nHelloXX\r\n0\r\n\r\n`],
	['a bare LF in the head', 'HTTP/1.1 200 OK\nContent-Length: 5\n\nHello'],
	['a bare CR in a value', `${head('X-A: a\rX-B: b\r\nContent-Length: 5')}Hello`],
	['NUL in a value', `${head('X-A: a\0b\r\nContent-Length: 5')}Hello`],
	['an empty name', `${head(': a\r\nContent-Length: 5')}Hello`],
	['blank before the colon', `${head('Content-Length : 5')}Hello`],
	['obs-fold', `${head('X-A: a\r\n b\r\nContent-Length: 5')}Hello`],
	['no colon', `${head('X-A\r\nContent-Length: 5')}Hello`],
	['a status line of another protocol', 'ICY 200 OK\r\nContent-Length: 5\r\n\r\nHello'],
	['a bad version', `${head('Content-Length: 5', 'HTTP/2.0 200 OK')}Hello`],
	['a short status', `${head('Content-Length: 5', 'HTTP/1.1 20 OK')}Hello`],
	['a long status', `${head('Content-Length: 5', 'HTTP/1.1 2000 OK')}Hello`],
	['status 099', `${head('Content-Length: 5', 'HTTP/1.1 099 OK')}Hello`],
	['an endless head', `HTTP/1.1 200 OK\r\n${'X-A: 1\r\n'.repeat(50_000)}`],
	['101 without being asked', head('Upgrade: x\r\nConnection: upgrade', 'HTTP/1.1 101 Switching Protocols')],
	['endless interim answers', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(10_000)],
	['a body cut short', `${head('Content-Length: 50')}Hello`, 'end'],
	['a chunked body cut short', `${head('Transfer-Encoding: chunked')}5\r\nHello\r\n`, 'end'],
	['a head cut short', 'HTTP/1.1 200 OK\r\nContent-Le', 'end'],
	['no answer at all', '', 'end'],
];

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
