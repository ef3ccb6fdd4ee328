/* Services over HTTP/2: what they have not looked at is sent again, and one that falls silent is asked anew. */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import net from 'node:net';
import { once } from 'node:events';
import { after, before } from 'node:test';
import { check, event, Mailbox, SLOWNESS, within } from './lib/check.mjs';
import { Gateway } from './lib/gateway.mjs';
import { CODE, END_HEADERS, END_STREAM, frame, H2Peer, TYPE, u32, windowUpdate } from './lib/h2raw.mjs';
import { RawConnection } from './lib/raw.mjs';

const { NGHTTP2_INTERNAL_ERROR: INTERNAL_ERROR, NGHTTP2_REFUSED_STREAM: REFUSED_STREAM } = http2.constants;

let gw;

before(async () => {
	/* One loop: all share the connections to a service. */
	gw = await Gateway.start({ loops: 1, gateway: { listen: [{ address: '127.0.0.1:0', http2: true }] } });
});

after(() => gw?.close());

/*
 * Answers with the body of the request; as often as `faults` says it does `fault(stream, service)` instead, which puts
 * into `seen` that it has. `tries` counts the requests.
 */
class Service {
	static async start(fault, options = {}) {
		const service = Object.assign(new Service(), { faults: 0, tries: 0, fault, seen: new Mailbox('a fault of the service') });
		service.server = http2.createServer(options).listen(0, '127.0.0.1');
		service.sockets = new Set();
		service.server.on('connection', (socket) => {
			service.sockets.add(socket);
			socket.once('close', () => service.sockets.delete(socket));
		});
		service.server.on('session', (session) => session.on('error', () => {}));
		service.server.on('stream', (stream) => service.serve(stream.on('error', () => {})));
		await once(service.server, 'listening');
		service.port = service.server.address().port;
		return service;
	}

	serve(stream) {
		this.tries++;
		if (this.faults > 0) {
			this.faults--;
			this.fault(stream, this);
		} else {
			this.answer(stream);
		}
	}

	answer(stream) {
		let body = '';
		stream.setEncoding('latin1').on('data', (data) => {
			body += data;
		});
		stream.on('end', () => {
			stream.respond({ ':status': 200 });
			stream.end(body);
		});
	}

	/* The way to it, on the path of that name. */
	async route(name, more, port = this.port) {
		await gw.route({ name, url: `grpc://127.0.0.1:${port}`, ...more }, { name, paths: [`/${name}`], protocols: ['http', 'https'] });
	}

	cut() {
		for (const socket of this.sockets) {
			socket.destroy();
		}
	}

	async close() {
		this.cut();
		await new Promise((done) => this.server.close(done));
	}
}

/* Clients that do not say how long their POST is, as those of gRPC: a body in pieces. */
const CLIENTS = {
	'HTTP/1.1': async (path, pieces) => {
		const { status, text } = await gw.post(path, pieces.join(''), { 'Transfer-Encoding': 'chunked' });
		return { status, text };
	},
	'HTTP/2': async (path, pieces, between = () => {}) => {
		const session = http2.connect(gw.proxy);
		const stream = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/octet-stream', te: 'trailers' });
		const answered = event(stream, 'response', 'the answer');
		let text = '';
		stream.setEncoding('latin1').on('data', (data) => {
			text += data;
		});
		try {
			for (const piece of pieces.slice(0, -1)) {
				stream.write(piece);
				await between();
			}
			stream.end(pieces.at(-1));
			const [head] = await answered;
			await within(once(stream, 'close'), 'its end');
			return { status: head[':status'], text };
		} finally {
			session.destroy();
		}
	},
};

const atHead = (act) => (stream, service) => {
	act(stream, service);
	service.seen.put(stream.id);
};

const behindAll = (act) => (stream, service) => stream.resume().once('end', () => {
	act(stream, service);
	service.seen.put(stream.id);
});

/* Node says 0 for none, so the session has had another one before. */
const sayGoaway = ({ session, id }) => session.goaway(0, id - 2);
const refuse = (stream) => stream.close(REFUSED_STREAM);

const UNPROCESSED = {
	'REFUSED_STREAM at its head': atHead(refuse),
	'REFUSED_STREAM behind all of it': behindAll(refuse),
	'GOAWAY at its head': atHead(sayGoaway),
	'GOAWAY behind all of it': behindAll(sayGoaway),
};

check('a POST of unknown length is sent again when a service over HTTP/2 has not looked at it', async (t) => {
	let n = 0;
	for (const [what, fault] of Object.entries(UNPROCESSED)) {
		for (const [version, post] of Object.entries(CLIENTS)) {
			await t.test(`${what}, ${version}`, async () => {
				const name = `again-${n++}`;
				const service = await Service.start(fault);
				try {
					await service.route(name, { retries: 3 });
					assert.equal((await post(`/${name}`, ['first'])).text, 'first');
					service.faults = 1;
					assert.deepEqual(await post(`/${name}`, ['once ', 'more']), { status: 200, text: 'once more' });
					assert.equal(service.tries, 3);
				} finally {
					await service.close();
				}
			});
		}
	}
});

