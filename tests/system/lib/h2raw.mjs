/*
 * h2raw - HTTP/2 by hand: frames as a test wants them, well formed or not
 *
 * Header blocks are written as literals without indexing (RFC 7541 6.2.2) and without
 * Huffman coding; those of the server are not decoded, its frames are.
 */
import net from 'node:net';
import { once } from 'node:events';
import { RawConnection } from './raw.mjs';

export const TYPE = {
	DATA: 0, HEADERS: 1, PRIORITY: 2, RST_STREAM: 3, SETTINGS: 4, PUSH_PROMISE: 5,
	PING: 6, GOAWAY: 7, WINDOW_UPDATE: 8, CONTINUATION: 9,
};
export const CODE = {
	NO_ERROR: 0, PROTOCOL_ERROR: 1, FLOW_CONTROL_ERROR: 3, STREAM_CLOSED: 5, REFUSED_STREAM: 7,
	CANCEL: 8, ENHANCE_YOUR_CALM: 11,
};
export const END_STREAM = 1;
export const END_HEADERS = 4;
export const ACK = 1;
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export function frame(type, flags, stream, payload = Buffer.alloc(0)) {
	const head = Buffer.alloc(9);
	head.writeUIntBE(payload.length, 0, 3);
	head[3] = type;
	head[4] = flags;
	head.writeUInt32BE(stream, 5);
	return Buffer.concat([head, payload]);
}

export function u32(n) {
	const b = Buffer.alloc(4);
	b.writeUInt32BE(n);
	return b;
}

/* An integer with a 7-bit prefix (RFC 7541 5.1), no Huffman bit. */
function length(n) {
	if (n < 127) {
		return Buffer.from([n]);
	}
	const out = [127];
	for (n -= 127; n >= 128; n = Math.floor(n / 128)) {
		out.push((n % 128) + 128);
	}
	out.push(n);
	return Buffer.from(out);
}

const text = (s) => Buffer.from(s, 'latin1');

export function block(fields) {
	return Buffer.concat(fields.map(([name, value]) => Buffer.concat(
		[Buffer.from([0]), length(text(name).length), text(name), length(text(value).length), text(value)])));
}

export const GET = (path = '/', more = []) => [
	[':method', 'GET'], [':scheme', 'http'], [':authority', 'a'], [':path', path], ...more];
export const POST = (path = '/', more = []) => [
	[':method', 'POST'], [':scheme', 'http'], [':authority', 'a'], [':path', path], ...more];

export const headers = (stream, fields, flags = END_STREAM | END_HEADERS) =>
	frame(TYPE.HEADERS, flags, stream, block(fields));
export const data = (stream, bytes, flags = 0) => frame(TYPE.DATA, flags, stream, Buffer.from(bytes));
export const reset = (stream, code = CODE.CANCEL) => frame(TYPE.RST_STREAM, 0, stream, u32(code));
export const ping = (flags = 0) => frame(TYPE.PING, flags, 0, Buffer.alloc(8));
export const windowUpdate = (stream, n) => frame(TYPE.WINDOW_UPDATE, 0, stream, u32(n));

export function settings(entries = []) {
	return frame(TYPE.SETTINGS, 0, 0, Buffer.concat(entries.map(([id, value]) => {
		const b = Buffer.alloc(6);
		b.writeUInt16BE(id);
		b.writeUInt32BE(value, 2);
		return b;
	})));
}

/* Those that are whole; what is behind them is `rest`. */
function parse(b) {
	const frames = [];
	let at = 0;
	while (at + 9 <= b.length) {
		const n = b.readUIntBE(at, 3);
		if (at + 9 + n > b.length) {
			break;
		}
		frames.push({
			type: b[at + 3], flags: b[at + 4], stream: b.readUInt32BE(at + 5),
			payload: b.subarray(at + 9, at + 9 + n),
		});
		at += 9 + n;
	}
	return { frames, rest: b.subarray(at) };
}

export class H2Connection {
	static async open(url, options = []) {
		const c = new H2Connection();
		c.raw = await RawConnection.open(url);
		c.raw.send(PREFACE).send(settings(options));
		return c;
	}

	send(...frames) {
		this.raw.send(Buffer.concat(frames));
		return this;
	}

	/* All frames that have come so far. */
	get frames() {
		return parse(this.raw.bytes).frames;
	}

	/* The same, and forgets them. */
	take() {
		const { frames, rest } = parse(this.raw.bytes);
		this.raw.bytes = rest;
		return frames;
	}

	find(type, stream) {
		return this.frames.find((f) => f.type === type && (stream === undefined || f.stream === stream));
	}

	/* Waits for a frame; undefined when the server closes without one. */
	async frame(type, stream) {
		await this.raw.until(() => this.find(type, stream), `frame ${type} on ${stream}`);
		return this.find(type, stream);
	}

	/* The code with which the stream was reset. */
	async resetCode(stream) {
		return (await this.frame(TYPE.RST_STREAM, stream))?.payload.readUInt32BE(0);
	}

	/* The code of the GOAWAY; the server must close after it. */
	async goaway() {
		await this.raw.closed();
		const all = this.frames.filter((f) => f.type === TYPE.GOAWAY);
		return all.at(-1)?.payload.readUInt32BE(4);
	}

	bytes(stream) {
		return this.frames.filter((f) => f.type === TYPE.DATA && f.stream === stream)
			.reduce((n, f) => n + f.payload.length, 0);
	}

	/* The status, if the server wrote it with an index of the static table or as a literal. */
	async status(stream) {
		const f = await this.frame(TYPE.HEADERS, stream);
		const known = { 0x88: 200, 0x89: 204, 0x8a: 206, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500 };
		return f && (known[f.payload[0]] ?? 'other');
	}

	close() {
		this.raw.close();
	}
}

/* A server without TLS: `onFrame(connection, frame)` answers with `connection.send(...frames)`. */
export class H2Peer {
	static async start(onFrame, options = []) {
		const peer = Object.assign(new H2Peer(), { connections: [], onFrame });
		peer.server = net.createServer((socket) => peer.serve(socket, options)).listen(0, '127.0.0.1');
		await once(peer.server, 'listening');
		peer.port = peer.server.address().port;
		return peer;
	}

	serve(socket, options) {
		let bytes = Buffer.alloc(0);
		let isNew = true;
		const connection = { socket, send: (...frames) => socket.write(Buffer.concat(frames)) };
		this.connections.push(connection);
		connection.send(settings(options));
		socket.on('error', () => {}).on('data', (data) => {
			bytes = Buffer.concat([bytes, data]);
			if (isNew && bytes.length < PREFACE.length) {
				return;
			}
			const { frames, rest } = parse(isNew ? bytes.subarray(PREFACE.length) : bytes);
			isNew = false;
			bytes = rest;
			frames.forEach((f) => this.onFrame(connection, f));
		});
	}

	async close() {
		this.connections.forEach(({ socket }) => socket.destroy());
		await new Promise((done) => this.server.close(done));
	}
}
