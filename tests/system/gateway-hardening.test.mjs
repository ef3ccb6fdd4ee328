/*
 * Attacks on the gateway: what reaches the service is one well-formed request, or nothing.
 *
 * The upstream is strict: it keeps bytes that are no request as `broken`, and the marker of a
 * smuggled request would be among its `requests`.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { after, before } from 'node:test';
import { check, until } from './lib/check.mjs';
import { request } from './lib/client.mjs';
import { Gateway } from './lib/gateway.mjs';
import { block, data, END_HEADERS, END_STREAM, frame, GET, H2Connection, headers, POST, TYPE } from './lib/h2raw.mjs';
import { BAD_ANSWERS, chunked, head, post, REFUSED } from './lib/hostile.mjs';
import { execute } from './lib/process.mjs';
import { RawConnection } from './lib/raw.mjs';
import { StrictUpstream } from './lib/strict.mjs';
import { RawTarget } from './lib/target.mjs';

const SMUGGLED = 'GET /g/smuggled HTTP/1.1\r\nHost: x\r\n\r\n';

let gw;
let strict;

before(async () => {
	gw = await Gateway.start({ gateway: { listen: [{ address: '127.0.0.1:0', http2: true }] } });
	strict = await StrictUpstream.start();
	await gw.route({ name: 'g', url: strict.url }, { paths: ['/g'], strip_path: false });
	await gw.route({ name: 'unbuffered', url: strict.url }, { paths: ['/u'], strip_path: false, request_buffering: false });
});

after(async () => {
	await strict?.close();
	await gw?.close();
});

/* ---- HTTP/1 ---- */

