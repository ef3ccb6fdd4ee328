/* Our connector's behaviour towards an original server: spec §5.4, §15. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { check, event, until, within } from './lib/check.mjs';
import { Connector } from './lib/connector.mjs';
import { Original } from './lib/original.mjs';
import { beginner, pattern, sha256, Target, values } from './lib/target.mjs';

let target;

before(async () => {
	target = await Target.start({ base: '/base/' });
});

after(async () => {
	await target?.close();
});

async function original(options, fn, connect = {}) {
	const theirs = await Original.start(options);
	const connector = await Connector.start(theirs, {
		tenant: 'TestTenant1', secret: '<Strong!Passw0rd>', targets: { web: target.url }, ...connect,
	});
	try {
		await fn(theirs, await theirs.links.take(), connector);
	} finally {
		target.open();
		await connector.close();
		await theirs.close();
	}
}

check('check 41: a secret with special characters is form-encoded', async () => {
	await original({}, (theirs, link) => {
		assert.equal(Buffer.from(theirs.credentials.slice(6), 'base64').toString(), 'TestTenant1:%3CStrong%21Passw0rd%3E');
		assert.equal(theirs.grant, 'grant_type=client_credentials&scope=connector');
		assert.equal(link.authorization, `Bearer ${theirs.tokens[0]}`);
		assert.deepEqual(link.records[0], { protocol: 'json', version: 1 });
	});
});

check('SIGTERM towards a server that does not know what leaving is', () => original({}, async (theirs, link, connector) => {
	target.forget();
	link.request({ url: 'gate' });
	await target.hits.take();
	const ended = connector.stop();
	await until(() => link.records.some((r) => r.target === 'Leave'), 'it leaves');
	/* Behind the answer to that. */
	link.request({ url: 'status/200' });
	const refused = await link.delivered.take();
	assert.equal(refused.httpStatusCode, 503);
	assert.equal(refused.requestFailed, true);
	target.open();
	assert.equal((await link.delivered.take()).httpStatusCode, 200);
	await ended;
	assert.equal(connector.child.code, 0, connector.child.story());
}));

check('the shape of a response', async () => {
	await original({}, async (theirs, link) => {
		const requestId = link.request({ url: 'bytes/5' });
		const delivered = await link.delivered.take();
		assert.equal(delivered.requestId, requestId);
		assert.deepEqual(Object.keys(delivered).sort(), [
			'bodyContent', 'bodySize', 'connectionId', 'httpHeaders', 'httpStatusCode', 'originalBodySize',
			'requestDuration', 'requestFailed', 'requestId', 'requestOriginId', 'requestStart',
		]);
		assert.equal(delivered.bodySize, 5);
		assert.ok(Buffer.from(delivered.bodyContent, 'base64').equals(pattern(5)));
		assert.deepEqual(delivered.httpHeaders['Content-Type'], ['application/x-pattern']);
		link.request({ url: 'x', enableTracing: true });
		const traced = await link.delivered.take();
		assert.match(traced.requestDuration, /^00:00:00(\.\d{7})?$/);
		assert.ok(!Number.isNaN(Date.parse(traced.requestStart)));
		assert.match(traced.httpHeaders['RelayServer-TargetDuration'][0], /^0:00:00\.\d{7}$/);
		link.request({ target: 'nowhere' });
		const failed = await link.delivered.take();
		assert.equal(failed.httpStatusCode, 404);
		assert.equal(failed.requestFailed, true);
	});
});

check('a refused token at the body endpoints: a new one, once', async () => {
	await original({}, async (theirs, link) => {
		theirs.answer(/GET \/body\/request/, 401);
		theirs.answer(/POST \/body\/response/, 401);
		const requestId = link.request({ url: 'echo', httpMethod: 'POST', body: pattern(100_000) });
		const delivered = await link.delivered.take();
		assert.equal(delivered.httpStatusCode, 200);
		assert.equal(delivered.bodySize, 100_000);
		assert.equal(delivered.bodyContent, null);
		assert.equal(sha256(theirs.uploads.get(requestId.replaceAll('-', ''))), sha256(pattern(100_000)));
		assert.equal(theirs.tokens.length, 3);
		theirs.answer(/GET \/body\/request/, 401, 2);
		link.request({ url: 'echo', httpMethod: 'POST', body: pattern(100_000) });
		assert.equal((await link.delivered.take()).httpStatusCode, 502);
		theirs.answer(/POST \/body\/response/, 413);
		link.request({ url: 'bytes/5000000' });
		assert.equal((await link.delivered.take()).httpStatusCode, 502);
	});
});

