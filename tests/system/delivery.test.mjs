/* Several connectors, acknowledgement, limits and tenants kept apart: spec §7, §9. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check, until } from './lib/check.mjs';
import { abortable, request } from './lib/client.mjs';
import { Connector } from './lib/connector.mjs';
import { Recorder } from './lib/recorder.mjs';
import { Server } from './lib/server.mjs';
import { SignalrConnector } from './lib/signalr.mjs';
import { pattern, Target, values } from './lib/target.mjs';

let server;
let secret;

before(async () => {
	server = await Server.start();
	secret = await server.addTenant('T1');
});

after(() => server?.close());

check('check 27: two connectors share the requests; when one is killed the other serves all', async () => {
	const targets = [await Target.start(), await Target.start()];
	const connectors = [];
	for (const target of targets) {
		connectors.push(await Connector.start(server, { tenant: 'T1', secret, targets: { web: target.url } }));
	}
	await server.connections(2);
	const ask = async (n) => {
		const replies = await Promise.all(Array.from({ length: n },
			(_, i) => request(server.relay, `/relay/T1/web/${i}`)));
		assert.deepEqual(replies.map((r) => r.status), Array(n).fill(200));
	};
	await ask(20);
	assert.ok(targets.every((t) => t.requests.length > 0), targets.map((t) => t.requests.length).join());
	await connectors[0].kill();
	await server.connections(1);
	await ask(20);
	await connectors[1].stop();
	await server.connections(0);
	await Promise.all(targets.map((t) => t.close()));
});

check('check 28: with limit 1 a connector gets one request after another', async () => {
	const limited = await server.addTenant('limited', { maximumConcurrentConnectorRequests: 1 });
	const target = await Target.start();
	const recorder = await Recorder.start(server.relay);
	const connector = await Connector.start(server, {
		tenant: 'limited', secret: limited, url: recorder.url, targets: { web: target.url },
	});
	try {
		const replies = Array.from({ length: 3 }, () => request(server.relay, '/relay/limited/web/gate'));
		for (let i = 0; i < 3; i++) {
			await target.hits.take();
			assert.equal(target.running, 1);
			assert.equal(recorder.invocations('down', 'RequestTarget').length, i + 1);
			target.open();
		}
		assert.deepEqual((await Promise.all(replies)).map((r) => r.text), Array(3).fill('through the gate'));
		assert.equal(target.mostRunning, 1);
		assert.ok(recorder.invocations('down', 'RequestTarget').every((r) => r.acknowledgeMode === 2));
		assert.ok(recorder.invocations('up', 'Acknowledge').length === 3);
	} finally {
		await connector.close();
		await recorder.close();
		await target.close();
	}
});

check('check 29: ConnectorFinished: a killed connector\'s request runs again on another', async () => {
	const careful = await Server.start({ relay: { acknowledge_mode: 'connector_finished', request_expiration: '30s' } });
	const targets = [await Target.start(), await Target.start()];
	try {
		const theirs = await careful.addTenant('T1');
		const first = await Connector.start(careful, { tenant: 'T1', secret: theirs, targets: { web: targets[0].url } });
		const pending = request(careful.relay, '/trace/T1/web/gate', { method: 'POST', body: pattern(20000) });
		const before = await targets[0].hits.take();
		const second = await Connector.start(careful, { tenant: 'T1', secret: theirs, targets: { web: targets[1].url } });
		await first.kill();
		const again = await targets[1].hits.take();
		targets[1].open();
		const reply = await pending;
		assert.equal(reply.status, 200);
		assert.equal(reply.text, 'through the gate');
		const id = (hit) => values(hit.raw, 'relayserver-requestid');
		assert.deepEqual(id(again), id(before));
		assert.equal(reply.headers['relayserver-requestid'], id(before)[0]);
		await careful.noBodyFiles();
		await second.stop();
	} finally {
		await careful.close();
		await Promise.all(targets.map((t) => t.close()));
	}
});

check('ConnectorReceived: acknowledged when the request is there, body included', async () => {
	const careful = await Server.start({ relay: { acknowledge_mode: 'connector_received' } });
	const target = await Target.start();
	const recorder = await Recorder.start(careful.relay);
	try {
		const connector = await Connector.start(careful, {
			tenant: 'T1', secret: await careful.addTenant('T1'), url: recorder.url, targets: { web: target.url },
		});
		const pending = request(careful.relay, '/relay/T1/web/gate', { method: 'POST', body: pattern(20000) });
		await target.hits.take();
		const record = await recorder.invocation('down', 'RequestTarget');
		const acknowledged = await recorder.invocation('up', 'Acknowledge');
		assert.equal(record.acknowledgeMode, 1);
		assert.notEqual(record.acknowledgeOriginId, null);
		assert.equal(acknowledged.requestId, record.requestId);
		assert.equal(acknowledged.originId, record.requestOriginId);
		assert.equal(recorder.lines(/^GET \/body\/request\/[0-9a-f]{32}\?delete=false /).length, 1);
		target.open();
		assert.equal((await pending).status, 200);
		await careful.noBodyFiles();
		await connector.stop();
	} finally {
		await careful.close();
		await recorder.close();
		await target.close();
	}
});

check('check 30: Manual: the target gets an URL to acknowledge with, twice if it likes', async () => {
	const manual = await Server.start({ relay: { acknowledge_mode: 'manual' } });
	const target = await Target.start();
	try {
		const connector = await Connector.start(manual, {
			tenant: 'T1', secret: await manual.addTenant('T1'), targets: { web: target.url },
		});
		const pending = request(manual.relay, '/relay/T1/web/gate', { method: 'POST', body: pattern(20000) });
		const hit = await target.hits.take();
		const [url] = values(hit.raw, 'RelayServer-AcknowledgeUrl');
		assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/acknowledge\/[0-9a-f-]{32,36}\/[0-9a-f-]{32,36}$/);
		assert.ok(!url.includes('00000000-0000-0000'), 'the origin is not empty');
		for (let i = 0; i < 2; i++) {
			const acknowledged = await fetch(url, { method: 'POST' });
			assert.equal(acknowledged.status, 204);
		}
		target.open();
		assert.equal((await pending).status, 200);
		await manual.noBodyFiles();
		await connector.stop();
	} finally {
		await manual.close();
		await target.close();
	}
});

check('a response that could not be delivered is delivered after the reconnect', async () => {
	const careful = await Server.start({ relay: { acknowledge_mode: 'connector_received', request_expiration: '30s' } });
	const target = await Target.start();
	const recorder = await Recorder.start(careful.relay);
	try {
		const connector = await Connector.start(careful, {
			tenant: 'T1', secret: await careful.addTenant('T1'), url: recorder.url, targets: { web: target.url },
		});
		const pending = request(careful.relay, '/relay/T1/web/gate');
		await target.hits.take();
		await recorder.invocation('up', 'Acknowledge');
		const from = connector.seenLines;
		recorder.cut();
		target.open();
		await connector.connected({ from });
		assert.equal((await pending).text, 'through the gate');
		assert.equal(target.requests.length, 1);
		await connector.stop();
	} finally {
		await careful.close();
		await recorder.close();
		await target.close();
	}
});

/* `fn` while the next fetch of a body passes. */
function atFetch(recorder, fn) {
	return new Promise((done) => {
		recorder.on('head', function look(head) {
			if (/^GET \/body\/request/.test(head)) {
				recorder.off('head', look);
				fn();
				done();
			}
		});
	});
}

