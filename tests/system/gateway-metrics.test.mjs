/* /metrics: what dashboards for Kong ask for, on the Admin listener and on that of status. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check, deferred, SANITIZED, until } from './lib/check.mjs';
import { request } from './lib/client.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { complaints, KONG_NAMES, Prometheus } from './lib/prometheus.mjs';
import { RawConnection } from './lib/raw.mjs';
import { Server } from './lib/server.mjs';

let gw;
let echo;
let plugin;

before(async () => {
	gw = await Gateway.start();
	echo = await Echo.start();
	await gw.route({ name: 's', url: echo.url }, { name: 'r', paths: ['/s'] });
	await gw.make('/routes/r/plugins', { name: 'key-auth', config: { anonymous: 'nobody' } });
	await gw.make('/consumers', { username: 'nobody' });
	const { id } = await gw.make('/consumers', { username: 'a "b"' });
	await gw.make(`/consumers/${id}/key-auth`, { key: 'key' });
	for (const [name, config] of Object.entries({
		'rate-limiting': { minute: 1e6 }, 'http-log': { http_endpoint: echo.url }, 'file-log': { path: '/dev/null' },
	})) {
		await gw.make('/plugins', { name, config });
	}
	plugin = await gw.make('/plugins', { name: 'prometheus', config: {
		per_consumer: true, status_code_metrics: true, latency_metrics: true, bandwidth_metrics: true,
		upstream_health_metrics: true, ai_metrics: true, wasm_metrics: true,
	} });
	await gw.make('/upstreams', { name: 'up', healthchecks: { passive: { unhealthy: { http_failures: 5 } } } });
	await gw.make('/upstreams', { name: 'off' });
	for (const [upstream, target] of [['up', `127.0.0.1:${echo.port}`], ['up', '127.0.0.1:1'],
		['up', 'no-such.invalid:80'], ['off', '[::1]:80']]) {
		await gw.make(`/upstreams/${upstream}/targets`, { target });
	}
	await gw.make('/upstreams/up/targets/127.0.0.1:1/unhealthy', undefined, 'PUT');
	await gw.route({ name: 'up', host: 'up' }, { name: 'up', paths: ['/up'] });
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

check('check 38: gauges of the node, its connections and its requests', async () => {
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
		assert.equal(value(text, 'kong_datastore_reachable '), 1);
	}
});

const busy = async () => {
	for (let i = 0; i < 5; i++) {
		await gw.get('/s/x', { apikey: 'key' });
		await gw.get('/s/x');
		await gw.get('/up');
		await gw.get('/nowhere');
	}
};

check('check 38: promtool has nothing against /metrics of a busy gateway but names that are Kong\'s', async () => {
	await busy();
	for (const url of [gw.adminUrl, gw.status]) {
		const text = await metrics(url);
		for (const name of ['kong_http_requests_total', 'kong_bandwidth_bytes', 'kong_kong_latency_ms',
			'kong_upstream_latency_ms', 'kong_request_latency_ms', 'kong_upstream_target_health', 'kong_nginx_timers',
			'kong_nginx_connections_total', 'kong_nginx_requests_total', 'kong_node_info',
			'kong_memory_workers_lua_vms_bytes', 'posthouse_rate_limiting_lost_total', 'posthouse_http_log_sent_total',
			'posthouse_file_log_dropped_total']) {
			assert.match(text, new RegExp(`^# TYPE ${name} `, 'm'));
		}
		assert.deepEqual(await complaints(text), KONG_NAMES);
	}
	/* The judge does judge. */
	assert.deepEqual(await complaints('# TYPE a_total gauge\na_total 1\n'),
		['a_total no help text', 'a_total non-counter metrics should not have "_total" suffix']);
	assert.match((await complaints('a 1\n# TYPE a counter\n'))[0], /error while linting/);
});

