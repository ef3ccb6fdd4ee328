/*
 * HTTP/2 of the server: real clients, then frames by hand for what no client sends.
 *
 * The oracle for a flood: GOAWAY with ENHANCE_YOUR_CALM and a closed connection, while a
 * second connection is served as before. For a malformed request: the stream is reset
 * or answered 400, its neighbours live, and no handler ever saw it.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import http2 from 'node:http2';
import { after, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { check, until, within } from './lib/check.mjs';
import { flood, FLOODS, long } from './lib/floods.mjs';
import {
	ACK, block, CODE, data, END_HEADERS, END_STREAM, frame, GET, H2Connection, headers, ping, POST,
	PREFACE, reset, settings, TYPE, u32, windowUpdate,
} from './lib/h2raw.mjs';
import { HttpServer } from './lib/httpserver.mjs';
import { RawConnection } from './lib/raw.mjs';

const run = promisify(execFile);

let server;
let hasty; /* the same with timeouts of 400 ms */

before(async () => {
	[server, hasty] = await Promise.all([HttpServer.start(), HttpServer.start(400)]);
});

after(async () => {
	await Promise.all([server?.close(), hasty?.close()]);
});

/* ---- real clients ---- */

async function withClient(fn, options = {}) {
	/* Node counts what waits to be sent, in megabytes, and resets streams beyond. */
	const client = http2.connect(server.url, { maxSessionMemory: 100, ...options });
	client.on('error', () => {});
	try {
		return await fn(client);
	} finally {
		client.destroy();
	}
}

async function ask(client, fields, body) {
	const stream = client.request(fields);
	const result = { body: Buffer.alloc(0) };
	stream.on('response', (h) => { result.headers = h; result.status = h[':status']; });
	stream.on('trailers', (h) => { result.trailers = h; });
	const parts = [];
	stream.on('data', (d) => parts.push(d));
	stream.end(body);
	await within(once(stream, 'close'), `answer to ${fields[':path']}`);
	result.body = Buffer.concat(parts);
	result.code = stream.rstCode;
	return result;
}

check('curl speaks to it by prior knowledge, and HTTP/1.1 beside it', async () => {
	const one = await run('curl', ['-s', '-i', '-m', '10', '--http2-prior-knowledge', `${server.url}/`]);
	assert.match(one.stdout, /^HTTP\/2 200 \r\n/);
	assert.match(one.stdout, /\r\n\r\nhello$/);
	const other = await run('curl', ['-s', '-i', '-m', '10', `${server.url}/`]);
	assert.match(other.stdout, /^HTTP\/1\.1 200 OK\r\n/);
});

check('Upgrade: h2c is ignored', async () => {
	const { stdout } = await run('curl', ['-s', '-i', '-m', '10', '--http2', `${server.url}/`]);
	assert.match(stdout, /^HTTP\/1\.1 200 OK\r\n/);
	assert.doesNotMatch(stdout, /101/);
});

check('a request reaches the role as one of HTTP/1 would', () => withClient(async (client) => {
	const got = await ask(client, {
		':path': '/head-list?a=b', cookie: ['a=1', 'b=2'], te: 'trailers', 'x-y': 'z',
	});
	const [first, ...lines] = got.body.toString().trim().split('\n');
	assert.equal(first, `GET /head-list?a=b HTTP/2 host=${new URL(server.url).host} framing=0 length=0`);
	assert.equal(lines[0], `host: ${new URL(server.url).host}`);
	assert.ok(lines.includes('cookie: a=1; b=2'));
	assert.ok(lines.includes('x-y: z'));
}));

check('a hundred streams on one connection', () => withClient(async (client) => {
	const all = await Promise.all(Array.from({ length: 100 }, (_, i) =>
		ask(client, { ':path': '/echo', ':method': 'POST' }, `${i}`.repeat(1000))));
	all.forEach((a, i) => assert.equal(a.body.toString(), `${i}`.repeat(1000)));
}));

