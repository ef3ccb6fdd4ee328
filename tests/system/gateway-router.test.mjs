/* Which route a request takes, and what path its service gets. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { RawConnection } from './lib/raw.mjs';

let gw;
let echo;

before(async () => {
	gw = await Gateway.start();
	echo = await Echo.start();
});

after(async () => {
	await echo?.close();
	await gw?.close();
});

check('a request no route matches', async () => {
	const reply = await gw.get('/nowhere');
	const id = reply.headers['x-kong-request-id'];

	assert.equal(reply.status, 404);
	assert.match(id, /^[0-9a-f]{32}$/);
	assert.equal(reply.text, `{\n  "message":"no Route matched with those values",\n  "request_id":"${id}"\n}`);
	assert.equal(reply.headers['content-type'], 'application/json; charset=utf-8');
	assert.equal(reply.headers.server, 'kong/3.10.0');

	const plain = await gw.get('/nowhere', { Accept: 'text/plain' });
	assert.equal(plain.text,
		`no Route matched with those values\nrequest_id: ${plain.headers['x-kong-request-id']}\n`);
	assert.match(plain.headers['content-type'], /^text\/plain/);
});

check('the normalized path reaches the service', async () => {
	await gw.route({ name: 'base', url: `${echo.url}/base` }, { paths: ['/r'] });
	assert.equal((await gw.get('/r/%7Ea//b/../c?x=')).json.url, '/base/~a/c?x=');
	await gw.clear();
});

/* [service path, strip_path, route path, request, path the service gets]: specification of the join */
const JOINS = [
	['/', true, '/r', '/r', '/'],
	['/', true, '/r', '/r/', '/'],
	['/', true, '/r', '/r/x', '/x'],
	['/', true, '/r', '/rx', '/x'],
	['/b/', true, '/r', '/r', '/b'],
	['/b/', true, '/r', '/r/', '/b/'],
	['/b/', true, '/r', '/r/x', '/b/x'],
	['/b/', true, '/r', '/rx', '/b/x'],
	['/', false, '/r', '/r/x', '/r/x'],
	['/b/', false, '/r', '/r', '/b/r'],
	['/b/', false, '/r', '/r/x/', '/b/r/x/'],
	['/b', true, '/r', '/r', '/b'],
	['/b', true, '/r', '/r/', '/b/'],
	['/b', true, '/', '/', '/b'],
	['/b', true, '/r', '/r/x', '/b/x'],
	['/b', true, '/r', '/rx', '/b/x'],
	['/b', false, '/', '/', '/b'],
	['/b', false, '/r', '/r', '/b/r'],
	['/b', false, '/r', '/r/x', '/b/r/x'],
	['/b', true, '/r', '/r..', '/b'],
	['/b', true, '/r', '/r../x', '/b/x'],
	['/b', true, '/r', '/r./x', '/b/x'],
	['/b', true, '~/r/\\d+', '/r/12/x', '/b/x'],
	['/b', true, '~/r/\\d+', '/r/12', '/b'],
	['/b', false, '~/r/\\d+', '/r/12/x', '/b/r/12/x'],
];

/* `path_handling` is taken and kept, but counts in another flavour of the router only. */
for (const handling of ['v0', 'v1']) {
	check(`the path of the service and that of the request are joined, ${handling}`, async (t) => {
		for (const [base, strip, path, asked, expected] of JOINS) {
			await t.test(`${base} ${strip ? 'strips' : 'keeps'} ${path}: ${asked}`, async () => {
				const { service, route } = await gw.route({ url: echo.url + base },
					{ paths: [path], strip_path: strip, path_handling: handling });
				try {
					assert.equal(route.path_handling, handling);
					for (const query of ['', '?', '?x=', '?a=/../b//c&%2e']) {
						assert.equal((await gw.get(asked + query)).json?.url, expected + query);
					}
				} finally {
					await gw.make(`/routes/${route.id}`, undefined, 'DELETE');
					await gw.make(`/services/${service.id}`, undefined, 'DELETE');
				}
			});
		}
	});
}

/* Routes of one service, each telling its name in a path of its own. */
async function routes(list) {
	for (const [name, route] of list) {
		await gw.route({ name, url: `${echo.url}/${name}` }, { name, strip_path: false, ...route });
	}
}

/* The name of the route that a request takes; undefined = none. */
async function taken(path, { method = 'GET', headers = {} } = {}) {
	const reply = await gw.send(method, path, { headers });
	return reply.status === 200 ? reply.json.url.split('/')[1] : `status ${reply.status}`;
}

const PRIORITIES = [
	['short', { paths: ['/a'] }],
	['long', { paths: ['/a/b'] }],
	['regex', { paths: ['~/a/b/c\\d'] }],
	['regex9', { paths: ['~/a/b/c\\d\\d'], regex_priority: 9 }],
	['host', { hosts: ['h.test'], paths: ['/a'] }],
	['wild', { hosts: ['*.test'], paths: ['/a'] }],
	['header', { headers: { 'x-v': ['1'] }, hosts: ['h.test'], paths: ['/a'] }],
	['headers', { headers: { 'x-v': ['1'], 'x-w': ['1'] }, hosts: ['h.test'], paths: ['/a'] }],
	['method', { methods: ['PUT'], paths: ['/a'] }],
];

