/* 10,000 requests, half of them aborted: nothing stays behind. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { check, SANITIZED, until } from './lib/check.mjs';
import { abortable, request } from './lib/client.mjs';
import { Connector } from './lib/connector.mjs';
import { Server } from './lib/server.mjs';
import { pattern, Target } from './lib/target.mjs';

const TOTAL = 10_000;
const BATCH = 100;

/* One batch: half is answered, half is aborted while the target holds it. Every tenth has a stored body. */
async function batch({ server, target, agent }) {
	target.forget();
	const body = (i) => (i % 10 === 0 ? pattern(20_000) : undefined);
	const method = (i) => (i % 10 === 0 ? 'POST' : 'GET');
	const left = Array.from({ length: BATCH / 2 }, (_, i) =>
		abortable(server.relay, '/relay/T1/web/gate', { method: method(i), body: body(i), agent }));
	const served = Array.from({ length: BATCH / 2 }, (_, i) =>
		request(server.relay, `/relay/T1/web/${i % 10 === 0 ? 'chunked/20000' : 'sink'}`, {
			method: method(i), body: body(i), agent,
		}));
	for (let i = 0; i < BATCH; i++) {
		await target.hits.take();
	}
	for (const one of left) {
		one.abort();
	}
	target.open();
	const replies = await Promise.all(served);
	assert.ok(replies.every((r) => r.status === 200));
	await Promise.all(left.map((one) => one.done));
}

/* Everything of the requests before has ended. */
async function quiet(server) {
	await until(async () => await server.metric('posthouse_relay_requests_in_flight') === 0, 'no request in flight');
	await server.noBodyFiles();
}

check('10,000 requests, half aborted, leave no file, descriptor, request or memory', { timeout: 240_000 }, async (t) => {
	const server = await Server.start({ relay: { request_expiration: '60s' } });
	const target = await Target.start();
	const connector = await Connector.start(server, {
		tenant: 'T1', secret: await server.addTenant('T1'), targets: { web: target.url },
	});
	const agent = new http.Agent({ keepAlive: true, maxSockets: BATCH });
	try {
		const marks = [];
		for (let done = 0; done < TOTAL; done += BATCH) {
			await batch({ server, target, agent });
			if (done === TOTAL / 5) {
				await quiet(server);
				marks.push(await server.footprint());
			}
		}
		await quiet(server);
		marks.push(await server.footprint());
		agent.destroy();
		t.diagnostic(`after a fifth ${JSON.stringify(marks[0])}, at the end ${JSON.stringify(marks[1])}`);
		assert.ok(marks[1].fds <= marks[0].fds + BATCH / 2, 'descriptors');
		if (!SANITIZED) {
			/* 8,000 requests: 16 bytes lost in each would pass, a lost request would not. */
			assert.ok(marks[1].rss - marks[0].rss < 12 << 20, `memory grew by ${(marks[1].rss - marks[0].rss) >> 10} KiB`);
		}
		const rows = await until(async () => {
			const page = await server.stats('/statistics/requests?tenant=T1&take=1');
			return page.totalCount >= TOTAL && page;
		}, 'every request has its row');
		assert.equal(rows.totalCount, TOTAL);
		await until(async () => (await server.footprint()).fds < marks[0].fds, 'the clients\' descriptors are closed');
	} finally {
		agent.destroy();
		await connector.close();
		await target.close();
		await server.close();
	}
});
