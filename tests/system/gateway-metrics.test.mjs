/* /metrics: what dashboards for Kong ask for, on the Admin listener and on that of status. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check, deferred, SANITIZED, until } from './lib/check.mjs';
import { request } from './lib/client.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { RawConnection } from './lib/raw.mjs';

let gw;
let echo;

before(async () => {
	gw = await Gateway.start();
	echo = await Echo.start();
	await gw.route({ name: 's', url: echo.url }, { name: 'r', paths: ['/s'] });
	await gw.make('/plugins', { name: 'prometheus', config: { status_code_metrics: true } });
});

after(async () => {
	await gw?.close();
	await echo?.close();
});

const metrics = async (url) => (await request(url, '/metrics', { method: 'GET' })).text;

/* Value of the one line that begins so. */
function value(text, start) {
	const lines = text.split('\n').filter((line) => line.startsWith(start));
	assert.equal(lines.length, 1, `${start}: ${lines.length} lines`);
	return Number(lines[0].split(' ').at(-1));
}

check('gauges of the node, its connections and its requests', async () => {
	const { node_id: id } = (await gw.admin('GET', '/')).json;
	const node = `node_id="${id}"`;
	for (const url of [gw.adminUrl, gw.status]) {
		const before = value(await metrics(url), `kong_nginx_requests_total{${node},subsystem="http"}`);
		await gw.get('/s/x');
		await gw.get('/nowhere');
		const text = await metrics(url);
		assert.equal(value(text, `kong_nginx_requests_total{${node},subsystem="http"}`), before + 2);
		assert.equal(value(text, `kong_node_info{${node},version="3.10.0"}`), 1);
		assert.ok(value(text, `kong_nginx_connections_total{${node},subsystem="http",state="accepted"}`) > 0);
		/* The sanitizers' allocator does not say how much it holds. */
		assert.ok(value(text, 'kong_memory_workers_lua_vms_bytes{') >= (SANITIZED ? 0 : 100_000));
	}
	assert.equal(value(await metrics(gw.adminUrl), 'kong_datastore_reachable'), 1);
});

check('each metric is declared once, before its values', async () => {
	for (const url of [gw.adminUrl, gw.status]) {
		const declared = new Set();
		for (const line of (await metrics(url)).split('\n').filter((l) => /^(# TYPE )?kong_/.test(l))) {
			const name = /^(?:# TYPE )?([a-z_]+)/.exec(line)[1];
			if (line.startsWith('#')) {
				assert.ok(!declared.has(name), `${name} is declared twice`);
				declared.add(name);
			} else {
				assert.ok(declared.has(name), `${name} is not declared`);
			}
		}
		assert.ok(declared.has('kong_http_requests_total'));
	}
});

check('/status and /metrics tell what connections do', async () => {
	const kinds = ['reading', 'writing', 'waiting'];
	const states = async () => {
		const { server } = (await gw.admin('GET', '/status')).json;
		return Object.fromEntries(kinds.map((k) => [k, server[`connections_${k}`]]));
	};
	const before = await states();
	const held = deferred();
	const slow = await Echo.start({ answer: async (_, res) => {
		await held.promise;
		res.end();
	} });
	const sockets = [];
	try {
		await gw.route({ url: slow.url }, { paths: ['/slow'] });
		for (const text of ['GET / HTTP/1.1\r\nHo', 'GET /slow HTTP/1.1\r\nHost: x\r\n\r\n', '']) {
			const raw = await RawConnection.open(gw.proxy);
			raw.send(text);
			sockets.push(raw);
		}
		await until(async () => {
			const now = await states();
			return kinds.every((k) => now[k] === before[k] + 1);
		}, 'one connection of each kind');
		const text = await metrics(gw.status);
		for (const kind of kinds) {
			assert.match(text, new RegExp(`kong_nginx_connections_total\\{.*state="${kind}"\\} [1-9]`));
		}
	} finally {
		held.resolve();
		sockets.forEach((s) => s.close());
		await slow.close();
	}
});
