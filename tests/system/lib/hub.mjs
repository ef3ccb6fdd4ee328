/*
 * hub - the SignalR wire by hand: negotiate, one WebSocket, records as they come
 */
import WebSocket from 'ws';
import { Mailbox, event, within } from './check.mjs';

export const RS = '\x1e';
export const HANDSHAKE = `{"protocol":"json","version":1}${RS}`;

export async function negotiate(server, { token, query = '?negotiateVersion=1', method = 'POST', headers = {} } = {}) {
	return await fetch(`${server.relay}/connector/negotiate${query}`, {
		method, headers: { ...headers, ...(token && { Authorization: `Bearer ${token}` }) },
	});
}

export class Hub {
	/* Opens the socket; with `handshake` false nothing is sent yet. */
	static async open(server, { token, handshake = true, headers = {} } = {}) {
		const hub = new Hub();
		hub.records = new Mailbox('a record from the hub');
		const { connectionToken } = await (await negotiate(server, { token, headers })).json();
		const url = `${server.relay.replace('http', 'ws')}/connector?id=${connectionToken}`;
		hub.socket = new WebSocket(url, {
			headers: { Authorization: `Bearer ${token}`, ...headers }, perMessageDeflate: false,
		});
		hub.buffer = '';
		hub.socket.on('message', (data) => hub.onData(data.toString()));
		hub.socket.on('error', () => {});
		hub.closed = new Promise((resolve) => hub.socket.once('close', (code) => resolve(code)));
		await event(hub.socket, 'open', 'the WebSocket opens');
		if (handshake) {
			hub.send(HANDSHAKE);
			const answer = await hub.records.take();
			if (JSON.stringify(answer) !== '{}') {
				throw new Error(`handshake answered ${JSON.stringify(answer)}`);
			}
		}
		return hub;
	}

	onData(text) {
		this.buffer += text;
		for (;;) {
			const end = this.buffer.indexOf(RS);
			if (end < 0) {
				return;
			}
			this.records.put(JSON.parse(this.buffer.slice(0, end)));
			this.buffer = this.buffer.slice(end + 1);
		}
	}

	send(text) {
		this.socket.send(text);
	}

	record(value) {
		this.send(JSON.stringify(value) + RS);
	}

	/* The next record that is no ping. */
	async next(ms) {
		for (;;) {
			const record = await this.records.take(ms);
			if (record.type !== 6) {
				return record;
			}
		}
	}

	async gone(ms) {
		return await within(this.closed, 'the hub closes', ms);
	}

	close() {
		this.socket.terminate();
	}
}
