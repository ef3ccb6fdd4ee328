/*
 * Bodies that plugins collect, of all requests together: body_memory_total.
 *
 * What is held is seen in the metrics, so each test waits until its bodies are there, and until
 * they are gone.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import { after, before } from 'node:test';
import { check, Mailbox, until, within } from './lib/check.mjs';
import { request } from './lib/client.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { RawConnection } from './lib/raw.mjs';

const TOTAL = 1 << 20;
const PIECE = 200_000;
const HALF = `{"a":"${'x'.repeat(PIECE)}`;
const FORM = 'application/x-www-form-urlencoded';

let gw;
let echo;
const halves = new Mailbox('an answer of which half is out');

before(async () => {
	echo = await Echo.start({
		answer: (req, res) => {
			res.setHeader('Content-Type', 'application/json');
			if (!req.url.startsWith('/half')) {
				res.end('{"a":1}');
				return;
			}
			res.write(HALF, () => halves.put(() => res.end('"}')));
		},
	});
	gw = await Gateway.start({
		gateway: { listen: [{ address: '127.0.0.1:0', http2: true }], body_memory_max: '512KiB', body_memory_total: '1MiB' },
	});
	const { service } = await gw.route({ name: 's', url: echo.url }, { name: 'plain', paths: ['/plain'] });
	for (const [name, plugin] of Object.entries({
		key: { name: 'key-auth', config: { key_in_body: true } },
		up: { name: 'request-transformer', config: { add: { body: ['b:1'] } } },
		down: { name: 'response-transformer', config: { add: { json: ['b:1'] } } },
	})) {
		await gw.make(`/services/${service.id}/routes`, { name, paths: [`/${name}`] });
		await gw.make(`/routes/${name}/plugins`, plugin);
	}
});

after(async () => {
	await gw?.close();
	await echo?.close();
});

async function metric(name) {
	const { text } = await request(gw.status, '/metrics');
	return Number(new RegExp(`^posthouse_gateway_bodies_${name} (\\d+)$`, 'm').exec(text)[1]);
}

const held = (n) => until(async () => await metric('bytes') === n, `${n} bytes are held`);

/* All of the body but its last byte. */
async function begun(path) {
	const raw = await RawConnection.open(gw.proxy);
	raw.send(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${FORM}\r\nContent-Length: ${PIECE}\r\n\r\n${'x'.repeat(PIECE - 1)}`);
	return raw;
}

function assertRefused(reply) {
	assert.equal(reply.status, 503);
	assert.equal(reply.header('retry-after'), '5');
	assert.match(String(reply.body), /Too many bodies at once\W+request_id: [0-9a-f]{32}/);
}

/* The budget is used up: what collects is refused, all else goes on. */
async function assertFull() {
	const refused = await metric('refused_total');
	assert.ok(await metric('bytes') <= TOTAL);
	const raw = await begun('/up');
	assertRefused(await raw.response({ method: 'POST' }));
	raw.close();
	assert.ok(await metric('refused_total') > refused);
	assert.equal((await gw.get('/plain')).status, 200);
	assert.equal((await gw.post('/plain', 'x'.repeat(PIECE))).status, 200);
	assert.equal((await gw.get('/key')).status, 401);
	assert.ok(await metric('bytes') > TOTAL - PIECE, 'what was held is held');
}

check('bodies that never end take no more than the budget, and give it back', async () => {
	const waiting = [];
	for (let i = 1; i <= 5; i++) {
		waiting.push(await begun(i % 2 ? '/key' : '/up'));
		await held(i * (PIECE - 1));
	}
	await assertFull();
	/* One that is over makes room for another. */
	waiting[1].send('x');
	assert.equal((await waiting[1].response({ method: 'POST' })).status, 200);
	await held(4 * (PIECE - 1));
	assert.equal((await gw.post('/up', 'x'.repeat(PIECE), { 'Content-Type': FORM })).status, 200);
	waiting.forEach((raw) => raw.close());
	await held(0);
});

check('streams of one connection share it', async () => {
	const session = http2.connect(gw.proxy);
	try {
		const streams = [];
		for (let i = 1; i <= 5; i++) {
			streams.push(session.request({ ':method': 'POST', ':path': '/up', 'content-type': FORM }));
			streams.at(-1).on('error', () => {}).write('x'.repeat(PIECE - 1));
			await held(i * (PIECE - 1));
		}
		await assertFull();
		const late = session.request({ ':method': 'POST', ':path': '/up', 'content-type': FORM });
		late.on('error', () => {}).write('x'.repeat(PIECE));
		const [head] = await within(once(late, 'response'), 'a refusal');
		assert.deepEqual([head[':status'], head['retry-after']], [503, '5']);
		streams[0].resume().end('x');
		assert.equal((await within(once(streams[0], 'response'), 'an answer'))[0][':status'], 200);
		await until(async () => await metric('bytes') <= 4 * (PIECE - 1), 'it is given back');
	} finally {
		session.destroy();
	}
	await held(0);
});

check('whole answers of services count, too', async () => {
	const replies = [];
	const ends = [];
	for (let i = 1; i <= 5; i++) {
		replies.push(gw.get('/down/half'));
		ends.push(await halves.take());
		await held(i * HALF.length);
	}
	const reply = await gw.get('/down/half');
	assert.equal(reply.status, 503);
	assert.equal(reply.headers['retry-after'], '5');
	assert.match(reply.text, /Too many bodies at once/);
	await assertFull();
	ends.forEach((end) => end());
	for (const { status, json } of await Promise.all(replies)) {
		assert.equal(status, 200);
		assert.deepEqual([json.a.length, json.b], [PIECE, '1']);
	}
	await held(0);
	assert.deepEqual((await gw.get('/down')).json, { a: 1, b: '1' });
	assert.equal((await gw.send('HEAD', '/down')).status, 200);
	await held(0);
});

check('the log tells it, once in a while', () => {
	const lines = gw.child.story().split('\n').filter((line) => line.includes('take all of body_memory_total'));
	assert.ok(lines.length >= 1 && lines.length <= 8, lines.join('\n'));
});
