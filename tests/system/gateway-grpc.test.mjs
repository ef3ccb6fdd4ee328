/* The gateway carries gRPC, and trailers of requests and answers: spec §10, acceptance check 28. */
import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import { after, before } from 'node:test';
import { once } from 'node:events';
import grpc from '@grpc/grpc-js';
import { check, deferred, event, Mailbox, within } from './lib/check.mjs';
import { Gateway } from './lib/gateway.mjs';
import { CLOSED_PORT } from './lib/ports.mjs';
import { execute } from './lib/process.mjs';
import { RawConnection } from './lib/raw.mjs';

let gw;

before(async () => {
	/* TLS without a certificate: the gateway makes one of its own. */
	gw = await Gateway.start({ gateway: { listen: [{ address: '127.0.0.1:0', http2: true }, { address: '127.0.0.1:0', http2: true, tls: {} }] } });
});

after(async () => {
	await gw?.close();
});

const bytes = (b) => b;
const method = (path, requestStream, responseStream) => ({
	path, requestStream, responseStream, requestSerialize: bytes, requestDeserialize: bytes,
	responseSerialize: bytes, responseDeserialize: bytes,
});
const SERVICE = {
	Unary: method('/test.Echo/Unary', false, false),
	Fail: method('/test.Echo/Fail', false, false),
	Chat: method('/test.Echo/Chat', true, true),
	Count: method('/test.Echo/Count', false, true),
};

function trailer(value) {
	const m = new grpc.Metadata();
	m.set('x-trailer', value);
	return m;
}

const HANDLERS = {
	Unary(call, answer) {
		const head = new grpc.Metadata();
		head.set('x-te', String(call.metadata.get('x-client')));
		call.sendMetadata(head);
		answer(null, call.request, trailer('unary'));
	},
	Fail(call, answer) {
		answer({ code: grpc.status.FAILED_PRECONDITION, details: 'no: 100%', metadata: trailer('fail') });
	},
	Chat(call) {
		call.on('data', (data) => call.write(data));
		call.on('end', () => call.end(trailer('chat')));
	},
	Count(call) {
		for (let i = 0; i < 500; i++) {
			call.write(Buffer.alloc(1000, i));
		}
		call.end(trailer('count'));
	},
};

async function grpcServer() {
	const server = new grpc.Server();
	server.addService(SERVICE, HANDLERS);
	const port = await new Promise((yes, no) => server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(),
		(error, n) => (error ? no(error) : yes(n))));
	return { server, port };
}

/* grpc-js wants to know the certificate: it is that which the gateway shows. */
async function secure() {
	const { hostname, port } = new URL(gw.proxies[1]);
	const { stdout } = await execute('sh', ['-c',
		`openssl s_client -connect ${hostname}:${port} -servername localhost </dev/null 2>/dev/null | openssl x509`]);
	return grpc.credentials.createSsl(Buffer.from(stdout), null, null, { checkServerIdentity: () => undefined });
}

const Client = grpc.makeGenericClientConstructor(SERVICE, 'Echo');

function unary(client, name, data) {
	const done = deferred();
	let call;
	const metadata = new grpc.Metadata();
	metadata.set('x-client', 'c');
	const seen = {};
	call = client[name](data, metadata, (error, value) => {
		seen.error = error;
		seen.value = value;
	});
	call.on('metadata', (m) => {
		seen.head = m;
	});
	call.on('status', (s) => done.resolve({ ...seen, status: s }));
	return within(done.promise, `gRPC ${name}`);
}

/* What was received until the status, sending `data` first where the client streams. */
function stream(call, data) {
	const done = deferred();
	const seen = [];
	call.on('data', (d) => {
		seen.push(d);
		data.length > 0 ? call.write(data.shift()) : call.end?.();
	});
	call.on('error', () => {});
	call.on('status', (status) => done.resolve({ seen, status }));
	if (data.length > 0) {
		call.write(data.shift());
	}
	return within(done.promise, 'a gRPC stream');
}