for (const mode of ['connector_received', 'connector_finished']) {
	check(`${mode}: all connections are cut while a body is fetched: the request is done nevertheless, once`, async () => {
		const careful = await Server.start({ relay: { acknowledge_mode: mode, request_expiration: '30s' } });
		const target = await Target.start();
		const recorder = await Recorder.start(careful.relay);
		const connector = await Connector.start(careful, {
			tenant: 'T1', secret: await careful.addTenant('T1'), url: recorder.url, targets: { web: target.url },
		});
		try {
			for (const [kind, status] of [['queue', 202], ['relay', 200]]) {
				const from = connector.seenLines;
				const cut = atFetch(recorder, () => recorder.cut());
				const reply = request(careful.relay, `/${kind}/T1/web/sink`, { method: 'POST', body: pattern(100_000) });
				await cut;
				await connector.connected({ from });
				assert.equal((await reply).status, status);
				await target.hits.take();
				await careful.noBodyFiles();
			}
			assert.deepEqual(target.requests.map((r) => r.headers['content-length']), ['100000', '100000']);
		} finally {
			await connector.close();
			await careful.close();
			await recorder.close();
			await target.close();
		}
	});
}

check('who loses the connection while he fetches a body leaves the request to another connector', async () => {
	const careful = await Server.start({ relay: { acknowledge_mode: 'connector_finished', request_expiration: '30s' } });
	const target = await Target.start();
	const recorder = await Recorder.start(careful.relay);
	const options = { tenant: 'T1', secret: await careful.addTenant('T1'), targets: { web: target.url } };
	const connectors = [await Connector.start(careful, { ...options, url: recorder.url })];
	try {
		const asked = atFetch(recorder, () => recorder.freeze());
		const reply = request(careful.relay, '/relay/T1/web/gate', { method: 'POST', body: pattern(100_000) });
		await asked;
		connectors.push(await Connector.start(careful, options));
		const from = connectors[0].seenLines;
		recorder.thaw();
		recorder.cut();
		await target.hits.take();
		const since = Date.now();
		await connectors[0].connected({ from });
		await until(() => Date.now() - since > 1000, 'the first could have tried again');
		assert.equal(target.requests.length, 1);
		target.open();
		assert.equal((await reply).status, 200);
	} finally {
		for (const connector of connectors) {
			await connector.close();
		}
		await careful.close();
		await recorder.close();
		await target.close();
	}
});

