/*
 * signalr - a connector made of the field's own client, @microsoft/signalr
 *
 *	const hub = await SignalrConnector.start(server, { tenant, token, transport: 'SSE' });
 *	const req = await hub.requests.take();         a ClientRequest as received
 *	await hub.deliver(req, { status: 200, body });  resolves to what the hub answered
 *
 * With `answer` each request is answered at once. Bodies over 16 KiB go through the
 * body endpoints, as the protocol wants it.
 */
import { HttpTransportType, HubConnectionBuilder, LogLevel } from '@microsoft/signalr';
import { Mailbox, event, within } from './check.mjs';
import { EventEmitter } from 'node:events';

const INLINE_MAX = 16384;
const TRANSPORTS = {
	WebSockets: HttpTransportType.WebSockets,
	SSE: HttpTransportType.ServerSentEvents,
	LongPolling: HttpTransportType.LongPolling,
};

export class SignalrConnector extends EventEmitter {
	static async start(server, { tenant, secret, token, transport = 'WebSockets', answer }) {
		const hub = new SignalrConnector();
		hub.tenant = tenant;
		hub.answer = answer;
		hub.requests = new Mailbox(`a request for ${tenant}`);
		hub.received = [];
		hub.endpoints = await server.discovery();
		hub.token = token ?? await server.token(tenant, secret);
		hub.connection = new HubConnectionBuilder()
			.withUrl(hub.endpoints.connectorEndpoint, {
				accessTokenFactory: () => hub.token,
				transport: TRANSPORTS[transport],
			})
			.configureLogging(LogLevel.None)
			.build();
		hub.connection.on('RequestTarget', (request) => hub.onRequest(request));
		hub.connection.on('Configure', (config) => hub.emit('configure', config));
		hub.connection.onclose((error) => hub.emit('close', error));
		await within(hub.connection.start(), `${transport} connects`);
		return hub;
	}

	onRequest(request) {
		this.received.push(request);
		this.requests.put(request);
		if (this.answer) {
			Promise.resolve(this.answer(request))
				.then((reply) => reply && this.deliver(request, reply))
				.catch((error) => this.emit('fault', error));
		}
	}

	/* The body of a request, inline or fetched; Buffer. */
	async body(request) {
		if (request.bodyContent !== null) {
			return Buffer.from(request.bodyContent, 'base64');
		}
		if (request.bodySize === 0) {
			return Buffer.alloc(0);
		}
		const reply = await this.fetchBody(request);
		return Buffer.from(await reply.arrayBuffer());
	}

	async fetchBody(request, token = this.token) {
		const id = request.requestId.replaceAll('-', '');
		const remove = request.acknowledgeMode === 0;
		return await fetch(`${this.endpoints.requestEndpoint}/${id}?delete=${remove}`, {
			headers: { Authorization: `Bearer ${token}` },
		});
	}

	async storeBody(request, body, token = this.token) {
		const id = request.requestId.replaceAll('-', '');
		return await fetch(`${this.endpoints.responseEndpoint}/${id}`, {
			method: 'POST', body, headers: { Authorization: `Bearer ${token}` },
		});
	}

	/* `changes` overwrites members of the record, for hostile ones. */
	async deliver(request, { status = 200, headers = {}, body = Buffer.alloc(0), changes = {} } = {}) {
		const data = Buffer.from(body);
		const isInline = data.length <= INLINE_MAX;
		if (!isInline) {
			const stored = await this.storeBody(request, data);
			if (stored.status !== 200) {
				throw new Error(`response body refused: ${stored.status}`);
			}
		}
		const record = {
			requestId: request.requestId,
			requestOriginId: request.requestOriginId,
			requestStart: null,
			requestDuration: null,
			connectionId: null,
			httpStatusCode: status,
			httpHeaders: headers,
			originalBodySize: data.length,
			bodySize: data.length,
			bodyContent: isInline && data.length > 0 ? data.toString('base64') : null,
			requestFailed: false,
			...changes,
		};
		return await within(this.connection.invoke('Deliver', record), 'Deliver completes');
	}

	async acknowledge(request) {
		return await within(this.connection.invoke('Acknowledge', {
			originId: request.requestOriginId, requestId: request.requestId,
			removeRequestBodyContent: true,
		}), 'Acknowledge completes');
	}

	closed() {
		return event(this, 'close', 'the hub connection closes');
	}

	async stop() {
		await this.connection.stop();
	}
}