for (const [name, which] of [['h2c', 0], ['TLS', 1]]) {
	check(`check 28: gRPC over ${name}: unary, streams, failures, with trailers`, async () => {
		const { server, port } = await grpcServer();
		let client;
		try {
			await gw.make(`/services/grpc-${which}`, { url: `grpc://127.0.0.1:${port}` }, 'PUT');
			await gw.make(`/services/grpc-${which}/routes/grpc-${which}`,
				{ paths: ['/test.Echo'], strip_path: false, protocols: ['grpc', 'grpcs'] }, 'PUT');
			client = new Client(new URL(gw.proxies[which]).host, which ? await secure() : grpc.credentials.createInsecure(),
				{ 'grpc.ssl_target_name_override': 'localhost' });

			const one = await unary(client, 'Unary', Buffer.from('hello'));
			assert.equal(one.error, null, one.error?.message);
			assert.equal(String(one.value), 'hello');
			assert.deepEqual(one.head.get('x-te'), ['c']);
			assert.deepEqual(one.head.get('via'), ['1.1 kong/3.10.0']);
			assert.equal(one.status.code, 0);
			assert.deepEqual(one.status.metadata.get('x-trailer'), ['unary']);

			const failed = await unary(client, 'Fail', Buffer.from('x'));
			assert.equal(failed.status.code, grpc.status.FAILED_PRECONDITION);
			assert.equal(failed.status.details, 'no: 100%');
			assert.deepEqual(failed.status.metadata.get('x-trailer'), ['fail']);

			/* Each message is sent when the echo of the one before has come. */
			const chat = await stream(client.Chat(), ['a', 'b', 'c'].map((t) => Buffer.from(t)));
			assert.equal(String(Buffer.concat(chat.seen)), 'abc');
			assert.deepEqual(chat.status.metadata.get('x-trailer'), ['chat']);

			const count = await stream(client.Count(Buffer.alloc(0)), []);
			assert.equal(count.seen.length, 500);
			assert.equal(count.status.code, 0);
			assert.deepEqual(count.status.metadata.get('x-trailer'), ['count']);

			/* A plugin that wants the whole answer leaves the trailers where they are. */
			await gw.make(`/routes/grpc-${which}/plugins`,
				{ name: 'response-transformer', config: { add: { json: ['a:1'], headers: ['x-added:1'] } } });
			const whole = await unary(client, 'Unary', Buffer.from('hello'));
			assert.equal(whole.error, null, whole.error?.message);
			assert.equal(String(whole.value), 'hello');
			assert.deepEqual(whole.head.get('x-added'), ['1']);
			assert.deepEqual(whole.status.metadata.get('x-trailer'), ['unary']);
		} finally {
			client?.close();
			server.forceShutdown();
			await gw.make(`/routes/grpc-${which}`, undefined, 'DELETE');
		}
	});
}

check('check 28: an answer over HTTP/2 that is read late comes whole, with its trailers', async () => {
	const size = 450_000; /* more than the gateway writes ahead of the client, less than it also takes ahead of that */
	const gone = new Mailbox('the service has said all');
	const service = http2.createServer().listen(0, '127.0.0.1');
	service.on('stream', (s) => {
		s.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
		s.on('wantTrailers', () => s.sendTrailers({ 'grpc-status': '0' }));
		s.on('close', () => gone.put(s.rstCode));
		s.resume().end(Buffer.alloc(size));
	});
	await once(service, 'listening');
	const { route } = await gw.route({ url: `grpc://127.0.0.1:${service.address().port}` },
		{ paths: ['/late'], strip_path: false, protocols: ['grpc'] });
	const session = http2.connect(gw.proxies[0]);
	try {
		const stream = session.request({ ':method': 'POST', ':path': '/late', 'content-type': 'application/grpc', te: 'trailers' });
		stream.end();
		await event(stream, 'response', 'the head');
		assert.equal(await gone.take(), 0);
		const tail = event(stream, 'trailers', 'the trailers');
		let n = 0;
		for await (const data of stream) {
			n += data.length;
		}
		assert.equal(n, size);
		assert.equal((await tail)[0]['grpc-status'], '0');
	} finally {
		session.destroy();
		await service.close();
		await gw.make(`/routes/${route.id}`, undefined, 'DELETE');
	}
});