check('check 38: a request counts under the names of that moment', async () => {
	const { service } = await gw.route({ host: 'first.invalid' }, { name: 'names', paths: ['/names'] });
	await gw.make('/routes/names/plugins', { name: 'key-auth' });
	await gw.make('/routes/names/plugins', { name: 'request-termination', config: { status_code: 200 } });
	const ask = async (apikey, host, consumer, n) => {
		assert.equal((await gw.get('/names', { apikey })).status, 200);
		const labels = `service="${host}",route="names",code="200",source="kong",workspace="default",consumer="${consumer}"`;
		assert.equal(value(await metrics(gw.status), `kong_http_requests_total{${labels}}`), n, labels);
	};
	const renamed = await gw.make('/consumers', { username: 'old' });
	await gw.make('/consumers/old/key-auth', { key: 'renamed' });
	await ask('renamed', 'first.invalid', 'old', 1);
	await gw.make(`/consumers/${renamed.id}`, { username: 'new' }, 'PATCH');
	await ask('renamed', 'first.invalid', 'new', 1);

	/* Who has the name by then is another. */
	await gw.make('/consumers', { username: 'old' });
	await gw.make('/consumers/old/key-auth', { key: 'heir' });
	await ask('heir', 'first.invalid', 'old', 2);
	await ask('renamed', 'first.invalid', 'new', 2);

	/* The host stands for the name that a service has not. */
	await gw.make(`/services/${service.id}`, { host: 'second.invalid' }, 'PATCH');
	await ask('renamed', 'second.invalid', 'new', 1);
	await gw.make(`/services/${service.id}`, { name: 'named' }, 'PATCH');
	await ask('renamed', 'named', 'new', 1);
});

check('check 38: promtool has nothing against /metrics of all roles', async () => {
	const all = await Server.start({ gateway: {} });
	try {
		const text = await metrics(all.status);
		assert.match(text, /^posthouse_relay_requests_total/m);
		assert.match(text, /^kong_node_info/m);
		const ours = KONG_NAMES.filter((line) => text.includes(`# TYPE ${line.split(' ')[0]} `));
		assert.deepEqual(await complaints(text), ours);
	} finally {
		await all.close();
	}
});

check('check 38: a Prometheus server scrapes both listeners and answers queries', async () => {
	await busy();
	const prometheus = await Prometheus.start({ admin: gw.adminUrl, status: gw.status });
	try {
		const seen = await until(async () => {
			const targets = await prometheus.targets();
			return targets.length === 2 && targets.every((t) => t.health !== 'unknown') && targets;
		}, 'both are scraped');
		assert.deepEqual(seen.sort((a, b) => a.job.localeCompare(b.job)),
			['admin', 'status'].map((job) => ({ job, health: 'up', lastError: '' })));
		const labels = 'service="s",route="r",code="200",source="service",workspace="default",consumer="a \\"b\\""';
		const requests = value(await metrics(gw.status), `kong_http_requests_total{${labels}}`);
		assert.ok(requests >= 5);
		for (const job of ['admin', 'status']) {
			assert.equal(await prometheus.query(`kong_http_requests_total{job="${job}",${labels}}`), requests);
			assert.ok(await prometheus.query(
				`histogram_quantile(0.99, sum by (le) (kong_request_latency_ms_bucket{job="${job}",service="s"}))`) > 0);
			assert.equal(await prometheus.query(`kong_datastore_reachable{job="${job}"}`), 1);
			assert.equal(await prometheus.query(`sum(kong_upstream_target_health{job="${job}",upstream="up"})`), 3,
				'each target is in one state');
		}
	} finally {
		await prometheus.close();
	}
});

check('check 38: health of targets, a line for each address and state, while somebody asks for it', async () => {
	const shown = async () => (await metrics(gw.status)).split('\n')
		.filter((line) => line.startsWith('kong_upstream_target_health{'));
	const states = async (upstream) => Object.fromEntries((await shown()).flatMap((line) => {
		const [, name, target, address, state, n] =
			/^kong_upstream_target_health\{upstream="(.*?)",target="(.*?)",address="(.*?)",state="(.*?)",subsystem="http"\} ([01])$/.exec(line);
		return name === upstream && n === '1' ? [[`${target} ${address}`, state]] : [];
	}));
	const of = `127.0.0.1:${echo.port}`;

	await until(async () => (await states('up'))['no-such.invalid:80 '] === 'dns_error', 'the name is looked up');
	assert.deepEqual(await states('up'), {
		[`${of} ${of}`]: 'healthy', '127.0.0.1:1 127.0.0.1:1': 'unhealthy', 'no-such.invalid:80 ': 'dns_error',
	});
	assert.deepEqual(await states('off'), { '[::1]:80 [::1]:80': 'healthchecks_off' });
	assert.equal((await shown()).length, 16);

	const id = plugin.id;
	await gw.make(`/plugins/${id}`, { config: { upstream_health_metrics: false } }, 'PATCH');
	await until(async () => (await shown()).length === 0, 'nobody asks');
	await gw.make(`/plugins/${id}`, { config: { upstream_health_metrics: true } }, 'PATCH');
	assert.equal((await shown()).length, 16);
	await gw.make(`/plugins/${id}`, { enabled: false }, 'PATCH');
	await until(async () => (await shown()).length === 0, 'it is disabled');
	await gw.make(`/plugins/${id}`, { enabled: true }, 'PATCH');
	assert.equal((await shown()).length, 16);
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