check('large bodies both ways, with back-pressure', () => withClient(async (client) => {
	const big = Buffer.alloc(20_000_000, 'abcdefg');
	const [back, counted, sent, mem, file] = await Promise.all([
		ask(client, { ':path': '/stream', ':method': 'POST' }, big),
		ask(client, { ':path': '/count', ':method': 'POST' }, big.subarray(0, 5_000_001)),
		ask(client, { ':path': '/big?30000000' }),
		ask(client, { ':path': '/mem?1000000' }),
		ask(client, { ':path': '/file?3000000' }),
	]);
	assert.ok(back.body.equals(big));
	assert.equal(counted.body.toString(), '5000001');
	assert.equal(sent.body.length, 30_000_000);
	assert.equal(mem.body.length, 1_000_000);
	assert.equal(file.body.length, 3_000_000);
}));

check('a client that reads one stream slowly does not hold up another', () => withClient(async (client) => {
	const slow = client.request({ ':path': '/big?50000000' });
	await within(once(slow, 'response'), 'the slow answer begins');
	slow.pause();
	const other = await ask(client, { ':path': '/big?1000000' });
	assert.equal(other.body.length, 1_000_000);
	slow.close(CODE.CANCEL);
}));

check('HEAD, 204-like answers and early answers', () => withClient(async (client) => {
	const head = await ask(client, { ':path': '/', ':method': 'HEAD' });
	assert.equal(head.status, 200);
	assert.equal(head.headers['content-length'], '5');
	assert.equal(head.body.length, 0);
	const early = await ask(client, { ':path': '/early', ':method': 'POST' }, Buffer.alloc(3_000_000));
	assert.equal(early.status, 403);
	const tooMuch = await ask(client, { ':path': '/echo', ':method': 'POST' }, Buffer.alloc(1_500_000));
	assert.equal(tooMuch.status, 413);
	assert.equal((await ask(client, { ':path': '/' })).body.toString(), 'hello');
}));

check('trailers both ways, and alone', () => withClient(async (client) => {
	const got = await ask(client, { ':path': '/trailers', te: 'trailers' });
	assert.equal(got.body.toString(), 'body');
	assert.equal(got.trailers['grpc-status'], '0');
	const only = await ask(client, { ':path': '/only' });
	assert.equal(only.headers['grpc-status'], '5');
	assert.equal(only.headers.connection, undefined);
	const stream = client.request({ ':path': '/stream', ':method': 'POST' }, { waitForTrailers: true });
	stream.on('wantTrailers', () => stream.sendTrailers({ sum: '42' }));
	stream.resume().end('x');
	const [trailers] = await within(once(stream, 'trailers'), 'trailers');
	assert.equal(trailers.sum, '42');
}));

check('trailers alone are one frame', async () => {
	const c = await H2Connection.open(server.url);
	c.send(headers(1, GET('/only')));
	const f = await c.frame(TYPE.HEADERS, 1);
	assert.equal(f.flags & END_STREAM, END_STREAM);
	c.close();
});

check('100-continue', () => withClient(async (client) => {
	const stream = client.request({ ':path': '/echo', ':method': 'POST', expect: '100-continue' });
	await within(once(stream, 'continue'), '100');
	stream.end('abc');
	let body = '';
	stream.on('data', (d) => { body += d; });
	await within(once(stream, 'close'), 'the answer');
	assert.equal(body, 'abc');
}));

check('h2load: every request is answered', async () => {
	const { stdout } = await run('h2load', ['-n', '5000', '-c', '3', '-m', '40', `${server.url}/`]);
	assert.match(stdout, /5000 succeeded, 0 failed, 0 errored/);
});

check('cancel: the exchange ends, the connection lives', () => withClient(async (client) => {
	for (let i = 0; i < 20; i++) {
		const stream = client.request({ ':path': '/hang', ':method': 'POST' });
		stream.on('error', () => {});
		stream.write('x');
		stream.close(CODE.CANCEL);
		await within(once(stream, 'close'), 'close');
	}
	assert.equal((await ask(client, { ':path': '/' })).status, 200);
}));

/* ---- the end of a connection ---- */

