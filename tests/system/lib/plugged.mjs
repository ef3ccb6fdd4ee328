/*
 * plugged - routes with plugins on a gateway, and what must come of asking them
 *
 *	const plugged = await Plugged.start({ loops: 2 });
 *	await plugged.serve('key', { 'key-auth': {} });		service and route /key
 *	await plugged.refused(plugged.ask('/key'), 401, 'No API key found in request', 'Key');
 */
import assert from 'node:assert/strict';
import { request } from './client.mjs';
import { Echo, Gateway } from './gateway.mjs';

export class Plugged {
	static async start(sections, echo) {
		const plugged = new Plugged();
		plugged.echo = await Echo.start(echo);
		plugged.gw = await Gateway.start(sections);
		return plugged;
	}

	async close() {
		await this.gw?.close();
		await this.echo?.close();
	}

	/* The answer of the Admin API, which must have that status. */
	async want(status, method, path, body) {
		const reply = await this.gw.admin(method, path, body);
		assert.equal(reply.status, status, `${method} ${path}: ${reply.text}`);
		return status === 204 ? undefined : reply.json;
	}

	plug(scope, name, config, more) {
		return this.want(201, 'POST', `${scope}/plugins`, { name, config, ...more });
	}

	/* A service and a route of that name, and plugins of the route: {name: config}. */
	async serve(name, plugins = {}, route = {}) {
		await this.want(201, 'POST', '/services', { name, url: this.echo.url });
		await this.want(201, 'POST', `/services/${name}/routes`, { name, paths: [`/${name}`], ...route });
		for (const [plugin, config] of Object.entries(plugins)) {
			await this.plug(`/routes/${name}`, plugin, config);
		}
	}

	ask(path, headers = {}, options = {}) {
		return request(this.gw.proxy, path, { headers, ...options });
	}

	/* What the service saw of it. */
	async passed(asking) {
		const reply = await asking;
		assert.equal(reply.status, 200, reply.text);
		return reply.json;
	}

	/* An answer of the gateway, byte for byte; the service never heard of it. */
	async refused(asking, status, message, challenge) {
		const heard = this.echo.requests.length;
		const reply = await asking;
		const id = reply.headers['x-kong-request-id'];
		assert.equal(reply.status, status, reply.text);
		assert.match(id, /^[0-9a-f]{32}$/);
		assert.equal(reply.text, `{\n  "message":${JSON.stringify(message)},\n  "request_id":"${id}"\n}`);
		assert.equal(reply.headers['content-type'], 'application/json; charset=utf-8');
		assert.equal(reply.headers['www-authenticate'], challenge);
		assert.equal(reply.headers.server, 'kong/3.10.0');
		assert.match(reply.headers['x-kong-response-latency'], /^\d+$/);
		assert.equal(this.echo.requests.length, heard, 'the service was asked');
		return reply;
	}
}
