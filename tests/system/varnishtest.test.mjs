/*
 * Exchanges as scripts of varnishtest, with a client and a service whose every byte is the script's:
 * tests/varnishtest/NAME.vtc, each with a port of its own for the service.
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { readdirSync } from 'node:fs';
import { check, SLOWNESS } from './lib/check.mjs';
import { Gateway } from './lib/gateway.mjs';
import { freePort } from './lib/ports.mjs';
import { execute } from './lib/process.mjs';

const SCRIPTS = new URL('../varnishtest/', import.meta.url);

let gw;

before(async () => {
	/* One loop: another would not know of the connection that a script's service keeps. */
	gw = await Gateway.start({ loops: 1, gateway: { listen: [{ address: '127.0.0.1:0', http2: true }] } });
	await gw.route({ name: 's', url: 'http://127.0.0.1:1' }, { name: 'all', paths: ['/'] });
	await gw.make('/services/s/routes', { name: 'unbuffered', paths: ['/unbuffered'], request_buffering: false });
});

after(async () => {
	await gw?.close();
});

for (const script of readdirSync(SCRIPTS).filter((name) => name.endsWith('.vtc'))) {
	check(`varnishtest ${script}`, async () => {
		const port = await freePort();
		await gw.make('/services/s', { port, retries: 0 }, 'PATCH');
		const values = { gateway_port: new URL(gw.proxy).port, upstream_port: port };
		const defined = Object.entries(values).map(([name, value]) => `-D${name}=${value}`);
		const child = execute('varnishtest', ['-t', String(20 * SLOWNESS), ...defined, new URL(script, SCRIPTS).pathname]);
		const { code, stdout, stderr } = await child.then((out) => ({ code: 0, ...out }), (error) => error);
		assert.equal(code, 0, `${stdout}${stderr}`);
	});
}
