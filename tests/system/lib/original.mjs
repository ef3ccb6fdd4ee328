/*
 * original - a server that speaks to connectors as RelayServer 3.1 does, under the
 * test's control: what it answers, when it closes and how
 *
 *	const server = await Original.start();
 *	const link = await server.links.take();      // a connector, after its handshake
 *	link.request({ target: 'web', url: 'x' });
 *	await link.delivered.take();
 */
import http from 'node:http';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes, randomUUID } from 'node:crypto';
import WebSocket from 'ws';
import { Mailbox } from './check.mjs';

const RS = '\x1e';

export class Original {
	static async start({ tokenLifetime = 300, delays = ['00:00:01', '00:00:01'], endpointTimeout = '00:02:00' } = {}) {
		const server = new Original();
		Object.assign(server, {
			tokenLifetime, delays, endpointTimeout, calls: [], bodies: new Map(), uploads: new Map(), tokens: [],
			refuse: new Map(), held: new Mailbox('a body is held'), links: new Mailbox('a connector'), sockets: new Set(),
		});
		server.ws = new WebSocket.Server({ noServer: true });
		server.http = http.createServer((req, res) => {
			server.serve(req, res).catch((error) => res.destroy(error));
		});
		server.http.on('upgrade', (req, socket, head) => server.upgrade(req, socket, head));
		server.http.on('connection', (socket) => {
			server.sockets.add(socket);
			socket.on('close', () => server.sockets.delete(socket));
			socket.on('error', () => {});
		});
		server.http.listen(0, '127.0.0.1');
		await once(server.http, 'listening');
		server.relay = `http://127.0.0.1:${server.http.address().port}`;
		server.dir = await mkdtemp(join(tmpdir(), 'posthouse-original-'));
		return server;
	}

	count(pattern) {
		return this.calls.filter((call) => pattern.test(call)).length;
	}

	/* The next `n` calls whose line matches get that status. */
	answer(pattern, status, n = 1) {
		this.refuse.set(pattern, { status, n });
	}

	/* The next body stops at its half: `held` gets its response. */
	hold() {
		this.holds = true;
	}

	async serve(req, res) {
		const line = `${req.method} ${req.url}`;
		this.calls.push(line);
		const chunks = [];
		for (const [pattern, rule] of this.refuse) {
			if (pattern.test(line) && rule.n-- > 0) {
				/* Before the body is read, as a real server does it. */
				res.writeHead(rule.status, { 'Content-Length': 0 }).end();
				req.resume();
				return;
			}
		}
		for await (const chunk of req) {
			chunks.push(chunk);
		}
		this.route(req, res, new URL(req.url, this.relay), Buffer.concat(chunks));
	}

	route(req, res, url, body) {
		const id = url.pathname.split('/').at(-1);
		if (url.pathname === '/.well-known/relayserver-configuration') {
			json(res, this.discovery());
		} else if (url.pathname === '/token') {
			this.credentials = req.headers.authorization;
			this.grant = body.toString();
			this.tokens.push(randomBytes(8).toString('hex'));
			json(res, { access_token: this.tokens.at(-1), token_type: 'Bearer', expires_in: this.tokenLifetime });
		} else if (url.pathname === '/connector/negotiate') {
			json(res, {
				negotiateVersion: 1, connectionId: 'public', connectionToken: randomBytes(16).toString('base64url'),
				availableTransports: [{ transport: 'WebSockets', transferFormats: ['Text', 'Binary'] }],
			});
		} else if (url.pathname.startsWith('/body/request/') && this.bodies.has(id)) {
			this.give(res, this.bodies.get(id));
		} else if (url.pathname.startsWith('/body/response/')) {
			this.uploads.set(id, body);
			res.end(String(body.length));
		} else {
			res.writeHead(404).end();
		}
	}

	give(res, body) {
		res.writeHead(200, { 'Content-Length': body.length });
		if (this.holds) {
			this.holds = false;
			res.write(body.subarray(0, body.length >> 1));
			this.held.put(res);
		} else {
			res.end(body);
		}
	}

	discovery() {
		return {
			serverVersion: '3.1.0', authorizationServer: `${this.relay}/`,
			authorizationTokenEndpoint: `${this.relay}/token`, connectorEndpoint: `${this.relay}/connector`,
			acknowledgeEndpoint: `${this.relay}/acknowledge`, requestEndpoint: `${this.relay}/body/request`,
			responseEndpoint: `${this.relay}/body/response`, endpointTimeout: this.endpointTimeout,
			reconnectMinimumDelay: this.delays[0], reconnectMaximumDelay: this.delays[1],
			handshakeTimeout: '00:00:15', keepAliveInterval: '00:00:15',
		};
	}

	upgrade(req, socket, head) {
		this.calls.push(`UPGRADE ${req.url}`);
		this.ws.handleUpgrade(req, socket, head, (ws) => new Link(this, ws, req));
	}

	async close() {
		for (const socket of this.sockets) {
			socket.destroy();
		}
		await new Promise((done) => this.http.close(done));
		await rm(this.dir, { recursive: true, force: true });
	}
}

class Link {
	constructor(server, ws, req) {
		Object.assign(this, {
			server, ws, authorization: req.headers.authorization, rest: '', records: [],
			delivered: new Mailbox('a response is delivered'), acknowledged: new Mailbox('an acknowledgement'),
			/* Completions are sent at once, unless the test holds them back. */
			completes: true,
		});
		ws.on('message', (data) => this.take(data.toString()));
		ws.on('error', () => {});
	}

	take(text) {
		const parts = (this.rest + text).split(RS);
		this.rest = parts.pop();
		for (const record of parts.map((part) => JSON.parse(part))) {
			this.records.push(record);
			if (record.protocol) {
				this.send({});
				this.server.links.put(this);
			} else if (record.type === 1) {
				this.invoked(record);
			}
		}
	}

	invoked(record) {
		if (!['Deliver', 'Acknowledge'].includes(record.target)) {
			this.send({ type: 3, invocationId: record.invocationId, error: `Unknown hub method '${record.target}'` });
			return;
		}
		const box = record.target === 'Deliver' ? this.delivered : this.acknowledged;
		box.put(record.arguments[0]);
		if (record.invocationId !== undefined && this.completes) {
			this.send({ type: 3, invocationId: record.invocationId, result: null });
		}
	}

	send(record) {
		this.ws.send(JSON.stringify(record) + RS);
	}

	invoke(target, argument) {
		this.send({ type: 1, target, arguments: [argument] });
	}

	/* Bodies over 16 KiB are left at the body endpoint. Returns the id. */
	request({ body, requestId = randomUUID(), ...changes }) {
		const size = body?.length ?? 0;
		const inline = size > 0 && size <= 16384;
		if (size > 16384) {
			this.server.bodies.set(requestId.replaceAll('-', ''), body);
		}
		this.invoke('RequestTarget', {
			requestId, requestOriginId: randomUUID(), acknowledgeMode: 0, acknowledgeOriginId: null, target: 'web',
			tenantName: 'T1', httpMethod: 'GET', url: '', httpHeaders: {}, originalBodySize: size, bodySize: size,
			bodyContent: inline ? Buffer.from(body).toString('base64') : null, enableTracing: false,
			discardConnectorResponse: false, ...changes,
		});
		return requestId;
	}
}

function json(res, value) {
	const text = JSON.stringify(value);
	res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) });
	res.end(text);
}
