/*
 * raw - HTTP/1 by hand: what a test sends is what goes over the wire, byte for byte
 */
import net from 'node:net';
import { once } from 'node:events';
import { within } from './check.mjs';

export class RawConnection {
	static async open(url) {
		const { hostname, port } = new URL(url);
		const raw = new RawConnection();
		raw.bytes = Buffer.alloc(0);
		raw.ended = false;
		raw.waiters = new Set();
		raw.socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
		raw.socket.on('error', () => {});
		raw.socket.on('data', (data) => {
			raw.bytes = Buffer.concat([raw.bytes, data]);
			raw.wake();
		});
		raw.socket.on('close', () => {
			raw.ended = true;
			raw.wake();
		});
		await within(once(raw.socket, 'connect'), `connect to ${url}`);
		return raw;
	}

	wake() {
		for (const look of [...this.waiters]) {
			look();
		}
	}

	/* Strings are sent as Latin-1, so that every byte can be written. */
	send(data) {
		this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
		return this;
	}

	/* Until `enough()` is true or the peer closed; which of both it was. */
	async until(enough, what, ms) {
		let look;
		const done = new Promise((resolve) => {
			look = () => (enough() || this.ended) && resolve();
			this.waiters.add(look);
			look();
		});
		try {
			await within(done, `${what}; so far: ${JSON.stringify(this.text.slice(0, 300))}`, ms);
		} finally {
			this.waiters.delete(look);
		}
		return enough();
	}

	get text() {
		return this.bytes.toString('latin1');
	}

	/* The next response; undefined when the peer closes instead. HEAD has no body. */
	async response({ method = 'GET', ms } = {}) {
		let parsed;
		await this.until(() => (parsed = parseResponse(this.bytes, method, this.ended)), 'a response', ms);
		parsed = parseResponse(this.bytes, method, this.ended);
		if (parsed) {
			this.bytes = this.bytes.subarray(parsed.length);
		}
		return parsed;
	}

	async closed(ms) {
		await this.until(() => this.ended, 'the server closes', ms);
	}

	/* Everything up to the close by the peer. */
	async rest(ms) {
		await this.closed(ms);
		return this.text;
	}

	close() {
		this.socket.destroy();
	}
}

/* A reader as strict as the tests need: it throws where a response is not well formed. */
export function parseResponse(bytes, method = 'GET', atEnd = false) {
	const text = bytes.toString('latin1');
	const end = text.indexOf('\r\n\r\n');
	if (end < 0) {
		return undefined;
	}
	const [first, ...lines] = text.slice(0, end).split('\r\n');
	const status = /^HTTP\/1\.1 (\d{3}) ([\t\x20-\x7e\x80-\xff]*)$/.exec(first);
	if (!status) {
		throw new Error(`bad status line ${JSON.stringify(first)}`);
	}
	const headers = lines.map((line) => {
		const m = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(line);
		if (!m) {
			throw new Error(`bad header line ${JSON.stringify(line)}`);
		}
		return [m[1], m[2]];
	});
	const all = (name) => headers.filter(([k]) => k.toLowerCase() === name).map(([, v]) => v);
	const response = {
		status: Number(status[1]), headers, all, header: (name) => all(name)[0],
	};
	const body = bodyOf(bytes.subarray(end + 4), response, method, atEnd);
	return body && { ...response, body: body.data, length: end + 4 + body.taken };
}

function bodyOf(rest, { status, all }, method, atEnd) {
	if (method === 'HEAD' || status < 200 || status === 204 || status === 304) {
		return { data: Buffer.alloc(0), taken: 0 };
	}
	const lengths = all('content-length');
	if (all('transfer-encoding').length > 0) {
		if (lengths.length > 0) {
			throw new Error('response with Content-Length and Transfer-Encoding');
		}
		return chunks(rest);
	}
	if (lengths.length > 1 || (lengths.length === 1 && !/^\d+$/.test(lengths[0]))) {
		throw new Error(`response with Content-Length ${lengths}`);
	}
	if (lengths.length === 0) {
		return atEnd ? { data: rest, taken: rest.length } : undefined;
	}
	const n = Number(lengths[0]);
	return rest.length >= n ? { data: rest.subarray(0, n), taken: n } : undefined;
}

function chunks(rest) {
	const parts = [];
	let at = 0;
	for (;;) {
		const end = rest.indexOf('\r\n', at, 'latin1');
		if (end < 0) {
			return undefined;
		}
		const size = parseInt(rest.toString('latin1', at, end), 16);
		at = end + 2;
		if (size === 0) {
			const last = rest.indexOf('\r\n', at, 'latin1');
			return last < 0 ? undefined : { data: Buffer.concat(parts), taken: last + 2 };
		}
		if (rest.length < at + size + 2) {
			return undefined;
		}
		parts.push(rest.subarray(at, at + size));
		at += size + 2;
	}
}