for (const [order, list] of [['as listed', PRIORITIES], ['backwards', [...PRIORITIES].reverse()]]) {
	check(`the most specific route wins, made ${order}`, async () => {
		await routes(list);
		try {
			const at = (host, headers) => ({ headers: { Host: host, ...headers } });
			assert.equal(await taken('/a'), 'short');
			assert.equal(await taken('/a/x'), 'short');
			assert.equal(await taken('/a/b'), 'long');
			assert.equal(await taken('/a/b/c'), 'long');
			assert.equal(await taken('/a/b/c1'), 'regex');
			assert.equal(await taken('/a/b/c12'), 'regex9', 'the higher regex_priority');
			assert.equal(await taken('/a/b/c12', at('h.test')), 'host', 'two attributes before one');
			assert.equal(await taken('/a', at('x.test')), 'wild');
			assert.equal(await taken('/a', at('H.TEST')), 'host', 'without wildcard before one with');
			assert.equal(await taken('/a', at('h.test', { 'X-V': '1' })), 'header');
			assert.equal(await taken('/a', at('h.test', { 'X-V': '1', 'X-W': '1' })), 'headers');
			assert.equal(await taken('/a', at('h.test', { 'X-V': '2' })), 'host');
			assert.equal(await taken('/a/b', { method: 'PUT' }), 'method');
			assert.equal(await taken('/', at('h.test')), 'status 404');
		} finally {
			await gw.clear();
		}
	});
}

check('hosts: wildcards at either end, and ports', async () => {
	const { port } = new URL(gw.proxy);
	await routes([
		['left', { hosts: ['*.a.test'] }],
		['right', { hosts: ['b.*'] }],
		['port', { hosts: ['c.test:81'] }],
		['own', { hosts: [`d.test:${port}`] }],
	]);
	const host = (name) => taken('/', { headers: { Host: name } });
	try {
		assert.equal(await host('x.a.test'), 'left');
		assert.equal(await host('y.x.a.test'), 'left');
		assert.equal(await host('a.test'), 'status 404');
		assert.equal(await host('xa.test'), 'status 404');
		assert.equal(await host('b.org'), 'right');
		assert.equal(await host('b.co.uk:8080'), 'right');
		assert.equal(await host('xb.org'), 'status 404');
		assert.equal(await host('c.test:81'), 'port');
		assert.equal(await host('c.test:82'), 'status 404');
		assert.equal(await host('c.test'), 'status 404');
		assert.equal(await host('d.test'), 'own', 'without a port that of the listener counts');
	} finally {
		await gw.clear();
	}
});

check('headers, by value and by pattern', async () => {
	await routes([
		['value', { headers: { 'x-v': ['one', 'two'] } }],
		['pattern', { headers: { 'x-p': ['~*^v[0-9]+$'] } }],
	]);
	const header = (headers) => taken('/', { headers });
	try {
		assert.equal(await header({ 'X-V': 'TWO' }), 'value');
		assert.equal(await header({ 'x-v': ['zero', 'one'] }), 'value', 'any of several lines');
		assert.equal(await header({ 'X-V': 'three' }), 'status 404');
		assert.equal(await header({ 'X-P': 'V12' }), 'pattern');
		assert.equal(await header({ 'X-P': 'v12x' }), 'status 404');
		assert.equal(await header({ 'X_V': 'two' }), 'status 404', 'another spelling is another header');
	} finally {
		await gw.clear();
	}
});

check('a route for https says so to http', async () => {
	await routes([
		['upgrade', { paths: ['/upgrade'], protocols: ['https'] }],
		['moved', { paths: ['/moved'], protocols: ['https'], https_redirect_status_code: 301 }],
	]);
	try {
		const upgrade = await gw.get('/upgrade/x', { Accept: 'application/json' });
		assert.equal(upgrade.status, 426);
		assert.equal(upgrade.json.message, 'Please use HTTPS protocol');
		assert.equal(upgrade.headers.upgrade, 'TLS/1.2, HTTP/1.1');
		assert.match(upgrade.headers.connection, /upgrade/i);
		const moved = await gw.get('/moved/x?q=a%20b', { Host: 'api.test:8000' });
		assert.equal(moved.status, 301);
		assert.equal(moved.headers.location, 'https://api.test/moved/x?q=a%20b');
		const raw = await RawConnection.open(gw.proxy);
		raw.send('GET http://api.test:8000/moved/x?q HTTP/1.1\r\nHost: api.test:8000\r\n\r\n');
		assert.equal((await raw.response()).header('location'), 'https://api.test/moved/x?q', 'the absolute form');
		raw.close();
	} finally {
		await gw.clear();
	}
});

check('a route without service, and a disabled service', async () => {
	try {
		await gw.make('/routes', { paths: ['/bare'] });
		const bare = await gw.get('/bare', { Accept: 'application/json' });
		assert.equal(bare.status, 503);
		assert.equal(bare.json.message, 'no Service found with those values');
		await gw.route({ name: 'off', url: echo.url, enabled: false }, { paths: ['/off'] });
		assert.equal(await taken('/off'), 'status 404');
		await gw.make('/services/off', { enabled: true }, 'PATCH');
		assert.equal((await gw.get('/off')).status, 200);
	} finally {
		await gw.clear();
	}
});

check('a change of a route is in force when it is answered', async () => {
	try {
		const { route } = await gw.route({ name: 'live', url: echo.url }, { paths: ['/v0'] });
		for (let i = 1; i <= 20; i++) {
			await gw.make(`/routes/${route.id}`, { paths: [`/v${i}x`] }, 'PATCH');
			assert.equal((await gw.get(`/v${i}x`)).status, 200);
			assert.equal((await gw.get(`/v${i - 1}x`)).status, 404);
		}
	} finally {
		await gw.clear();
	}
});
