/*
 * What time tells of a credential: pairs of refusals that differ in what exists, in turn over one connection
 *
 * A difference of the medians below 5 us is not to be told apart over a network.
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../system/lib/check.mjs';
import { Gateway } from '../system/lib/gateway.mjs';
import { RawConnection } from '../system/lib/raw.mjs';

const SAMPLES = Number(process.env.SAMPLES ?? 50_000); /* of each kind */
const DIFFERENCE_MAX_US = 5;
const KEY = 'k'.repeat(40) + '0123456789abcdef01234567';

let gw;

before(async () => {
	gw = await Gateway.start();
	await gw.make('/consumers', { username: 'jane' });
	await gw.make('/consumers/jane/key-auth', { key: KEY });
	await gw.make('/consumers/jane/basic-auth', { username: 'jane-who-exists', password: 'secret' });
	for (const plugin of ['key-auth', 'basic-auth']) {
		await gw.route({ name: plugin, url: 'http://127.0.0.1:1' }, { paths: [`/${plugin}`] });
		await gw.make(`/services/${plugin}/plugins`, { name: plugin });
	}
});

after(() => gw?.close());

const basic = (name, password) => `Authorization: Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`;
const PAIRS = [
	['a key that differs in its last byte, and in all', '/key-auth', [`apikey: ${KEY.slice(0, -1)}x`, `apikey: ${'z'.repeat(KEY.length)}`]],
	['a username that exists, and one that does not', '/basic-auth', [basic('jane-who-exists', 'wrong!'), basic('jane-who-is-not', 'wrong!')]],
];

const median = (values) => Float64Array.from(values).sort()[values.length >> 1];

for (const [what, path, lines] of PAIRS) {
	check(what, { timeout: 600_000 }, async (t) => {
		const c = await RawConnection.open(gw.proxy);
		const requests = lines.map((line) => Buffer.from(`GET ${path} HTTP/1.1\r\nHost: x\r\n${line}\r\n\r\n`));
		const times = [[], []];
		for (let i = 0; i < 2 * SAMPLES; i++) {
			/* Not strictly in turn: what comes second may always be warmer. */
			const kind = (i ^ (i >> 1)) & 1;
			const began = performance.now();
			c.socket.write(requests[kind]);
			const { status } = await c.response();
			times[kind].push((performance.now() - began) * 1000);
			assert.equal(status, 401);
		}
		c.close();
		const [one, other] = times.map(median);
		t.diagnostic(`medians ${one.toFixed(2)} and ${other.toFixed(2)} us`);
		assert.ok(Math.abs(one - other) < DIFFERENCE_MAX_US, `${one} and ${other} us`);
	});
}