check('idle: GOAWAY without an error, then the end', async () => {
	const c = await H2Connection.open(hasty.url);
	assert.equal(await c.goaway(), CODE.NO_ERROR);
});

check('drain: a notice, the streams that run, then the end', async () => {
	const own = await HttpServer.start();
	const c = await H2Connection.open(own.url);
	c.send(headers(1, POST('/stream'), END_HEADERS));
	await c.frame(TYPE.HEADERS, 1);
	own.drain();
	const notice = await c.frame(TYPE.GOAWAY);
	assert.equal(notice.payload.readUInt32BE(0), 0x7fffffff);
	/* It may have been on its way: it is served. */
	c.send(headers(3, GET('/')));
	assert.equal(await c.status(3), 200);
	await c.frame(TYPE.PING);
	c.send(ping(ACK));
	await until(() => c.frames.filter((f) => f.type === TYPE.GOAWAY).length > 1, 'the last GOAWAY');
	assert.equal(c.frames.filter((f) => f.type === TYPE.GOAWAY)[1].payload.readUInt32BE(0), 3);
	c.send(headers(5, GET('/')), data(1, 'rest', END_STREAM));
	assert.equal(await c.goaway(), CODE.NO_ERROR);
	assert.equal(c.bytes(1), 4);
	assert.equal(c.find(TYPE.HEADERS, 5), undefined);
	await own.close();
});

check('a body that does not come: 408', async () => {
	const c = await H2Connection.open(hasty.url);
	c.send(headers(1, POST('/echo'), END_HEADERS));
	assert.equal(await c.status(1), 'other');
	c.close();
});

check('a window that does not open: the stream is reset', async () => {
	const c = await H2Connection.open(hasty.url, [[4, 10]]);
	c.send(headers(1, GET('/big?1000000')));
	assert.equal(await c.resetCode(1), CODE.CANCEL);
	assert.equal(c.bytes(1), 10);
	c.close();
});

check('a header block that does not end', async () => {
	const c = await H2Connection.open(hasty.url);
	c.send(headers(1, GET('/'), END_STREAM));
	await c.raw.closed();
	assert.equal(c.find(TYPE.HEADERS, 1), undefined);
});

check('half a preface', async () => {
	const raw = await RawConnection.open(hasty.url);
	raw.send(PREFACE.subarray(0, 10));
	assert.match(await raw.rest(), /^HTTP\/1\.1 408 /);
});

check('the preface a byte at a time', async () => {
	const raw = await RawConnection.open(server.url);
	const c = Object.assign(new H2Connection(), { raw });
	for (const byte of Buffer.concat([PREFACE, settings(), headers(1, GET('/'))])) {
		raw.send(Buffer.from([byte]));
		await new Promise(setImmediate);
	}
	assert.equal(await c.status(1), 200);
	c.close();
});

/* ---- floods ---- */

/* The code with which a flood is ended, while another connection is served. */
async function floodBeside(make, options) {
	const code = await flood(server.url, make, options);
	const beside = await H2Connection.open(server.url);
	beside.send(headers(1, GET('/')));
	assert.equal(await beside.status(1), 200);
	beside.close();
	return code;
}

for (const [name, [make, first]] of Object.entries(FLOODS)) {
	check(`flood: ${name}`, async () => {
		assert.equal(await floodBeside(make('/hang'), { first: first?.('/hang') }), CODE.ENHANCE_YOUR_CALM);
	});
}

/* A header block of these pieces: HEADERS, then CONTINUATION. */
const pieces = (id, flags, ...parts) => Buffer.concat(parts.map((part, i) => frame(i ? TYPE.CONTINUATION : TYPE.HEADERS,
	(i ? 0 : flags) | (i === parts.length - 1 ? END_HEADERS : 0), id, part)));
const full = (byte = 0x82) => Buffer.alloc(16_384, byte);
const refused = [...GET(), ['Upper', 'x']];
const over = (id) => Buffer.concat([headers(id, GET('/hang')), reset(id)]);
const answered = (id) => headers(id, POST(), END_HEADERS);
const none = () => Buffer.alloc(0);