check('a burst to a service that takes few requests at once is no failure', async () => {
	const held = [];
	/* Answers when it has all of them, on as many connections as that takes. */
	const service = await Service.start((stream) => {
		held.push(stream);
		if (held.length === 100) {
			held.splice(0).forEach((each) => service.answer(each));
		}
	}, { settings: { maxConcurrentStreams: 2 } });
	const session = http2.connect(gw.proxy);
	const told = event(session, 'remoteSettings', 'how many requests the gateway takes');
	try {
		await service.route('few');
		await told;
		for (let round = 0; round < 2; round++) {
			service.faults = 100;
			const streams = Array.from({ length: 100 }, () => session.request({ ':path': '/few', ':method': 'POST' }));
			const replies = streams.map((stream) => event(stream, 'response', 'an answer'));
			streams.forEach((stream, i) => stream.setEncoding('latin1').end(`body ${i}`));
			assert.deepEqual((await Promise.all(replies)).map(([head]) => head[':status']), Array(100).fill(200));
			assert.deepEqual(await Promise.all(streams.map((stream) => stream.toArray().then((all) => all.join('')))),
				streams.map((_, i) => `body ${i}`));
		}
	} finally {
		session.destroy();
		await service.close();
	}
});

check('it is sent again as often as the service may be tried, and no body that is too large to be kept', async () => {
	const service = await Service.start(behindAll(refuse));
	try {
		await service.route('often', { retries: 3 });
		for (const post of Object.values(CLIENTS)) {
			for (const [body, faults, status, tries] of [['small', 3, 200, 4], ['small', 4, 502, 4],
				['x'.repeat(65536), 1, 200, 2], ['x'.repeat(65537), 1, 502, 1]]) {
				Object.assign(service, { faults, tries: 0 });
				const reply = await post('/often', [body]);
				assert.deepEqual([reply.status, service.tries], [status, tries]);
				assert.ok(status !== 200 || reply.text === body);
			}
		}
	} finally {
		await service.close();
	}
});

check('a POST that goes on while it is refused is one', async () => {
	const service = await Service.start(atHead(refuse));
	try {
		await service.route('goes-on', { retries: 3 });
		service.faults = 2;
		const refusals = async () => {
			await service.seen.take();
			await service.seen.take();
		};
		assert.deepEqual(await CLIENTS['HTTP/2']('/goes-on', ['first', 'second'], refusals), { status: 200, text: 'firstsecond' });
		assert.equal(service.tries, 3);
	} finally {
		await service.close();
	}
});

const fail = (stream) => stream.close(INTERNAL_ERROR);

function leave({ session }) {
	session.goaway();
	setImmediate(() => session.destroy());
}

const PROCESSED = {
	'INTERNAL_ERROR at its head': atHead(fail),
	'INTERNAL_ERROR behind all of it': behindAll(fail),
	'GOAWAY that counts it, and the end, at its head': atHead(leave),
	'GOAWAY that counts it, and the end, behind all of it': behindAll(leave),
	'the end without a GOAWAY, at its head': atHead((_, service) => service.cut()),
	'the end without a GOAWAY, behind all of it': behindAll((_, service) => service.cut()),
};

check('a POST that a service over HTTP/2 may have acted on is not repeated', async (t) => {
	let n = 0;
	for (const [what, fault] of Object.entries(PROCESSED)) {
		await t.test(what, async () => {
			const name = `not-again-${n++}`;
			const service = await Service.start(fault);
			try {
				await service.route(name, { retries: 3 });
				for (const post of Object.values(CLIENTS)) {
					Object.assign(service, { faults: 4, tries: 0 });
					assert.equal((await post(`/${name}`, ['once'])).status, 502);
					assert.equal(service.tries, 1);
				}
			} finally {
				await service.close();
			}
		});
	}
});

/* Passes on what comes on its connections; those that are there at hush() pass nothing more, but stay. */
async function forwarder(port) {
	const pairs = [];
	const server = net.createServer((client) => {
		const service = net.connect(port, '127.0.0.1');
		pairs.push([client, service]);
		for (const [from, to] of [[client, service], [service, client]]) {
			from.on('error', () => {}).on('data', (data) => to.write(data)).on('close', () => to.destroy());
		}
	}).listen(0, '127.0.0.1');
	await once(server, 'listening');
	return {
		port: server.address().port,
		get connections() {
			return pairs.length;
		},
		hush() {
			for (const socket of pairs.flat()) {
				socket.removeAllListeners('data').resume();
			}
		},
		async close() {
			for (const socket of pairs.flat()) {
				socket.destroy();
			}
			await new Promise((done) => server.close(done));
		},
	};
}