const upload = (acknowledgeMode, changes) => ({
	acknowledgeMode, acknowledgeOriginId: randomUUID(), url: 'sink', httpMethod: 'POST', body: pattern(100_000), ...changes,
});

function uploaded(delivered) {
	assert.equal(delivered.httpStatusCode, 200);
	assert.equal(JSON.parse(Buffer.from(delivered.bodyContent, 'base64')).sha256, sha256(pattern(100_000)));
}

check('a body that is not to be had for a moment is fetched again', () => original({}, async (theirs, link) => {
	target.forget();
	for (const mode of [0, 1, 2, 3]) {
		theirs.answer(/GET \/body\/request/, 503, 2);
		link.request(upload(mode));
		uploaded(await link.delivered.take());
	}
	theirs.answer(/GET \/body\/request/, 401);
	theirs.answer(/POST \/token/, 503);
	link.request(upload(2));
	uploaded(await link.delivered.take());
	assert.equal(target.requests.length, 5);
	theirs.answer(/GET \/body\/request/, 404);
	link.request(upload(2));
	assert.equal((await link.delivered.take()).httpStatusCode, 502, 'it is over');
	assert.equal(link.acknowledged.length, 4);
	assert.equal(theirs.count(/GET \/body\/request/), 4 * 3 + 2 + 1);
}));

check('what breaks off in its body is done again, unless the mode forbids it', () => original({}, async (theirs, link) => {
	const breakOff = async (mode, changes) => {
		target.forget();
		theirs.hold();
		link.request(upload(mode, changes));
		const half = await theirs.held.take();
		await target.hits.take();
		half.destroy();
	};
	for (const mode of [1, 2, 3]) {
		await breakOff(mode);
		uploaded(await link.delivered.take());
		assert.equal(target.requests.length, 2);
		assert.equal(link.acknowledged.length, mode === 3 ? 2 : mode);
	}
	await breakOff(2, { discardConnectorResponse: true });
	await target.hits.take();
	await until(() => link.acknowledged.length === 3, 'it is acknowledged');
	/* Its answer has begun by then. */
	const asked = theirs.count(/POST \/body\/response/);
	theirs.hold();
	const requestId = link.request(upload(2, { target: '$echo', url: '' }));
	const half = await theirs.held.take();
	await until(() => theirs.count(/POST \/body\/response/) > asked, 'its answer is uploaded');
	half.destroy();
	assert.equal((await link.delivered.take()).bodySize, 100_000);
	assert.equal(sha256(theirs.uploads.get(requestId.replaceAll('-', ''))), sha256(pattern(100_000)));
	await breakOff(0);
	assert.equal((await link.delivered.take()).httpStatusCode, 502);
}));

check('a body that is not to be had in all the time: its request is not taken for done', () => original({
	endpointTimeout: '00:00:01',
}, async (theirs, link, connector) => {
	const never = () => theirs.answer(/GET \/body\/request/, 503, Infinity);
	const again = async (to, requestId, mode, changes) => {
		theirs.refuse.clear();
		target.forget();
		to.request(upload(mode, { requestId, ...changes }));
		await target.hits.take();
	};
	for (const mode of [1, 2, 3]) {
		never();
		const requestId = link.request(upload(mode));
		assert.equal((await link.delivered.take()).httpStatusCode, 502);
		assert.equal(link.acknowledged.length, 0);
		await again(link, requestId, mode);
		uploaded(await link.delivered.take());
		if (mode !== 3) {
			await link.acknowledged.take();
		}
	}
	const discardConnectorResponse = true;
	never();
	const job = link.request(upload(2, { discardConnectorResponse }));
	await connector.child.line(/body of a request without a client cannot be fetched/);
	assert.equal(link.acknowledged.length, 0);
	await again(link, job, 2, { discardConnectorResponse });
	await link.acknowledged.take();

	/* The server has sent it to somebody else meanwhile, whose answer ours must not be. */
	never();
	const asked = theirs.count(/GET \/body\/request/);
	const moved = link.request(upload(2));
	await until(() => theirs.count(/GET \/body\/request/) > asked, 'its body is asked for');
	const since = Date.now();
	link.ws.terminate();
	const next = await theirs.links.take();
	await until(() => Date.now() - since > 2500, 'its time is over');
	const ping = next.request({ target: '$ping' });
	assert.equal((await next.delivered.take()).requestId, ping);
	assert.equal(next.acknowledged.length, 0);
	await again(next, moved, 2);
	uploaded(await next.delivered.take());
}));