/* What begins a stream, and a long block for it of which nobody takes fields; three are too many. */
const UNTAKEN = {
	'a stream that is over': [over, (id) => long(id)],
	'a stream that is over, in CONTINUATION alone': [over, (id) => pieces(id, END_STREAM, none(), full(), full())],
	'a stream that is over, in short HEADERS': [over, (id) => pieces(id, END_STREAM, Buffer.alloc(60, 0x82), full(), Buffer.alloc(15_000, 0x82))],
	'a stream that is answered': [answered, (id) => long(id)],
	'a stream that is answered, as fields that it could take': [answered, (id) => pieces(id, END_STREAM, full(0x90), full(0x90))],
	'a request that is refused': [none, (id) => long(id, refused)],
	'a request that is refused, in CONTINUATION': [none, (id) => pieces(id, END_STREAM, block(GET()), block([['Upper', 'x']]), full(), full())],
};

for (const [name, [begin, many]] of Object.entries(UNTAKEN)) {
	check(`flood: fields that nobody takes, of ${name}`, async () => {
		const c = await H2Connection.open(server.url);
		const ids = Array.from({ length: 3 }, (_, i) => 2 * i + 1);
		if (begin !== none) {
			c.send(...ids.map(begin), headers(101, GET()));
			assert.equal(await c.status(101), 200);
		}
		c.send(...ids.map(many), ping());
		assert.equal(await c.goaway(), CODE.ENHANCE_YOUR_CALM);
	});
}

check('flood: fields that nobody takes, of requests above the limit', async () => {
	const c = await H2Connection.open(server.url);
	c.send(...Array.from({ length: 128 }, (_, i) => headers(2 * i + 1, POST('/hang'), END_HEADERS)));
	c.send(...[301, 303, 305].map((id) => long(id, GET())), ping());
	assert.equal(await c.goaway(), CODE.ENHANCE_YOUR_CALM);
});

check('short blocks that nobody takes are no flood, nor a byte at a time', async () => {
	const c = await H2Connection.open(server.url);
	const ids = Array.from({ length: 20 }, (_, i) => 2 * i + 1);
	c.send(...ids.map(over), ...ids.map((id) => headers(id, [['x', 'y']])), ...ids.map((id) => headers(100 + id, refused)), headers(201, GET()));
	assert.equal(await c.status(201), 200);
	for (const byte of Buffer.concat([headers(1, [['x', 'y']]), headers(203, GET())])) {
		c.send(Buffer.from([byte]));
		await new Promise(setImmediate);
	}
	assert.equal(await c.status(203), 200);
	c.close();
});

check('large heads in CONTINUATION are taken, again and again', async () => {
	const c = await H2Connection.open(server.url);
	const large = Buffer.concat([block(GET()), block(Array.from({ length: 5 }, (_, i) => [`x-${i}`, 'y'.repeat(5000)]))]);
	for (let id = 1; id < 21; id += 2) {
		c.send(pieces(id, END_STREAM, large.subarray(0, 16_384), large.subarray(16_384)));
		assert.equal(await c.status(id), 200);
	}
	c.close();
});

check('the body of a request that was refused is no flood', async () => {
	const c = await H2Connection.open(server.url);
	c.send(headers(1, [...POST(), ['Upper', 'x']], END_HEADERS), ...Array.from({ length: 8 }, () => data(1, full())), headers(3, GET()));
	assert.equal(await c.status(3), 200);
	c.close();
});

const READ = 4096;
const AHEAD = 3 << 20;

/*
 * Reads the answer on stream 1 and gives each 4096 bytes of it back on the stream and on the connection, as who reads with
 * a small buffer does (Go's net/http), but for the last few that are given back when the stream is over.
 */