check('check 31: the client leaves during the target\'s call: nothing fails, nothing stays', async () => {
	const hub = await SignalrConnector.start(server, { tenant: 'T1', secret });
	const { done, abort } = abortable(server.relay, '/relay/T1/x', { method: 'POST', body: pattern(30000) });
	const record = await hub.requests.take();
	assert.equal((await hub.body(record)).length, 30000);
	const stored = await hub.storeBody(record, pattern(40000));
	assert.equal(stored.status, 200);
	abort();
	assert.ok((await done).error);
	assert.equal(await hub.deliver(record, { changes: { bodySize: 40000, originalBodySize: 40000 } }), null);
	await server.noBodyFiles();
	/* And where the client was gone before the body came. */
	const second = abortable(server.relay, '/relay/T1/x');
	const late = await hub.requests.take();
	second.abort();
	await second.done;
	await hub.storeBody(late, pattern(40000));
	assert.equal(await hub.deliver(late, { changes: { bodySize: 40000 } }), null);
	await server.noBodyFiles();
	await hub.stop();
});

check('check 42: another tenant can neither answer a request nor read or write its bodies', async () => {
	const mine = await SignalrConnector.start(server, { tenant: 'T1', secret });
	const theirs = await SignalrConnector.start(server, { tenant: 'T2', secret: await server.addTenant('T2') });
	const pending = request(server.relay, '/relay/T1/x', { method: 'POST', body: pattern(20000) });
	const record = await mine.requests.take();

	assert.equal(await theirs.deliver(record, { status: 200, body: 'forged' }), null);
	assert.equal((await theirs.fetchBody(record)).status, 404);
	assert.equal((await theirs.storeBody(record, pattern(20000))).status, 404);
	await theirs.acknowledge(record);

	assert.ok((await mine.body(record)).equals(pattern(20000)));
	assert.equal((await mine.fetchBody(record)).status, 404, 'fetched and deleted');
	await mine.deliver(record, { body: 'genuine' });
	assert.equal((await pending).text, 'genuine');
	assert.equal((await mine.storeBody(record, pattern(20000))).status, 404, 'the request is over');
	assert.equal(theirs.received.length, 0);
	await server.noBodyFiles();
	await mine.stop();
	await theirs.stop();
});

/*
 * A request of `mode` that one connector got, lost its connection and came back, and that another one got
 * after that: `fn` has both of them, the request and the reply to come.
 */
async function sentTwice(mode, fn) {
	const careful = await Server.start({ relay: { acknowledge_mode: mode, request_expiration: '30s' } });
	const hubs = [];
	const connect = async (theirs) => hubs.push(await SignalrConnector.start(careful, { tenant: 'T1', secret: theirs }));
	try {
		const theirs = await careful.addTenant('T1');
		await connect(theirs);
		const reply = request(careful.relay, '/relay/T1/x', { method: 'POST', body: pattern(20000) });
		const record = await hubs[0].requests.take();
		const body = await hubs[0].body(record);
		await hubs[0].stop();
		await connect(theirs);
		assert.equal((await hubs[1].requests.take()).requestId, record.requestId);
		await connect(theirs);
		assert.ok(body.equals(pattern(20000)));
		await fn({ first: hubs[2], second: hubs[1], record, reply });
		await careful.noBodyFiles();
	} finally {
		await Promise.all(hubs.map((hub) => hub.stop()));
		await careful.close();
	}
}

check('who gets no body since another has acknowledged the request does not fail it', async () => {
	const failed = { status: 502, changes: { requestFailed: true } };
	for (const [answer, status] of [[{ status: 201 }, 201], [{ ...failed, status: 504 }, 504]]) {
		await sentTwice('connector_received', async ({ first, second, record, reply }) => {
			await first.acknowledge(record);
			assert.equal((await second.fetchBody(record)).status, 404);
			assert.equal(await second.deliver(record, failed), null);
			assert.equal(await first.deliver(record, answer), null);
			assert.equal((await reply).status, status);
		});
	}
});

check('of two that bring a large response each, the client gets head and body of one', async () => {
	await sentTwice('connector_finished', async ({ first, second, record, reply }) => {
		const bodies = [Buffer.alloc(100_000, 'A'), Buffer.alloc(50_000, 'B')];
		const deliver = (hub, etag, { length }) => hub.deliver(record, {
			headers: { ETag: [`"${etag}"`] }, changes: { bodySize: length, originalBodySize: length },
		});
		assert.equal((await first.storeBody(record, bodies[0])).status, 200);
		assert.equal((await second.storeBody(record, bodies[1])).status, 200);
		assert.equal(await deliver(first, 'A', bodies[0]), null);
		assert.equal(await deliver(second, 'B', bodies[1]), null);
		const { headers, body } = await reply;
		assert.equal(headers.etag, '"B"');
		assert.ok(body.equals(bodies[1]));
	});
});

check('a second response to the same request is ignored', async () => {
	const hub = await SignalrConnector.start(server, { tenant: 'T1', secret });
	const pending = request(server.relay, '/relay/T1/x');
	const record = await hub.requests.take();
	assert.equal(await hub.deliver(record, { body: 'first' }), null);
	assert.equal(await hub.deliver(record, { body: 'second' }), null);
	assert.equal((await pending).text, 'first');
	await hub.stop();
});