check('an answer is gathered until its request is over, which nothing but 404 says', () => beginner((req, res) => {
	res.writeHead(200, req.url === '/known' ? { 'Content-Length': 10 } : {});
	res.write('12345');
}, (url, begun) => original({ endpointTimeout: '00:00:00.5000000' }, async (theirs, link) => {
	const begin = async (path, statuses) => {
		const id = link.request({ url: path });
		const line = new RegExp(`POST /body/response/${id.replaceAll('-', '')}`);
		for (const status of statuses) {
			theirs.answer(new RegExp(line), status);
		}
		return { res: await begun.take(), id, asked: (n) => until(() => theirs.count(line) >= n, `it asks ${n} times`) };
	};
	for (const path of ['known', 'unknown']) {
		const { res, asked } = await begin(path, [408, 401, 200]);
		/* The fourth gets no answer. */
		await asked(5);
		res.end('67890');
		const delivered = await link.delivered.take();
		assert.equal(delivered.httpStatusCode, 200);
		assert.equal(Buffer.from(delivered.bodyContent, 'base64').toString(), '1234567890');
	}
	assert.equal(theirs.tokens.length, 3, 'a refused token is not used again');
	assert.equal(theirs.uploads.size, 0);
	const grows = await begin('unknown', [408]);
	await grows.asked(2);
	grows.res.end(pattern(50_000));
	assert.equal((await link.delivered.take()).bodySize, 50_005);
	assert.equal(sha256(theirs.uploads.get(grows.id.replaceAll('-', ''))), sha256(Buffer.concat([Buffer.from('12345'), pattern(50_000)])));
	const over = await begin('unknown', [408, 404]);
	await event(over.res, 'close', 'the target is left');
	assert.equal((await link.delivered.take()).httpStatusCode, 502);
}, { targets: { web: url } })));

check('what waited for its place is begun unless the server says that it is over', () => beginner(() => {}, (url, begun) => original({}, async (theirs, link) => {
	for (const status of [404, 405, 401, 410]) {
		theirs.answer(/GET \/body\/response/, status);
		link.request({ url: 'first' });
		const first = await begun.take();
		const since = Date.now();
		link.request({ url: 'second' });
		await until(() => Date.now() - since > 2000, 'it waits for a while');
		first.end();
		await link.delivered.take();
		if (status !== 410) {
			(await begun.take()).end();
		}
		assert.equal((await link.delivered.take()).httpStatusCode, status === 410 ? 502 : 200);
	}
	assert.equal(theirs.count(/GET \/body\/response/), 4);
	assert.equal(begun.length, 0);
}, { targets: { web: url }, settings: { max_concurrent: 1 } })));

