/*
 * strict - an upstream that keeps what reached it, byte for byte, and takes nothing doubtful
 *
 * `requests` has the well-formed ones, each answered 200 with its number; `broken` says why
 * bytes were none; `partial` has what a connection left unfinished when it was closed.
 */
import net from 'node:net';
import { once } from 'node:events';

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export class StrictUpstream {
	static async start() {
		const s = new StrictUpstream();
		s.forget();
		s.sockets = new Set();
		s.server = net.createServer((socket) => s.serve(socket));
		s.server.listen(0, '127.0.0.1');
		await once(s.server, 'listening');
		s.url = `http://127.0.0.1:${s.server.address().port}`;
		return s;
	}

	forget() {
		this.requests = [];
		this.broken = [];
		this.partial = [];
	}

	serve(socket) {
		let bytes = '';
		this.sockets.add(socket);
		socket.on('error', () => {});
		socket.on('close', () => {
			this.sockets.delete(socket);
			bytes && this.partial.push(bytes);
		});
		socket.on('data', (data) => {
			bytes += data.toString('latin1');
			try {
				for (let r; (r = parse(bytes)); bytes = bytes.slice(r.length)) {
					const body = String(this.requests.push(r));
					socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${r.method === 'HEAD' ? '' : body}`);
				}
			} catch (error) {
				this.broken.push(`${error.message}: ${JSON.stringify(bytes)}`);
				bytes = '';
				socket.destroy();
			}
		});
	}

	async close() {
		for (const socket of this.sockets) {
			socket.destroy();
		}
		await new Promise((done) => this.server.close(done));
	}
}

function must(fact, what) {
	if (!fact) {
		throw new Error(what);
	}
}

/* The first request; undefined when more bytes are needed. */
function parse(text) {
	const end = text.indexOf('\r\n\r\n');
	if (end < 0) {
		return undefined;
	}
	const [first, ...lines] = text.slice(0, end).split('\r\n');
	const [, method, target] = /^([A-Z]+) (\/[\x21-\x7e]*) HTTP\/1\.1$/.exec(first) ?? [];
	must(method && !target.includes('#'), 'request line');
	const headers = lines.map((line) => {
		const [, name, value] = /^([^:]+): ?([\t\x20-\x7e\x80-\xff]*)$/.exec(line) ?? [];
		must(name && TOKEN.test(name), `header line ${line}`);
		return [name, value];
	});
	const all = (name) => headers.filter(([k]) => k.toLowerCase().replaceAll(/[^a-z0-9]/g, '-') === name).map(([, v]) => v);
	const [lengths, codings] = [all('content-length'), all('transfer-encoding')];
	must(all('host').length === 1, 'one Host');
	must(lengths.length + codings.length <= 1, 'framing told once');
	must(lengths.every((v) => /^(0|[1-9]\d*)$/.test(v)), 'Content-Length');
	must(codings.every((v) => v === 'chunked'), 'Transfer-Encoding');
	const body = codings.length ? chunks(text, end + 4) : plain(text, end + 4, Number(lengths[0] ?? 0));
	return body && { method, target, headers, all, body: body.data, length: body.end };
}

function plain(text, at, n) {
	return text.length >= at + n ? { data: text.slice(at, at + n), end: at + n } : undefined;
}

function chunks(text, at) {
	for (let data = ''; ;) {
		const line = text.indexOf('\r\n', at);
		if (line < 0) {
			return undefined;
		}
		must(/^[0-9A-Fa-f]{1,8}$/.test(text.slice(at, line)), 'chunk size');
		const n = parseInt(text.slice(at, line), 16);
		if (text.length < line + 4 + n) {
			return undefined;
		}
		must(text.startsWith('\r\n', line + 2 + n), 'end of a chunk');
		if (n === 0) {
			return { data, end: line + 4 };
		}
		data += text.slice(line + 2, line + 2 + n);
		at = line + 4 + n;
	}
}
