/* Floods against the gateway: each is ended, told in the metrics, and others are served meanwhile. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { connect } from 'node:net';
import { after, before } from 'node:test';
import { check, until } from './lib/check.mjs';
import { request } from './lib/client.mjs';
import { flood, FLOODS, pour } from './lib/floods.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { CODE, frame, GET, H2Connection, headers, PREFACE, settings, TYPE, u32, windowUpdate } from './lib/h2raw.mjs';
import { getter, load } from './lib/load.mjs';
import { RawConnection } from './lib/raw.mjs';

let gw;
let echo;

before(async () => {
	echo = await Echo.start({
		answer: (_, reply, seen) => {
			if (seen.url === '/big') {
				reply.end(Buffer.alloc(4 << 20));
			} else if (seen.url !== '/hang') {
				reply.end('{}');
			}
		},
	});
	gw = await Gateway.start({ gateway: { listen: [{ address: '127.0.0.1:0', http2: true }] } });
	await gw.route({ name: 's', url: echo.url }, { paths: ['/s'] });
});

after(async () => {
	await gw?.close();
	await echo?.close();
});

async function metric(name) {
	const { text } = await request(gw.status, '/metrics');
	return Number(new RegExp(`^posthouse_${name}{role="gateway"} (\\d+)`, 'm').exec(text)[1]);
}

/* While `attack` goes on, and until the steady client was answered some times more: no request of it fails. */
async function besides(attack) {
	const agent = new http.Agent({ keepAlive: true });
	const steady = load(getter(gw, '/s', agent), 2);
	await attack();
	const seen = steady.n;
	await until(() => steady.n > seen + 10, 'the steady client is served');
	const { n, failed } = await steady.stop();
	agent.destroy();
	assert.ok(n > 10);
	assert.deepEqual(failed, []);
}

for (const [name, [make, first]] of Object.entries(FLOODS)) {
	check(`HTTP/2: ${name}`, () => besides(async () => {
		const before = await metric('http_floods_total');
		assert.equal(await flood(gw.proxy, make('/s/hang'), { first: first?.('/s/hang') }), CODE.ENHANCE_YOUR_CALM);
		await until(async () => await metric('http_floods_total') === before + 1, 'it is counted');
		await until(async () => await metric('http_connections') <= 3, 'nothing is left of it');
	}));
}

/* What the kernel holds for us, and what is read in steps and thrown away; some 2000 where it is read for two seconds. */
const TAKEN_MAX = 64 << 20;

check('HTTP/2: who goes on after GOAWAY is read slowly', async () => {
	const first = Buffer.concat([PREFACE, settings()]);
	const goaway = frame(TYPE.GOAWAY, 0, 0, Buffer.concat([u32(0), u32(CODE.ENHANCE_YOUR_CALM)]));
	const piece = Buffer.concat(Array(10_000).fill(windowUpdate(0, 1)));
	const { said, taken } = await pour(gw.proxy, first, piece, goaway);
	assert.ok(said.includes(goaway));
	assert.ok(taken < TAKEN_MAX, `${taken} bytes`);
});

check('HTTP/1: who goes on after the refusal is read slowly', async () => {
	const { said, taken } = await pour(gw.proxy, 'GET / HTTP/1.1\r\nX: ', Buffer.alloc(130_000, 'x'), 'HTTP/1.1 431 ');
	assert.match(said.toString('latin1'), /^HTTP\/1\.1 431 /);
	assert.ok(taken < TAKEN_MAX, `${taken} bytes`);
});

check('HTTP/1: who looks for the answer after a large body finds the refusal', async () => {
	const { hostname, port } = new URL(gw.proxy);
	const socket = connect(port, hostname).pause();
	const body = Buffer.alloc(10 << 20);
	socket.write(`POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`);
	await new Promise((yes, no) => {
		socket.once('error', no);
		socket.write(body, yes);
	});
	let text = '';
	for await (const data of socket) {
		text += data;
	}
	assert.match(text, /^HTTP\/1\.1 404 /);
});

check('HTTP/2: answers that nobody takes cost a window each, and no more', () => besides(async () => {
	const c = await H2Connection.open(gw.proxy, [[4, 0]]);
	const before = await gw.rss();
	c.send(...Array.from({ length: 100 }, (_, i) => headers(2 * i + 1, GET('/s/big'))));
	await until(() => c.frames.filter((f) => f.type === TYPE.HEADERS).length === 100, 'all have their heads');
	const grown = await gw.rss() - before;
	assert.ok(grown < 100 << 20, `${grown >> 20} MiB for 400`);
	c.close();
	await until(async () => await metric('http_connections') <= 3, 'nothing is left of it');
}));

check('HTTP/1: heads that never end', () => besides(async () => {
	const heads = await Promise.all(Array.from({ length: 300 }, () => RawConnection.open(gw.proxy)));
	heads.forEach((c, i) => c.send(`GET /s HTTP/1.1\r\nHost: x\r\nX-${i}: `));
	await until(async () => await metric('http_connections') >= 300, 'all of them are there');
	for (let round = 0; round < 5; round++) {
		heads.forEach((c) => c.send('a'));
		await new Promise(setImmediate);
	}
	heads.forEach((c) => assert.equal(c.ended, false));
	heads.forEach((c) => c.close());
	await until(async () => await metric('http_connections') <= 3, 'nothing is left of them');
}));

const BOMBS = {
	'many lines': Array.from({ length: 20_000 }, (_, i) => `X-${i}: y\r\n`),
	'a long line': ['X: ', ...Array.from({ length: 1000 }, () => 'y'.repeat(1000))],
	'a long target': [`GET /${'a'.repeat(1 << 20)}`],
};

for (const [name, pieces] of Object.entries(BOMBS)) {
	check(`HTTP/1: a head of ${name}`, () => besides(async () => {
		const before = await metric('http_bad_requests_total');
		const c = await RawConnection.open(gw.proxy);
		if (!pieces[0].startsWith('GET')) {
			c.send('GET /s HTTP/1.1\r\nHost: x\r\n');
		}
		for (let i = 0; i < pieces.length && !c.ended; i += 100) {
			c.send(pieces.slice(i, i + 100).join(''));
			await new Promise(setImmediate);
		}
		assert.match(await c.rest(), /^(HTTP\/1\.1 4(14|31) |$)/, 'refused, or reset for what went on');
		assert.equal(await metric('http_bad_requests_total'), before + 1);
	}));
}

check('HTTP/1: extensions of chunks without end', () => besides(async () => {
	const c = await RawConnection.open(gw.proxy);
	c.send('POST /s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n');
	for (let i = 0; i < 1000 && !c.ended; i++) {
		c.send(`1;${'e'.repeat(200)}\r\nx\r\n`);
		await new Promise(setImmediate);
	}
	assert.match(await c.rest(), /^(HTTP\/1\.1 400 |$)/);
}));
