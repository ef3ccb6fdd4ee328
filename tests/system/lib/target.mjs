/*
 * target - the on-premises HTTP service of the tests
 *
 * Paths say what happens, below any base path:
 *	bytes/N     N bytes of pattern with Content-Length (HEAD too)
 *	chunked/N   the same, chunked
 *	sink        takes a body, answers its length and SHA-256 as JSON
 *	echo        sends the body back
 *	status/N    answers status N, empty
 *	cookies     two Set-Cookie lines
 *	gate        answers when the test opens the gate; gate/N with N bytes
 *	hang        never answers
 *	close       closes without an answer
 *	cut         promises 1000 bytes, sends 10 and closes
 *	anything else: what was received, as JSON
 * Every request is recorded in `requests` and put into the mailbox `hits`.
 */
import http from 'node:http';
import net from 'node:net';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { Mailbox, deferred } from './check.mjs';

const PATTERN = Buffer.from(Array.from({ length: 65536 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));

export function pattern(n) {
	const out = Buffer.alloc(n);
	for (let at = 0; at < n; at += PATTERN.length) {
		PATTERN.copy(out, at, 0, Math.min(PATTERN.length, n - at));
	}
	return out;
}

export function sha256(data) {
	return createHash('sha256').update(data).digest('hex');
}

export class Target {
	static async start({ base = '/' } = {}) {
		const target = new Target();
		target.requests = [];
		target.hits = new Mailbox('the target is hit');
		target.waiting = new Set();
		target.gate = deferred();
		target.running = 0;
		target.mostRunning = 0;
		target.server = http.createServer({ keepAliveTimeout: 60_000 }, (req, res) => {
			handle(target, req, res).catch((error) => res.destroy(error));
		});
		target.server.on('clientError', (_, socket) => socket.destroy());
		target.server.listen(0, '127.0.0.1');
		await once(target.server, 'listening');
		target.host = `127.0.0.1:${target.server.address().port}`;
		target.url = `http://${target.host}${base}`;
		return target;
	}

	/* Lets all requests at the gate through, and shuts it again. */
	open() {
		this.gate.resolve();
		this.gate = deferred();
	}

	forget() {
		this.requests.length = 0;
		this.hits.items.length = 0;
		this.mostRunning = 0;
	}

	cut() {
		this.server.closeAllConnections();
	}

	async close() {
		this.open();
		this.server.closeAllConnections();
		await new Promise((done) => this.server.close(done));
	}
}

async function handle(target, req, res) {
	const seen = {
		method: req.method, url: req.url, headers: req.headers, raw: pairs(req.rawHeaders), at: Date.now(),
	};
	target.requests.push(seen);
	target.running += 1;
	target.mostRunning = Math.max(target.mostRunning, target.running);
	res.once('close', () => {
		target.running -= 1;
	});
	target.hits.put(seen);
	const path = req.url.split('?')[0];
	const [, what, arg] = /\/(\w+)(?:\/(\d+))?$/.exec(path) ?? [];
	await (ACTIONS[what] ?? describe)({ target, req, res, seen, n: Number(arg) });
}

const ACTIONS = {
	bytes({ req, res, n }) {
		res.setHeader('Content-Type', 'application/x-pattern');
		res.setHeader('Content-Length', n);
		res.end(req.method === 'HEAD' ? undefined : pattern(n));
	},
	chunked({ res, n }) {
		res.setHeader('Content-Type', 'application/x-pattern');
		const data = pattern(n);
		res.write(data.subarray(0, n >> 1));
		res.end(data.subarray(n >> 1));
	},
	async sink({ req, res }) {
		const hash = createHash('sha256');
		let length = 0;
		for await (const chunk of req) {
			hash.update(chunk);
			length += chunk.length;
		}
		json(res, { length, sha256: hash.digest('hex') });
	},
	async echo({ req, res }) {
		const body = await read(req);
		res.setHeader('Content-Type', req.headers['content-type'] ?? 'application/octet-stream');
		res.setHeader('Content-Length', body.length);
		res.end(body);
	},
	status({ res, n }) {
		res.statusCode = n;
		res.end();
	},
	cookies({ res }) {
		res.setHeader('Set-Cookie', ['a=1; Path=/', 'b=2; Expires=Fri, 20 Nov 2026 22:30:00 GMT']);
		res.end('two cookies');
	},
	async gate({ target, req, res, n }) {
		await target.gate.promise;
		await read(req);
		res.end(n ? pattern(n) : 'through the gate');
	},
	hang() {},
	close({ req }) {
		req.socket.destroy();
	},
	cut({ req, res }) {
		res.setHeader('Content-Length', 1000);
		res.write('0123456789', () => req.socket.destroy());
	},
};

async function describe({ req, res, seen }) {
	const body = await read(req);
	json(res, { method: seen.method, url: seen.url, raw: seen.raw, body: body.toString('latin1') });
}

function json(res, value) {
	const text = JSON.stringify(value);
	res.setHeader('Content-Type', 'application/json');
	res.setHeader('Content-Length', Buffer.byteLength(text));
	res.end(text);
}

async function read(stream) {
	const chunks = [];
	for await (const chunk of stream) {
		chunks.push(chunk);
	}
	return Buffer.concat(chunks);
}

function pairs(flat) {
	return flat.flatMap((_, i) => (i % 2 ? [] : [[flat[i], flat[i + 1]]]));
}

/* All values of a header as the target received them, in any spelling of the name. */
export function values(raw, name) {
	return raw.filter(([key]) => key.toLowerCase() === name.toLowerCase()).map(([, value]) => value);
}

/*
 * A target that answers with the given bytes, whatever it is asked. `answer` is called
 * with the socket and the number of the request on that socket.
 */
export class RawTarget {
	static async start(answer) {
		const target = new RawTarget();
		target.connections = 0;
		target.sockets = new Set();
		target.answer = answer;
		target.server = net.createServer((socket) => {
			let seen = '';
			let count = 0;
			target.connections += 1;
			target.sockets.add(socket);
			socket.on('error', () => {});
			socket.on('close', () => target.sockets.delete(socket));
			socket.on('data', (data) => {
				seen += data.toString('latin1');
				while (seen.includes('\r\n\r\n')) {
					seen = seen.slice(seen.indexOf('\r\n\r\n') + 4);
					target.answer(socket, count++);
				}
			});
		});
		target.server.listen(0, '127.0.0.1');
		await once(target.server, 'listening');
		target.url = `http://127.0.0.1:${target.server.address().port}/`;
		return target;
	}

	async close() {
		for (const socket of this.sockets) {
			socket.destroy();
		}
		await new Promise((done) => this.server.close(done));
	}
}

/* A service that begins an answer; `fn` gets what it answers with. */
export async function beginner(begin, fn) {
	const begun = new Mailbox('the target is asked');
	const service = http.createServer((req, res) => {
		begin(req, res);
		begun.put(res);
	});
	service.listen(0, '127.0.0.1');
	await once(service, 'listening');
	try {
		await fn(`http://127.0.0.1:${service.address().port}/`, begun);
	} finally {
		service.closeAllConnections();
		service.close();
	}
}