check('a discarded answer is read for a time, and ten times as long where there is room', () => beginner((req, res) => {
	const timer = setInterval(() => res.write('x'.repeat(100_000)), 20);
	res.begunAt = Date.now();
	res.lasted = () => Date.now() - res.begunAt;
	res.left = once(res, 'close').then(() => clearInterval(timer));
	res.stop = () => {
		clearInterval(timer);
		res.end();
	};
}, async (url, begun) => {
	const run = (settings, fn) => original({ endpointTimeout: '00:00:00.3000000' }, async (theirs, link) => {
		const job = async (acknowledgeMode = 2) => {
			link.request({ discardConnectorResponse: true, acknowledgeMode, acknowledgeOriginId: randomUUID() });
			return await begun.take();
		};
		await fn(link, job);
	}, { targets: { web: url }, settings });
	const isLeft = async (link, res) => {
		await within(res.left, 'the target is left');
		await link.acknowledged.take();
	};
	await run({ max_concurrent: 1 }, async (link, job) => {
		let res = await job();
		await link.acknowledged.take(); /* its place at the server may be needed */
		assert.ok(res.lasted() > 250, 'its time is over');
		await until(() => res.lasted() > 1000 && res.socket.bytesWritten > 2 << 20, 'a job of some time and size');
		res.stop();
		await res.left;
		assert.ok(res.writableFinished);
		res = await job();
		link.request({ target: '$ping' });
		await isLeft(link, res);
		assert.equal((await link.delivered.take()).httpStatusCode, 200);
		assert.ok(res.lasted() > 250, 'its time is its own');
		res = await job();
		await isLeft(link, res);
		assert.ok(res.lasted() > 2500, 'nobody waited');
	});
	for (const [settings, mode, acknowledgements] of [
		[{ max_concurrent: 1 }, 2, 1], [{ requests_max: 1 }, 2, 1], [{ requests_max: 1 }, 1, 1], [{ requests_max: 1 }, 0, 0],
		[{ requests_max: 1 }, 3, 0],
	]) {
		await run(settings, async (link, job) => {
			const res = await job(mode);
			await until(() => res.lasted() > 1000, 'its time is over');
			link.request({ target: '$ping' });
			assert.equal((await link.delivered.take()).httpStatusCode, 200);
			await within(res.left, 'the target is left');
			assert.ok(res.lasted() < 2800, 'it made room');
			assert.equal(link.acknowledged.length, acknowledgements, `mode ${mode}`);
		});
	}
}));

check('acknowledgements by mode, and before the response', async () => {
	await original({}, async (theirs, link) => {
		const origin = 'aaaaaaaa-0000-4000-8000-000000000001';
		const send = (acknowledgeMode, changes) => link.request({
			acknowledgeMode, acknowledgeOriginId: origin, url: 'x', ...changes,
		});
		for (const mode of [1, 2]) {
			const requestId = send(mode);
			await link.delivered.take();
			assert.equal((await link.acknowledged.take()).requestId, requestId);
			const order = link.records.filter((r) => r.type === 1).slice(-2).map((r) => r.target);
			assert.deepEqual(order, ['Acknowledge', 'Deliver']);
		}
		target.forget();
		const requestId = send(3);
		const [url] = values((await target.hits.take()).raw, 'RelayServer-AcknowledgeUrl');
		assert.equal(url, `${theirs.relay}/acknowledge/${origin}/${requestId}`);
		await link.delivered.take();
		assert.equal(link.acknowledged.length, 0);
		/* Nobody but the connector can acknowledge what no target saw. */
		for (const what of ['nowhere', '$ping', '$echo']) {
			send(3, { target: what });
			await link.delivered.take();
			await link.acknowledged.take();
		}
		send(2, { discardConnectorResponse: true });
		await link.acknowledged.take();
		assert.equal(link.delivered.length, 0);
	});
});

check('a request that is sent again while it runs here, or after it was done here, is done once', async () => {
	await original({}, async (theirs, first) => {
		const links = [first, await theirs.links.take()];
		/* Something else may be sent twice, as nobody knows what arrived. */
		const of = async (box, requestId) => {
			for (;;) {
				const record = await box.take();
				if (record.requestId === requestId) {
					return record;
				}
			}
		};
		const ping = (link) => of(link.delivered, link.request({ target: '$ping' }));
		target.forget();
		for (const acknowledgeMode of [1, 2]) {
			const [lost, link] = links;
			const requestId = randomUUID();
			const send = (to) => to.request({
				requestId, requestOriginId: randomUUID(), acknowledgeOriginId: randomUUID(), acknowledgeMode, url: 'gate',
			});
			send(lost);
			await target.hits.take();
			await ping(lost);
			assert.equal(lost.acknowledged.length, acknowledgeMode === 1 ? 1 : 0);
			lost.ws.terminate();
			send(link);
			await ping(link);
			assert.equal(link.acknowledged.length, acknowledgeMode === 1 ? 1 : 0, 'what is acknowledged is so here, too');
			target.open();
			assert.equal((await of(link.delivered, requestId)).httpStatusCode, 200);
			send(link);
			await ping(link);
			const told = link.records.filter((r) => r.target === 'Acknowledge' && r.arguments[0].requestId === requestId);
			assert.equal(told.length, 2);
			links[0] = await theirs.links.take();
			link.acknowledged.items.length = 0;
		}
		assert.equal(target.requests.length, 2);
	}, { settings: { connections: 2 } });
});