async function drink(c, bytes) {
	const both = Buffer.concat([windowUpdate(0, READ), windowUpdate(1, READ)]);
	let [got, given, over] = [0, 0, false];
	c.send(windowUpdate(0, 1 << 30), headers(1, GET(`/big?${bytes}`)));
	while (!over) {
		await c.raw.until(() => c.raw.bytes.length > 0 && c.frames.length > 0, `${bytes} bytes, after ${got}`);
		const frames = c.take();
		assert.ok(frames.length > 0 && !frames.some((f) => f.type === TYPE.GOAWAY), `cut off after ${got}`);
		const mine = frames.filter((f) => f.type === TYPE.DATA);
		got += mine.reduce((n, f) => n + f.payload.length, 0);
		over = mine.some((f) => f.flags & END_STREAM);
		const due = Math.max(Math.floor((got - AHEAD) / READ) - given, 0);
		c.send(...Array(due).fill(both));
		given += due;
	}
	assert.equal(got, bytes);
	c.send(...Array(Math.floor(got / READ) - given).fill(both));
}

const WIDE = [[4, 4 << 20]]; /* SETTINGS_INITIAL_WINDOW_SIZE */

check('windows that are given back in small pieces are no flood', async () => {
	const c = await H2Connection.open(server.url, WIDE);
	await drink(c, 20 << 20);
	c.send(headers(3, GET('/')));
	assert.equal(await c.status(3), 200);
	c.close();
});

const CRUMBS = {
	'of a byte of the connection': () => windowUpdate(0, 1),
	'of a byte of a stream': () => windowUpdate(3, 1),
	'of a byte of a stream that is over': () => windowUpdate(1, 1),
	'of more than was sent': () => windowUpdate(0, 2000),
};

for (const [name, update] of Object.entries(CRUMBS)) {
	check(`flood: WINDOW_UPDATE ${name}, after a large answer`, async () => {
		const c = await H2Connection.open(server.url, WIDE);
		await drink(c, 20 << 20);
		c.send(headers(3, POST('/hang'), END_HEADERS));
		for (let i = 0; i < 400 && !c.raw.ended && !c.find(TYPE.GOAWAY); i++) {
			c.send(...Array.from({ length: 100 }, update));
			await new Promise(setImmediate);
		}
		assert.equal(await c.goaway(), CODE.ENHANCE_YOUR_CALM);
	});
}

check('frames of an unknown type are skipped', async () => {
	const c = await H2Connection.open(server.url);
	c.send(...Array.from({ length: 100 }, () => frame(0x55, 0, 0, Buffer.from('x'))), headers(1, GET('/')));
	assert.equal(await c.status(1), 200);
	c.close();
});

check('more streams than allowed are refused, the others live', async () => {
	const c = await H2Connection.open(server.url);
	c.send(...Array.from({ length: 140 }, (_, i) => headers(2 * i + 1, POST('/hang'), END_HEADERS)));
	assert.equal(await c.resetCode(2 * 128 + 1), CODE.REFUSED_STREAM);
	c.send(reset(1), headers(301, GET('/')));
	assert.equal(await c.status(301), 200);
	c.close();
});

check('a long list of headers: 431, and the connection lives', async () => {
	const c = await H2Connection.open(server.url);
	const many = Array.from({ length: 120 }, (_, i) => [`x-${i}`, 'y']);
	c.send(headers(1, GET('/', many)), headers(3, GET('/')));
	assert.equal(await c.status(1), 'other');
	assert.equal(await c.status(3), 200);
	c.close();
});

check('a browser\'s 180 cookies are one line; thousands of empty ones are 431', async () => {
	const c = await H2Connection.open(server.url);
	const cookies = (n, text) => GET('/', Array.from({ length: n }, (_, i) => ['cookie', text(i)]));
	c.send(headers(1, cookies(180, (i) => `name${i}=value`)), headers(3, cookies(1800, () => '')), headers(5, GET('/')));
	assert.equal(await c.status(1), 200);
	assert.equal(await c.status(3), 'other');
	assert.equal(await c.status(5), 200);
	c.close();
});

