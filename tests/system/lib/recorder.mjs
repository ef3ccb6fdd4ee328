/*
 * recorder - a TCP proxy between a connector and the server that reads what passes
 *
 * It keeps the bytes of each connection, and of WebSockets the hub records of both
 * directions. It can freeze (nothing passes, nothing closes), cut, and be closed to more.
 */
import net from 'node:net';
import { once, EventEmitter } from 'node:events';
import { until } from './check.mjs';

const RS = 0x1e;

export class Recorder extends EventEmitter {
	static async start(upstream) {
		const recorder = new Recorder();
		const { hostname, port } = new URL(upstream);
		recorder.connections = new Set();
		recorder.http = [];
		recorder.records = [];
		recorder.isFrozen = false;
		recorder.isClosed = false;
		recorder.server = net.createServer((client) => {
			if (recorder.isClosed) {
				client.resetAndDestroy();
				return;
			}
			recorder.pair(client, net.connect({ host: hostname, port: Number(port), noDelay: true }));
		});
		recorder.server.listen(0, '127.0.0.1');
		await once(recorder.server, 'listening');
		recorder.url = `http://127.0.0.1:${recorder.server.address().port}`;
		return recorder;
	}

	pair(client, server) {
		const pair = { client, server };
		this.connections.add(pair);
		const up = new Side(this, 'up');
		const down = new Side(this, 'down');
		pump(this, client, server, up);
		pump(this, server, client, down);
		if (this.isFrozen) {
			client.pause();
			server.pause();
		}
		for (const [one, other] of [[client, server], [server, client]]) {
			one.on('error', () => {});
			one.on('close', () => {
				other.destroy();
				this.connections.delete(pair);
			});
			one.on('end', () => other.end());
		}
	}

	/* Request lines of the connector and status lines of the server, in order. */
	lines(pattern) {
		return this.http.filter((line) => pattern.test(line));
	}

	/* Hub invocations of one direction ("up" from the connector) by target name. */
	invocations(direction, target) {
		return this.records.filter((r) => r.direction === direction && r.record.target === target)
			.map((r) => r.record.arguments[0]);
	}

	async invocation(direction, target, n = 1) {
		await until(() => this.invocations(direction, target).length >= n, `${n} ${target} pass`);
		return this.invocations(direction, target)[n - 1];
	}

	freeze() {
		this.isFrozen = true;
		for (const { client, server } of this.connections) {
			client.pause();
			server.pause();
		}
	}

	thaw() {
		this.isFrozen = false;
		for (const { client, server } of this.connections) {
			client.resume();
			server.resume();
		}
	}

	cut() {
		for (const { client, server } of this.connections) {
			client.destroy();
			server.destroy();
		}
	}

	async close() {
		this.cut();
		await new Promise((done) => this.server.close(done));
	}
}

function pump(recorder, from, to, side) {
	from.on('data', (data) => {
		side.take(data);
		if (!to.write(data)) {
			from.pause();
			to.once('drain', () => recorder.isFrozen || from.resume());
		}
	});
}

/* One direction of one connection: HTTP heads until an upgrade, WebSocket frames after it. */
class Side {
	constructor(recorder, direction) {
		this.recorder = recorder;
		this.direction = direction;
		this.rest = Buffer.alloc(0);
		this.message = Buffer.alloc(0);
		this.isWebSocket = false;
	}

	take(data) {
		this.rest = Buffer.concat([this.rest, data]);
		if (!this.isWebSocket) {
			this.heads();
		}
		if (this.isWebSocket) {
			this.frames();
		}
	}

	/* Crude on purpose: a line that ends like one counts; a body without newline may stand before it. */
	heads() {
		const text = this.rest.toString('latin1');
		const start = this.direction === 'up' ? /[A-Z]+ \/\S* HTTP\/1\.1$/ : /HTTP\/1\.1 \d{3}.*$/;
		const done = text.lastIndexOf('\r\n') + 2;
		for (const line of text.slice(0, Math.max(done, 0)).split('\r\n')) {
			const [head] = start.exec(line) ?? [];
			if (head) {
				this.recorder.http.push(head);
				this.recorder.emit('head', head);
			}
		}
		const upgraded = this.direction === 'up'
			? /GET [^\r]*(?:\r\n[^\r]+)*\r\nupgrade: *websocket(?:\r\n[^\r]+)*\r\n\r\n/im.exec(text)
			: /HTTP\/1\.1 101[^\r]*(?:\r\n[^\r]+)*\r\n\r\n/m.exec(text);
		if (upgraded) {
			this.isWebSocket = true;
			this.rest = this.rest.subarray(upgraded.index + upgraded[0].length);
		} else if (done > 1 && !/upgrade: *websocket|HTTP\/1\.1 101/i.test(text)) {
			this.rest = this.rest.subarray(done);
		}
		/* Of a large body only the end is kept, where a head may begin. */
		if (!this.isWebSocket && this.rest.length > 65536) {
			this.rest = this.rest.subarray(-4096);
		}
	}

	frames() {
		for (;;) {
			const frame = parseFrame(this.rest);
			if (!frame) {
				return;
			}
			this.rest = this.rest.subarray(frame.length);
			if (frame.opcode <= 2) {
				this.message = Buffer.concat([this.message, frame.payload]);
				this.split();
			}
		}
	}

	split() {
		for (;;) {
			const end = this.message.indexOf(RS);
			if (end < 0) {
				return;
			}
			const record = JSON.parse(this.message.subarray(0, end));
			this.message = this.message.subarray(end + 1);
			this.recorder.records.push({ direction: this.direction, record, at: Date.now() });
			this.recorder.emit('record', this.direction, record);
		}
	}
}

function parseFrame(data) {
	if (data.length < 2) {
		return undefined;
	}
	const isMasked = (data[1] & 0x80) !== 0;
	let size = data[1] & 0x7f;
	let at = 2;
	if (size === 126) {
		if (data.length < 4) return undefined;
		[size, at] = [data.readUInt16BE(2), 4];
	} else if (size === 127) {
		if (data.length < 10) return undefined;
		[size, at] = [Number(data.readBigUInt64BE(2)), 10];
	}
	const start = at + (isMasked ? 4 : 0);
	if (data.length < start + size) {
		return undefined;
	}
	const payload = Buffer.from(data.subarray(start, start + size));
	if (isMasked) {
		for (let i = 0; i < size; i++) {
			payload[i] ^= data[at + (i & 3)];
		}
	}
	return { opcode: data[0] & 15, payload, length: start + size };
}