check('Manual: what another process of the server sends again is done again, since its URL is another one', async () => {
	await original({}, async (theirs, link) => {
		target.forget();
		const origins = [randomUUID(), randomUUID()];
		const requestId = randomUUID();
		const send = (acknowledgeOriginId) => link.request({
			requestId, requestOriginId: origins[0], acknowledgeOriginId, acknowledgeMode: 3, url: 'gate',
		});
		const told = async () => values((await target.hits.take()).raw, 'RelayServer-AcknowledgeUrl')[0];
		send(origins[0]);
		assert.ok((await told()).includes(origins[0]));
		send(origins[0]);
		send(origins[1]);
		assert.ok((await told()).includes(origins[1]));
		target.open();
		await link.delivered.take();
		await link.delivered.take();
		/* Nobody acknowledged it. */
		send(origins[0]);
		await told();
		target.open();
		await link.delivered.take();
		assert.equal(target.requests.length, 3);
		assert.equal(link.acknowledged.length, 0);
	});
});

check('a response whose arrival is not known is sent again after a reconnect', async () => {
	await original({}, async (theirs, link) => {
		link.completes = false;
		const ids = [1, 2, 3].map(() => link.request({ url: 'x' }));
		for (const _ of ids) {
			await link.delivered.take();
		}
		link.ws.terminate();
		const next = await theirs.links.take();
		const again = [];
		for (const _ of ids) {
			again.push((await next.delivered.take()).requestId);
		}
		assert.deepEqual(again.sort(), ids.sort());
	});
});

check('close semantics: come back, with an error, for good', async () => {
	await original({}, async (theirs, link, connector) => {
		link.send({ type: 7, allowReconnect: true });
		const second = await theirs.links.take();
		second.send({ type: 7, error: 'Connection closed with an error.' });
		const third = await theirs.links.take();
		third.send({ type: 7 });
		await within(connector.child.exited, 'the connector ends');
		assert.equal(connector.child.code, 1);
		assert.equal(theirs.count(/negotiate/), 3);
		assert.equal(theirs.count(/well-known/), 1, 'discovery is read once');
	});
});

check('a server that sends nonsense is left, and tried again', async () => {
	await original({}, async (theirs, link) => {
		link.ws.send('nonsense\x1e');
		const next = await theirs.links.take();
		next.invoke('RequestTarget', { requestId: 'x' });
		next.invoke('Unknown', {});
		next.request({ url: 'x', httpHeaders: { 'X-Bad': ['a\r\nb'] } });
		assert.equal((await next.delivered.take()).httpStatusCode, 400);
		next.request({ url: 'x', httpMethod: 'BAD METHOD' });
		assert.equal((await next.delivered.take()).httpStatusCode, 400);
		next.request({ url: 'x' });
		assert.equal((await next.delivered.take()).httpStatusCode, 200);
	});
});

check('a first connection that is refused is tried every second', async () => {
	const theirs = await Original.start({});
	theirs.answer(/negotiate/, 404, 2);
	const connector = await Connector.start(theirs, { tenant: 'T', secret: 's', wait: false });
	await theirs.links.take();
	assert.equal(theirs.count(/negotiate/), 3);
	await connector.close();
	await theirs.close();
});

check('Configure changes the heartbeat', async () => {
	await original({}, async (theirs, link) => {
		link.invoke('Configure', {
			tenantName: 'T', keepAliveInterval: '00:00:01', enableTracing: true,
			reconnectMinimumDelay: null, reconnectMaximumDelay: null,
		});
		link.request({ url: 'x' });
		assert.ok((await link.delivered.take()).httpHeaders['RelayServer-RequestId']);
		await theirs.links.take();
		assert.ok(link.records.filter((r) => r.type === 6).length >= 2, 'pings, until the silence was noticed');
	});
});