check('callers whose patience ends may give up as often as they like', async () => {
	const c = await H2Connection.open(server.url);
	let id = 1;
	for (let round = 0; round < 13; round++) {
		const ids = Array.from({ length: 100 }, () => (id += 2));
		c.send(...ids.map((i) => headers(i, POST('/echo'), END_HEADERS)));
		await delay(300);
		c.send(...ids.map((i) => reset(i)));
	}
	c.send(headers(3001, GET('/')));
	assert.equal(await c.status(3001), 200);
	c.close();
});

check('floods do not slow down others', async () => {
	const attackers = await Promise.all(Array.from({ length: 4 }, () => H2Connection.open(server.url)));
	let stop = false;
	const attack = Promise.all(attackers.map(async (a) => {
		for (let i = 0; !stop && !a.raw.ended; i++) {
			a.send(headers(2 * i + 1, GET('/')));
			await new Promise(setImmediate);
		}
	}));
	const { stdout } = await run('h2load', ['-n', '2000', '-c', '1', '-m', '10', `${server.url}/`]);
	stop = true;
	await attack;
	attackers.forEach((a) => a.close());
	assert.match(stdout, /2000 succeeded/);
});

/* ---- smuggling (through HTTP/2 to whoever speaks HTTP/1 behind) ---- */

const malformed = {
	'LF in a value': GET('/', [['x', 'a\nb: c']]),
	'CR LF in a value': GET('/', [['x', 'a\r\nTransfer-Encoding: chunked']]),
	'NUL in a value': GET('/', [['x', 'a\0']]),
	'a blank before a value': GET('/', [['x', ' a']]),
	'a tab behind a value': GET('/', [['x', 'a\t']]),
	'an empty name': GET('/', [['', 'a']]),
	'a colon in a name': GET('/', [['x: y', 'a']]),
	'CR LF in a name': GET('/', [['x\r\ny', 'a']]),
	'a blank in a name': GET('/', [['x y', 'a']]),
	'an upper-case name': GET('/', [['X', 'a']]),
	'transfer-encoding': POST('/', [['transfer-encoding', 'chunked']]),
	'transfer_encoding': POST('/', [['transfer_encoding', 'chunked']]),
	'content_length': POST('/', [['content_length', '3']]),
	'connection': GET('/', [['connection', 'close']]),
	'keep-alive': GET('/', [['keep-alive', 'timeout=5']]),
	'proxy-connection': GET('/', [['proxy-connection', 'close']]),
	'upgrade': GET('/', [['upgrade', 'websocket']]),
	'te other than trailers': GET('/', [['te', 'gzip']]),
	'two lengths': POST('/', [['content-length', '0'], ['content-length', '0']]),
	'a list of lengths': POST('/', [['content-length', '0, 0']]),
	'a length with a sign': POST('/', [['content-length', '+0']]),
	'a length with a leading zero': POST('/', [['content-length', '00']]),
	'a length that wraps': POST('/', [['content-length', '18446744073709551616']]),
	'a length without a body': POST('/', [['content-length', '5']]),
	'an unknown pseudo field': [...GET('/'), [':x', 'y']],
	'a pseudo field behind others': [[':method', 'GET'], ['x', 'y'], [':scheme', 'http'], [':path', '/'], [':authority', 'a']],
	'a pseudo field twice': [...GET('/'), [':path', '/other']],
	':status in a request': [...GET('/'), [':status', '200']],
	'no :method': GET('/').filter(([n]) => n !== ':method'),
	'no :path': GET('/').filter(([n]) => n !== ':path'),
	'no :scheme': GET('/').filter(([n]) => n !== ':scheme'),
	'no authority at all': GET('/').filter(([n]) => n !== ':authority'),
	'an empty :path': GET(''),
	'a relative :path': GET('x'),
	'an absolute :path': GET('http://b/'),
	'a blank in :path': GET('/ HTTP/1.1'),
	'CR LF in :path': GET('/\r\nx: y'),
	'a fragment in :path': GET('/#x'),
	'obs-text in :path': GET('/\xe4'),
	'* for GET': GET('*'),
	'a blank in :method': [[':method', 'GET / HTTP/1.1\r\nx:'], ...GET('/').slice(1)],
	'another :scheme': [[':method', 'GET'], [':scheme', 'ftp'], [':authority', 'a'], [':path', '/']],
	'userinfo in :authority': [[':method', 'GET'], [':scheme', 'http'], [':authority', 'u@a'], [':path', '/']],
	'a path in :authority': [[':method', 'GET'], [':scheme', 'http'], [':authority', 'a/b'], [':path', '/']],
	'CR LF in :authority': [[':method', 'GET'], [':scheme', 'http'], [':authority', 'a\r\nx: y'], [':path', '/']],
	'host other than :authority': GET('/', [['host', 'b']]),
	'two hosts': GET('/', [['host', 'a'], ['host', 'a']]),
};