/* Answers one request with what `answer(req, res)` does, over a route of its own. */
async function trailed(answer, act) {
	const service = http.createServer(answer).listen(0, '127.0.0.1');
	await once(service, 'listening');
	const { route } = await gw.route({ url: `http://127.0.0.1:${service.address().port}` }, { paths: ['/trailed'] });
	try {
		return await act(route);
	} finally {
		await gw.make(`/routes/${route.id}`, undefined, 'DELETE');
		service.closeAllConnections();
		service.close();
	}
}

function withTrailers(req, res) {
	res.writeHead(200, { Trailer: 'X-Sum', 'X-TE': String(req.headers.te) });
	res.write('body');
	res.addTrailers({ 'X-Sum': '42' });
	res.end();
}

check('check 28: trailers of an answer over HTTP/1 go to the clients that take them', async () => {
	await trailed(withTrailers, async () => {
		const session = http2.connect(gw.proxies[0]);
		const stream = session.request({ ':path': '/trailed', te: 'trailers' }).resume();
		const head = once(stream, 'response');
		const [tail] = await within(once(stream, 'trailers'), 'trailers over HTTP/2');
		assert.equal((await head)[0]['x-te'], 'trailers');
		assert.equal(tail['x-sum'], '42');
		session.close();

		const h1 = await gw.get('/trailed', { TE: 'trailers' });
		assert.equal(h1.text, 'body');
		for (const [te, tail_] of [['TE: trailers\r\n', 'X-Sum: 42\r\n'], ['', '']]) {
			const raw = await RawConnection.open(gw.proxies[0]);
			raw.send(`GET /trailed HTTP/1.1\r\nHost: x\r\n${te}Connection: close\r\n\r\n`);
			const text = String(await raw.rest());
			assert.ok(text.endsWith(`4\r\nbody\r\n0\r\n${tail_}\r\n`), text);
		}
	});
});

check('a trailer is no way around a plugin that writes or removes a header', async () => {
	const names = ['X-Removed', 'X-Replaced', 'X-Old', 'X-New', 'X-Added', 'X-Id', 'Access-Control-Allow-Origin', 'X-Kong-Proxy-Latency', 'Via'];
	const answer = (req, res) => {
		res.writeHead(200, { Trailer: [...names, 'X-Sum'].join(', '), 'X-Replaced': 'service', 'Content-Type': 'application/json' });
		res.write('{}');
		res.addTrailers(Object.fromEntries([...names, 'X-Sum'].map((name) => [name, 'service'])));
		res.end();
	};
	const headers = { remove: { headers: ['X-Removed'] }, replace: { headers: ['X-Replaced:ours'] }, rename: { headers: ['X-Old:X-New'] },
		add: { headers: ['X-Added:ours'] } };
	await trailed(answer, async (route) => {
		await gw.make(`/routes/${route.id}/plugins`, { name: 'cors', config: { origins: ['https://a.test'] } });
		await gw.make(`/routes/${route.id}/plugins`,
			{ name: 'correlation-id', config: { header_name: 'X-Id', echo_downstream: true } });
		const plugin = await gw.make(`/routes/${route.id}/plugins`, { name: 'response-transformer', config: headers });
		/* Streamed, and collected. */
		for (const json of [[], ['n:1']]) {
			await gw.make(`/plugins/${plugin.id}`, { config: { ...headers, add: { ...headers.add, json } } }, 'PATCH');
			const session = http2.connect(gw.proxies[0]);
			const stream = session.request({ ':path': '/trailed', te: 'trailers', origin: 'https://b.test' }).resume();
			const head = once(stream, 'response');
			const [tail] = await within(once(stream, 'trailers'), 'trailers');
			assert.deepEqual(Object.entries(tail), [['x-sum', 'service']]);
			assert.equal((await head)[0]['x-replaced'], 'ours');
			session.close();
		}
	});
});