check('a connection over HTTP/2 that has fallen silent costs one answer, and the next request goes over another', async () => {
	const service = await Service.start();
	const way = await forwarder(service.port);
	const patience = (ms) => gw.make('/services/silent', { read_timeout: ms }, 'PATCH');
	try {
		await service.route('silent', { retries: 0 }, way.port);
		for (let round = 1; round <= 2; round++) {
			await patience(10_000);
			assert.equal((await gw.post('/silent', 'x')).status, 200);
			assert.equal((await gw.get('/silent')).status, 200);
			assert.equal(way.connections, round, 'it is shared');
			way.hush();
			await patience(200);
			assert.equal((await gw.post('/silent', 'x')).status, 504);
		}
		await patience(10_000);
		assert.equal((await gw.post('/silent', 'x')).status, 200);
		assert.equal(way.connections, 3);
	} finally {
		await way.close();
		await service.close();
	}
});

check('an answer that is overdue costs no connection on which others come', async () => {
	const service = await Service.start(atHead(() => {}));
	const way = await forwarder(service.port);
	try {
		await service.route('slow', { retries: 0, read_timeout: 2000 * SLOWNESS }, way.port);
		service.faults = 1;
		const late = gw.post('/slow', 'x');
		await service.seen.take();
		assert.equal((await gw.post('/slow', 'x')).status, 200);
		assert.equal((await late).status, 504);
		assert.equal((await gw.post('/slow', 'x')).status, 200);
		assert.equal(way.connections, 1);
	} finally {
		await way.close();
		await service.close();
	}
});

const OK = Buffer.from([0x88]);
const answer = (stream) => frame(TYPE.HEADERS, END_STREAM | END_HEADERS, stream, OK);

/* As services do whose connections give back what their handlers have read (Go's, Netty's). */
check('an upload that a service over HTTP/2 does not read stops no body of another client', async () => {
	const full = new Mailbox('a window that is used up');
	const peer = await H2Peer.start((connection, { type, flags, stream, payload }) => {
		if (type === TYPE.DATA) {
			connection.got = (connection.got ?? 0) + payload.length;
			if (payload.length < 100) {
				connection.send(windowUpdate(0, payload.length || 1));
			} else if (connection.got >= 65535) {
				full.put(connection);
			}
		}
		if ((type === TYPE.DATA || type === TYPE.HEADERS) && flags & END_STREAM) {
			connection.send(answer(stream));
		}
	});
	const url = `grpc://127.0.0.1:${peer.port}`;
	const { hostname, port } = new URL(gw.proxy);
	let upload;
	try {
		await gw.route({ name: 'hog', url, retries: 0, write_timeout: 600_000 }, { name: 'hog', paths: ['/hog'], protocols: ['http'] });
		upload = await RawConnection.open(`http://${hostname}:${port}`);
		upload.send(`POST /hog HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(100_000)}`);
		await full.take();
		assert.equal((await gw.get('/hog')).status, 200);
		assert.equal(peer.connections.length, 1);
		for (let i = 0; i < 3; i++) {
			assert.equal((await gw.post('/hog', 'small')).status, 200);
		}
		assert.equal(peer.connections.length, 2);
	} finally {
		upload?.close();
		await peer.close();
	}
});

const MAX_HEADER_LIST_SIZE = 6;
const SAYS = { 'that says what it takes': [[MAX_HEADER_LIST_SIZE, 8192]], 'that says nothing': [] };

/* Netty breaks a connection for a head of more than 10 KiB, nginx, Go and others for larger ones. */
check('a head that is too large for a service over HTTP/2 costs one answer and blames nobody', async (t) => {
	let n = 0;
	for (const [what, options] of Object.entries(SAYS)) {
		await t.test(what, async () => {
			const waiting = new Mailbox('a request');
			const peer = await H2Peer.start((connection, { type, flags, stream, payload }) => {
				if ((type === TYPE.HEADERS || type === TYPE.CONTINUATION) && payload.length > 8192) {
					connection.send(frame(TYPE.GOAWAY, 0, 0, Buffer.concat([u32(stream), u32(CODE.PROTOCOL_ERROR)])));
					connection.socket.end();
				} else if (type === TYPE.HEADERS && flags & END_STREAM) {
					waiting.put(() => connection.send(answer(stream)));
				}
			}, options);
			const name = `large-${n++}`;
			const unhealthy = { tcp_failures: 1, timeouts: 1, http_failures: 1 };
			const get = (headers) => gw.get(`/${name}`, headers);
			const large = { 'x-a': '{'.repeat(7000), 'x-b': '}'.repeat(7000) };
			try {
				await gw.make('/upstreams', { name, healthchecks: { passive: { unhealthy } } });
				await gw.make(`/upstreams/${name}/targets`, { target: `127.0.0.1:${peer.port}` });
				await gw.route({ name, url: `grpc://${name}:80` }, { name, paths: [`/${name}`], protocols: ['http'] });
				const first = get();
				const answerFirst = await waiting.take();
				for (let i = 0; i < 2; i++) {
					assert.equal((await get(large)).status, 431);
				}
				answerFirst();
				assert.equal((await first).status, 200);
				assert.equal((await gw.make(`/upstreams/${name}/health`, undefined, 'GET')).data[0].health, 'HEALTHY');
			} finally {
				await peer.close();
			}
		});
	}
});