for (const [name, fields] of Object.entries(malformed)) {
	check(`refused: ${name}`, async () => {
		const c = await H2Connection.open(server.url);
		const path = fields.map(([n, v]) => [n, n === ':path' && v === '/' ? '/head-list' : v]);
		c.send(headers(1, path), headers(3, GET('/')));
		await c.raw.until(() => c.find(TYPE.RST_STREAM, 1) || c.find(TYPE.HEADERS, 1) || c.find(TYPE.GOAWAY), 'a verdict');
		const answered = c.find(TYPE.HEADERS, 1);
		if (answered) {
			assert.equal(await c.status(1), 400);
		} else {
			assert.equal(c.find(TYPE.RST_STREAM, 1)?.payload.readUInt32BE(0), CODE.PROTOCOL_ERROR);
		}
		assert.equal(await c.status(3), 200);
		c.close();
	});
}

check('CONNECT is refused', async () => {
	const c = await H2Connection.open(server.url);
	c.send(headers(1, [[':method', 'CONNECT'], [':authority', 'a:1']]));
	await c.raw.until(() => c.find(TYPE.RST_STREAM, 1) || c.find(TYPE.HEADERS, 1), 'a verdict');
	assert.notEqual(await c.status(1), 200);
	c.close();
});

check('DATA beyond and below the announced length', async () => {
	for (const body of ['abcdef', 'ab']) {
		const c = await H2Connection.open(server.url);
		c.send(headers(1, POST('/echo', [['content-length', '3']]), END_HEADERS), data(1, body, END_STREAM));
		assert.equal(await c.resetCode(1), CODE.PROTOCOL_ERROR);
		assert.equal(c.find(TYPE.HEADERS, 1), undefined);
		c.close();
	}
});

check('trailers that would frame or route', async () => {
	for (const name of ['content-length', 'host', 'transfer-encoding', ':path', 'te', 'content_length']) {
		const c = await H2Connection.open(server.url);
		c.send(headers(1, POST('/echo'), END_HEADERS), data(1, 'abc'), headers(1, [[name, '0']]));
		assert.equal(await c.resetCode(1), CODE.PROTOCOL_ERROR, name);
		assert.equal(c.find(TYPE.HEADERS, 1), undefined, name);
		c.close();
	}
});

check('broken frames end the connection', async () => {
	const broken = {
		'DATA on stream 0': data(0, 'x'),
		'HEADERS on an even stream': headers(2, GET('/')),
		'SETTINGS of a wrong size': frame(TYPE.SETTINGS, 0, 0, Buffer.alloc(5)),
		'PING of a wrong size': frame(TYPE.PING, 0, 0, Buffer.alloc(7)),
		'CONTINUATION alone': frame(TYPE.CONTINUATION, END_HEADERS, 1, block(GET('/'))),
		'a frame beyond the maximum': frame(TYPE.DATA, 0, 1, Buffer.alloc(16385)),
		'HPACK garbage': frame(TYPE.HEADERS, END_STREAM | END_HEADERS, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff])),
		'PUSH_PROMISE': frame(TYPE.PUSH_PROMISE, END_HEADERS, 1, u32(2)),
	};
	for (const [name, bytes] of Object.entries(broken)) {
		const c = await H2Connection.open(server.url);
		c.send(bytes, headers(99, GET('/')));
		const code = await c.goaway();
		assert.ok(code > 0, name);
	}
});