check('check 28: trailers of a request reach a service with HTTP/2, but none that are the gateway\'s to say', async () => {
	const seen = new Mailbox('the request at the service');
	const service = http2.createServer().listen(0, '127.0.0.1');
	service.on('stream', (s) => {
		let tail = {};
		s.on('trailers', (t) => { tail = t; });
		s.respond({ ':status': 200, 'content-type': 'application/grpc' });
		s.resume().on('end', () => {
			seen.put(tail);
			s.end();
		});
	});
	await once(service, 'listening');
	const { route } = await gw.route({ url: `grpc://127.0.0.1:${service.address().port}` },
		{ paths: ['/small'], strip_path: false, protocols: ['grpc'] });
	const session = http2.connect(gw.proxies[0]);
	const ours = ['x-real-ip', 'x_real_ip', 'x-forwarded-for', 'x-forwarded-user', 'x_consumer-username', 'x-consumer-groups',
		'x-credential-identifier', 'x-anonymous-consumer', 'x-authenticated-userid', 'x-kong-request-id', 'via', 'forwarded',
		'authorization', 'proxy_authorization', 'cookie'];
	const sent = Object.fromEntries([...ours, 'x-removed', 'apikey', 'x-id'].map((name) => [name, 'evil']));
	const { id } = await gw.make('/consumers', { username: 'trailing' });
	await gw.make(`/consumers/${id}/key-auth`, { key: 'k' });
	const auth = await gw.make(`/routes/${route.id}/plugins`, { name: 'key-auth', config: { hide_credentials: true } });
	await gw.make(`/routes/${route.id}/plugins`, { name: 'correlation-id', config: { header_name: 'X-Id' } });
	await gw.make(`/routes/${route.id}/plugins`, { name: 'request-transformer', consumer: { id }, config: { remove: { headers: ['X-Removed'] } } });
	/* Collected for another try, streamed; collected for a plugin, before the consumer and its plugins are known. */
	for (const [length, key_in_body] of [[{ 'content-length': '5' }, false], [{}, false], [{}, true]]) {
		await gw.make(`/plugins/${auth.id}`, { config: { hide_credentials: true, key_in_body } }, 'PATCH');
		for (const [more, want] of [[{ 'x-sum': '7' }, { 'x-sum': '7' }], [{}, {}]]) {
			const stream = session.request({ ':path': '/small', ':method': 'POST', 'content-type': 'application/grpc', apikey: 'k',
				...length }, { waitForTrailers: true });
			stream.on('wantTrailers', () => stream.sendTrailers({ ...sent, ...more }));
			stream.resume().end('hello');
			assert.deepEqual(Object.entries(await seen.take()), Object.entries(want));
		}
	}
	session.close();
	service.close();
	await gw.make(`/routes/${route.id}`, undefined, 'DELETE');
	await gw.make(`/consumers/${id}`, undefined, 'DELETE');
});

check('check 28: a gRPC client gets errors of the gateway as a gRPC status', async () => {
	await gw.route({ name: 'gone', url: `grpc://127.0.0.1:${CLOSED_PORT}`, retries: 0 },
		{ name: 'gone', paths: ['/test.Echo'], strip_path: false, protocols: ['grpc'] });
	const client = new Client(new URL(gw.proxies[0]).host, grpc.credentials.createInsecure());
	const { status } = await unary(client, 'Unary', Buffer.from('x'));
	client.close();
	assert.equal(status.code, grpc.status.INTERNAL, status.details);

	const h1 = await gw.post('/test.Echo/Unary', '', { 'Content-Type': 'application/grpc' });
	assert.equal(h1.status, 426);
	assert.equal(h1.headers.upgrade, 'HTTP/2');
	await gw.make('/routes/gone', undefined, 'DELETE');
});