async function refusal(bytes, allowed) {
	const raw = await RawConnection.open(gw.proxy);
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

for (const path of ['/g/x', '/u/x']) {
	check(`HTTP/1: requests that are refused, on ${path}`, { timeout: 120_000 }, async (t) => {
		strict.forget();
		for (const [what, make, allowed = [400]] of REFUSED.filter(([name]) => name !== 'an HTTP/2 preface')) {
			await t.test(what, () => refusal(make(path), allowed));
		}
		assert.deepEqual(strict.requests, []);
		assert.deepEqual(strict.broken, []);
		assert.equal((await gw.get('/g/alive')).status, 200);
	});
}

const TAKEN = [
	['a chunk size with leading zeros', chunked('0005\r\nHello\r\n000\r\n\r\n'), 'Hello'],
	['a chunk extension', chunked('5;a=b\r\nHello\r\n0\r\n\r\n'), 'Hello'],
	['trailers', chunked('5\r\nHello\r\n0\r\nX-Trailer: 1\r\n\r\n'), 'Hello'],
	['Transfer-Encoding in capitals', post('TRANSFER-ENCODING: ChUnKeD', '1\r\nx\r\n0\r\n\r\n'), 'x'],
	['blanks around the length', post('Content-Length: \t 5 \t', 'Hello'), 'Hello'],
	['a GET with a body', (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nHello`, 'Hello'],
	['a body that looks like a request', post(`Content-Length: ${SMUGGLED.length}`, SMUGGLED), SMUGGLED],
	['a HEAD with such a body', (path) => `HEAD ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`, SMUGGLED],
	['absolute form that agrees with Host', (path) => `GET http://x${path} HTTP/1.1\r\nHost: x\r\n\r\n`, ''],
	['aliases of framing', post('Content_Length: 99\r\nTransfer_Encoding: chunked\r\nContent-Length: 5', 'Hello'), 'Hello', 400],
];

for (const path of ['/g/x', '/u/x']) {
	check(`HTTP/1: what is taken is one request with one body, on ${path}`, async (t) => {
		for (const [what, make, body, or] of TAKEN) {
			await t.test(what, async () => {
				const bytes = make(path);
				const raw = await RawConnection.open(gw.proxy);
				strict.forget();
				try {
					raw.send(`${bytes}GET /g/next HTTP/1.1\r\nHost: x\r\n\r\n`);
					const first = await raw.response({ method: bytes.split(' ')[0] });
					if (first.status === or) {
						assert.deepEqual(strict.requests, []);
						return;
					}
					assert.equal(first.status, 200);
					assert.equal((await raw.response()).status, 200);
					assert.deepEqual(strict.requests.map((r) => [r.target, r.body]), [[path, body], ['/g/next', '']]);
					assert.deepEqual(strict.broken, []);
				} finally {
					raw.close();
				}
			});
		}
	});
}

check('HTTP/1: an answer before the body was read does not let the body become a request', async () => {
	strict.forget();
	for (const path of ['/nowhere', '/g/%00']) {
		const raw = await RawConnection.open(gw.proxy);
		raw.send(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n`);
		raw.send(SMUGGLED).send('GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
		const rest = await raw.rest();
		assert.ok(!rest.includes(' 200 '), rest);
		raw.close();
	}
	assert.deepEqual(strict.requests, []);
});

/* ---- HTTP/2 to HTTP/1 ---- */

const without = (name) => GET('/g/x').filter(([k]) => k !== name);
const other = (name, value) => GET('/g/x').map(([k, v]) => [k, k === name ? value : v]);
const field = (name, value) => GET('/g/x', [[name, value]]);

const REFUSED_H2 = [
	...['a\rb', 'a\nb', 'a\r\nX-Injected: 1', 'a\0b', 'a\x01b', 'a\x7fb'].map((v) => [`value ${JSON.stringify(v)}`, field('x-a', v)]),
	...['', ' ', 'x a', 'x:a', 'X-A', 'x\r', 'x\r\nx-injected', 'x\0', 'x\x80', ':x'].map((n) => [`name ${JSON.stringify(n)}`, field(n, '1')]),
	...[['transfer-encoding', 'chunked'], ['connection', 'close'], ['connection', 'x-a'], ['keep-alive', 'timeout=1'], ['proxy-connection', 'close'],
		['upgrade', 'h2c'], ['te', 'gzip'], ['transfer_encoding', 'chunked'], ['content_length', '5'], ['content-length', '+5'],
		['content-length', '5,5'], ['content-length', ''], ['content-length', '5'], ['host', 'other'], ['host', 'a b']].map(([n, v]) =>
		[`${n}: ${v}`, field(n, v)]),
	...['', 'x', ' /g/x', '/g/x y', '/g/x\r\nHost: y', '/g/x\t', '/g/x#a', '/g/x\0', 'http://a/g/x', '*', '/g/\x80'].map((v) =>
		[`:path ${JSON.stringify(v)}`, other(':path', v)]),
	...['', 'GET /g/smuggled HTTP/1.1\r\nHost: a\r\n\r\nGET', 'G T', 'GET\r', 'G(T', 'CONNECT'].map((v) => [`:method ${JSON.stringify(v)}`, other(':method', v)]),
	...['a b', 'a\r\nX-Injected: 1', 'a/b', 'a@b', 'a,b', 'a:b:c', '[::1'].map((v) => [`:authority ${JSON.stringify(v)}`, other(':authority', v)]),
	...['', 'ht tp', 'http://x/'].map((v) => [`:scheme ${JSON.stringify(v)}`, other(':scheme', v)]),
	...[':method', ':path', ':scheme'].map((n) => [`no ${n}`, without(n)]),
	...[':method', ':path', ':scheme', ':authority'].map((n) => [`${n} twice`, [...GET('/g/x').filter(([k]) => k === n), ...GET('/g/x')]]),
	['a pseudo header behind the others', [...without(':path'), ['x-a', '1'], [':path', '/g/x']]],
	[':status in a request', [[':status', '200'], ...GET('/g/x')]],
	['Host twice', GET('/g/x', [['host', 'a'], ['host', 'a']])],
];

/* A stream of its own connection; what the server said of it: a status, or why it ended. */
async function h2Outcome(c, stream) {
	const end = () => c.find(TYPE.HEADERS, stream) ?? c.find(TYPE.RST_STREAM, stream) ?? c.find(TYPE.GOAWAY);
	await c.raw.until(() => end(), `an end of stream ${stream}`);
	const f = end();
	return f && f.type === TYPE.HEADERS ? await c.status(stream) : 'refused';
}

async function refusedH2(...frames) {
	const c = await H2Connection.open(gw.proxy);
	try {
		c.send(...frames);
		assert.notEqual(await h2Outcome(c, 1), 200);
	} finally {
		c.close();
	}
}

check('HTTP/2: requests that are refused', { timeout: 120_000 }, async (t) => {
	strict.forget();
	for (const [what, fields] of REFUSED_H2) {
		await t.test(what, () => refusedH2(headers(1, fields)));
	}
	for (const path of ['/g/x', '/u/x']) {
		const length = (n) => headers(1, POST(path, [['content-length', String(n)]]), END_HEADERS);
		await t.test(`fewer bytes than content-length, ${path}`, () => refusedH2(length(10), data(1, 'Hello', END_STREAM)));
		await t.test(`more bytes than content-length, ${path}`, () => refusedH2(length(2), data(1, `Hello${SMUGGLED}`, END_STREAM)));
		for (const [name, value] of [[':path', '/g/smuggled'], ['transfer-encoding', 'chunked'], ['content-length', '5'], ['X', '1'], ['x', 'a\r\nb']]) {
			await t.test(`trailer ${name}, ${path}`, () => refusedH2(headers(1, POST(path), END_HEADERS), data(1, 'Hello'),
				frame(TYPE.HEADERS, END_STREAM | END_HEADERS, 1, block([[name, value]]))));
		}
	}
	assert.deepEqual(strict.requests.map((r) => r.target), []);
	assert.deepEqual(strict.broken, []);
});

check('HTTP/2: what is taken is one request with one body', async () => {
	const c = await H2Connection.open(gw.proxy);
	strict.forget();
	c.send(headers(1, POST('/g/1', [['cookie', 'a=1'], ['cookie', 'b=2'], ['te', 'trailers']]), END_HEADERS),
		headers(3, GET('/g/3', [['host', 'a']])), data(1, SMUGGLED), data(1, SMUGGLED, END_STREAM),
		headers(5, POST('/u/5'), END_HEADERS), data(5, '0\r\n\r\n'), data(5, SMUGGLED, END_STREAM));
	for (const stream of [1, 3, 5]) {
		assert.equal(await c.status(stream), 200, `stream ${stream}`);
	}
	c.close();
	const seen = Object.fromEntries(strict.requests.map((r) => [r.target, r]));
	assert.deepEqual(Object.keys(seen).sort(), ['/g/1', '/g/3', '/u/5']);
	assert.equal(seen['/g/1'].body, SMUGGLED + SMUGGLED);
	assert.equal(seen['/u/5'].body, `0\r\n\r\n${SMUGGLED}`);
	assert.deepEqual(seen['/g/1'].all('cookie'), ['a=1; b=2'], 'the crumbs of a cookie are one line (RFC 9113 8.2.3)');
	assert.deepEqual(strict.broken, []);
});

/* ---- what a client may not say of itself ---- */

const OURS = {
	'x-forwarded-for': '127.0.0.1', 'x-forwarded-proto': 'http', 'x-forwarded-host': 'x', 'x-forwarded-path': '/g/x', 'x-real-ip': '127.0.0.1',
};
const IDENTITY = ['X-Consumer-Id', 'X-Consumer-Username', 'X-Consumer-Custom-Id', 'X-Credential-Identifier', 'X-Anonymous-Consumer',
	'X-Consumer-Groups', 'X-Authenticated-Userid', 'X-Authenticated-Scope', 'X-Authenticated-Groups'];

/* What of `lines` reached the service, with the names in any spelling. */
async function told(lines) {
	const raw = await RawConnection.open(gw.proxy);
	strict.forget();
	raw.send(`GET /g/x HTTP/1.1\r\nHost: x\r\n${lines.map((l) => `${l}\r\n`).join('')}\r\n`);
	assert.equal((await raw.response()).status, 200);
	raw.close();
	assert.deepEqual(strict.broken, []);
	return strict.requests[0];
}

/* "x-forwarded-for" with each '-' as '_' or as it is, in three cases, and as few would write it. */
function spellings(name) {
	const parts = name.split('-');
	const joints = Array.from({ length: 1 << (parts.length - 1) }, (_, bits) =>
		parts.reduce((all, part, i) => all + (bits >> (i - 1) & 1 ? '_' : '-') + part));
	const odd = ['.', '~', '!'].map((c) => name.replaceAll('-', c));
	return [...joints.flatMap((n) => [n, n.toUpperCase(), n[0].toUpperCase() + n.slice(1)]), ...odd];
}

check('check 26: headers that the gateway sets cannot be set by a client, in any spelling', async (t) => {
	for (const [name, value] of Object.entries(OURS)) {
		await t.test(name, async () => {
			for (const spelling of spellings(name)) {
				const seen = (await told([`${spelling}: evil`])).all(name);
				const kept = name === 'x-forwarded-for' && spelling.toLowerCase() === name ? [`evil, ${value}`] : [value];
				assert.deepEqual(seen, kept, spelling);
			}
		});
	}
	for (const name of IDENTITY) {
		await t.test(name, async () => {
			for (const spelling of spellings(name.toLowerCase())) {
				assert.deepEqual((await told([`${spelling}: evil`])).all(name.toLowerCase()), [], spelling);
			}
		});
	}
});

check('check 26: Connection cannot take away what the gateway sets', async () => {
	const names = [...Object.keys(OURS), 'host', 'via', 'x-kong-request-id', 'content-length', 'authorization'];
	const without = await told(['Connection: close']);
	for (const lines of [[`Connection: ${names.join(', ')}`], names.map((n) => `Connection: ${n}`), [`Connection: ${'a, '.repeat(70)}${names}`]]) {
		const seen = await told(lines);
		for (const name of Object.keys(OURS)) {
			assert.deepEqual(seen.all(name), [OURS[name]], `${lines[0].slice(0, 40)}: ${name}`);
		}
		assert.deepEqual(seen.all('host'), without.all('host'));
		assert.deepEqual(seen.all('via'), without.all('via'));
		assert.equal(seen.all('x-kong-request-id').length, 1);
	}
});

/* ---- paths ---- */

const UP = ['..', '%2e%2e', '.%2e', '%2E.', '..;', '..;a=b', '..%3b', '..%2f', '..%5c', '..\\', '%252e%252e', '%25252e%25252e', '%c0%ae%c0%ae',
	'..%00', '.%00.', '%2e%2e%2f', '..%252f', '..%255c', './..', '..//', '..%09', '..%20', '..%0d%0a', '%uff0e%uff0e', '..%c0%af'];

/* As the most generous server reads it: escapes again and again, '\' for '/', parameters dropped. */
function generous(path) {
	let text = path.split('?')[0];
	for (let i = 0; i < 5; i++) {
		text = text.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
	}
	text = text.replaceAll('\xc0\xae', '.').replaceAll('\xc0\xaf', '/').replaceAll('\\', '/').replace(/[\0-\x20]/g, '');
	const out = [];
	for (const segment of text.split('/').map((s) => s.split(';')[0])) {
		segment === '..' ? out.pop() : segment !== '' && segment !== '.' && out.push(segment);
	}
	return `/${out.join('/')}`;
}

check('no spelling of a path climbs out of a service\'s base, or around a guarded route', async () => {
	await gw.route({ name: 'files', url: `${strict.url}/files/public` }, { name: 'pub', paths: ['/pub'] });
	await gw.route({ name: 'all', url: strict.url }, { name: 'all', paths: ['/'], strip_path: false });
	const { route } = await gw.route({ name: 'secret', url: strict.url }, { name: 'secret', paths: ['/secret'], strip_path: false });
	await gw.make(`/routes/${route.id}/plugins`, { name: 'request-termination', config: { status_code: 403 } });
	strict.forget();
	let passed = 0;
	const ask = async (path) => {
		const raw = await RawConnection.open(gw.proxy);
		strict.forget();
		raw.send(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
		const reply = await raw.response();
		raw.close();
		assert.ok([200, 400, 403].includes(reply.status), `${path}: ${reply.status}`);
		assert.deepEqual(strict.broken, [], path);
		passed += strict.requests.length;
		return strict.requests[0]?.target;
	};
	for (const up of UP) {
		for (const path of [`/pub/${up}/${up}/x`, `/pub${up}/${up}/x`, `/pub/a/${up}/${up}/x`, `/pub/${up}`, `/pub${up}`, `/pub/${up}/secret/x`]) {
			const target = await ask(path);
			if (target?.startsWith('/files')) {
				assert.match(generous(target), /^\/files\/public/, `${path} became ${target}`);
			} else if (target !== undefined) {
				assert.doesNotMatch(generous(target), /^\/secret/, `${path} became ${target}`);
			}
		}
		for (const path of [`/a/${up}/secret/x`, `/${up}/secret`, `//a//${up}//secret`]) {
			const target = await ask(path);
			assert.ok(target === undefined || !/^\/secret/.test(generous(target)), `${path} became ${target}`);
		}
	}
	for (const path of ['/secret', '//secret', '/./secret', '/%73ecret', '/secret/', '/secret;a', '/secret%2f', '/secret%2Fx', '/secret//x', '/secret?x', '/%2e/secret']) {
		assert.equal(await ask(path), undefined, path);
	}
	assert.ok(passed > 5, 'some spellings are harmless and pass');
	for (const name of ['pub', 'all', 'secret']) {
		await gw.make(`/routes/${name}`, undefined, 'DELETE');
	}
});

/* ---- answers ---- */

check('answers of a service that are refused', { timeout: 120_000 }, async (t) => {
	for (const [what, bytes, then] of BAD_ANSWERS) {
		await t.test(what, async () => {
			const bad = await RawTarget.start((socket) => {
				socket.write(Buffer.from(bytes, 'latin1'));
				then === 'end' && socket.end();
			});
			try {
				await gw.make('/services/bad', { url: bad.url, retries: 0, read_timeout: 5000 }, 'PUT');
				await gw.make('/services/bad/routes/bad', { paths: ['/bad'] }, 'PUT');
				const raw = await RawConnection.open(gw.proxy);
				raw.send('GET /bad HTTP/1.1\r\nHost: x\r\n\r\n');
				const reply = await raw.response();
				if (reply) {
					assert.equal(reply.status, 502);
				} else {
					assert.doesNotMatch(raw.text, /\r\n0\r\n/, 'what is cut does not look complete');
				}
				raw.close();
				assert.equal((await gw.get('/g/alive')).status, 200);
			} finally {
				await bad.close();
			}
		});
	}
});

/* The service's last bytes and its end are seen together, as a rule: the answer is cut in the turn that began it. */
check('of an answer that is cut the client gets what there was, and an end that is no end of an answer', async (t) => {
	let bytes;
	const bad = await RawTarget.start((socket) => socket.end(bytes));
	await gw.make('/services/bad', { url: bad.url, retries: 0 }, 'PUT');
	await gw.make('/services/bad/routes/bad', { paths: ['/bad'] }, 'PUT');
	const ask = async () => {
		const raw = await RawConnection.open(gw.proxy);
		return await raw.send('GET /bad HTTP/1.1\r\nHost: x\r\n\r\n').rest();
	};
	await t.test('a length', async () => {
		bytes = `${head('Content-Length: 50')}Hello`;
		assert.match(await ask(), /^HTTP\/1\.1 200 .*\r\nContent-Length: 50\r\n(.*\r\n)?\r\nHello$/s);
	});
	await t.test('chunks', async () => {
		bytes = `${head('Transfer-Encoding: chunked')}5\r\nHello\r\n`;
		assert.match(await ask(), /^HTTP\/1\.1 200 .*\r\n\r\n5\r\nHello\r\n$/s);
	});
	await t.test('over HTTP/2', async () => {
		const session = http2.connect(gw.proxy);
		const stream = session.request({ ':path': '/bad' }).setEncoding('latin1');
		let [status, text] = [0, ''];
		stream.on('response', (h) => (status = h[':status'])).on('data', (d) => (text += d));
		const [error] = await once(stream, 'error');
		assert.deepEqual([status, text, error.code, stream.rstCode],
			[200, 'Hello', 'ERR_HTTP2_STREAM_ERROR', http2.constants.NGHTTP2_INTERNAL_ERROR]);
		session.destroy();
	});
	await t.test('all that comes, for a client of HTTP/1.0', async () => {
		await assert.rejects(execute('curl', ['-s', '--http1.0', `${gw.proxy}/bad`]), { code: 56 }, 'failure in receiving');
	});
	await bad.close();
});

/* What a service sends behind its answer is nobody's answer. */
const TAILS = [
	['bytes after the body', `${head('Content-Length: 5')}Hello`],
	['bytes after the last chunk', `${head('Transfer-Encoding: chunked')}5\r\nHello\r\n0\r\n\r\n`],
	['204 with a body', `${head('Content-Length: 5', 'HTTP/1.1 204 No Content')}`],
	['304 with a body', `${head('Content-Length: 5', 'HTTP/1.1 304 Not Modified')}`],
	['an answer to HEAD with a body', `${head('Content-Length: 5')}`, 'HEAD'],
];

check('what a service sends behind its answer reaches nobody', async (t) => {
	const poison = `${head('Content-Length: 6\r\nX-Injected: 1')}poison`;
	for (const [what, bytes, method = 'GET'] of TAILS) {
		await t.test(what, async () => {
			let asked = 0;
			const bad = await RawTarget.start((socket) => {
				asked += 1;
				socket.write(asked % 2 ? `${bytes}${poison}` : `${head('Content-Length: 4')}good`, 'latin1');
			});
			try {
				await gw.make('/services/bad', { url: bad.url, retries: 0 }, 'PUT');
				await gw.make('/services/bad/routes/bad', { paths: ['/bad'] }, 'PUT');
				for (let i = 0; i < 3; i++) {
					/* To be cut off is as good: the service is to blame. */
					const first = await request(gw.proxy, '/bad', { method }).catch(() => undefined);
					assert.equal(first?.headers['x-injected'], undefined);
					assert.ok(!first?.text.includes('poison'), first?.text);
					const second = await request(gw.proxy, '/bad');
					assert.equal(second.text, 'good');
					assert.equal(second.headers['x-injected'], undefined);
				}
			} finally {
				await bad.close();
			}
		});
	}
	await until(async () => (await gw.get('/g/alive')).status === 200, 'the gateway serves on');
});
