/*
 * client - Node's http as a client that does not touch the path
 */
import http from 'node:http';
import { once } from 'node:events';
import { within } from './check.mjs';

/*
 * request('http://127.0.0.1:5000', '/relay/T1/web/a%20b', { method, headers, body })
 * The path is sent as it stands. `signal` aborts; `agent` reuses connections.
 */
export async function request(base, path, { method = 'GET', headers = {}, body, agent = false, signal,
	ms } = {}) {
	const { hostname, port } = new URL(base);
	const req = http.request({ hostname, port, path, method, headers, agent, signal });
	const answered = once(req, 'response');
	req.end(body);
	const [res] = await within(answered, `${method} ${path} is answered`, ms);
	const chunks = [];
	const collect = async () => {
		for await (const chunk of res) {
			chunks.push(chunk);
		}
	};
	await within(collect(), `${method} ${path} is answered in full`, ms);
	const data = Buffer.concat(chunks);
	return {
		status: res.statusCode,
		headers: res.headers,
		raw: res.rawHeaders.flatMap((_, i, a) => (i % 2 ? [] : [[a[i], a[i + 1]]])),
		body: data,
		get text() {
			return data.toString();
		},
		get json() {
			return JSON.parse(data);
		},
	};
}

/* Starts a request and returns how to abort it; `done` settles either way and never throws. */
export function abortable(base, path, options = {}) {
	const controller = new AbortController();
	const done = request(base, path, { ...options, signal: controller.signal })
		.then((reply) => ({ reply }), (error) => ({ error }));
	return { done, abort: () => controller.abort() };
}

export async function timed(promise) {
	const started = performance.now();
	const value = await promise;
	return { value, ms: performance.now() - started };
}
