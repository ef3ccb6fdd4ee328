/* Which route a request takes, and what path its service gets: acceptance checks 22 to 25. */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { execute } from './lib/process.mjs';
import { RawConnection } from './lib/raw.mjs';

let gw;
let echo;

before(async () => {
	gw = await Gateway.start({ gateway: { listen: ['127.0.0.1:0', { address: '127.0.0.1:0', http2: true, tls: {} }] } });
	echo = await Echo.start();
});

after(async () => {
	await echo?.close();
	await gw?.close();
});

/* ---- 22: no route ---- */

/* How Kong says it, by the type that the client reads; `Server` is Kong's, too (docs/decisions.md). */
const NO_ROUTE = {
	json: ['application/json; charset=utf-8', (id) => `{\n  "message":"no Route matched with those values",\n  "request_id":"${id}"\n}`],
	plain: ['text/plain; charset=utf-8', (id) => `no Route matched with those values\nrequest_id: ${id}\n`],
	html: ['text/html; charset=utf-8', (id) => '<!doctype html>\n<html>\n  <head>\n    <meta charset="utf-8">\n    <title>Error</title>\n' +
		'  </head>\n  <body>\n    <h1>Error</h1>\n    <p>no Route matched with those values.</p>\n' +
		`    <p>request_id: ${id}</p>\n  </body>\n</html>\n`],
	xml: ['application/xml; charset=utf-8', (id) => '<?xml version="1.0" encoding="UTF-8"?>\n<error>\n' +
		`  <message>no Route matched with those values</message>\n  <requestid>${id}</requestid>\n</error>\n`],
};

const ACCEPTED = [
	[undefined, 'json'], ['*/*', 'json'], ['application/json', 'json'], ['application/*', 'json'], ['image/png', 'json'],
	['text/plain', 'plain'], ['text/plain, */*;q=0.1', 'plain'], ['text/plain;q=0.3, application/json;q=0.2', 'plain'],
	['text/plain;q=0.2, application/json;q=0.3', 'json'], ['text/html', 'html'], ['application/xml', 'xml'],
];

check('check 22: a request no route matches', async (t) => {
	const ids = new Set();
	for (const [accept, form] of ACCEPTED) {
		await t.test(accept ?? 'no Accept', async () => {
			const reply = await gw.get('/nowhere', accept ? { Accept: accept } : {});
			const id = reply.headers['x-kong-request-id'];
			const [type, body] = NO_ROUTE[form];

			assert.equal(reply.status, 404);
			assert.match(id, /^[0-9a-f]{32}$/);
			assert.equal(reply.text, body(id));
			assert.equal(reply.headers['content-type'], type);
			assert.equal(reply.headers['content-length'], String(reply.body.length));
			assert.equal(reply.headers.server, 'kong/3.10.0');
			assert.match(reply.headers['x-kong-response-latency'], /^\d+$/);
			for (const name of ['via', 'x-kong-upstream-latency', 'x-kong-proxy-latency']) {
				assert.equal(reply.headers[name], undefined, `${name} is of answers that come from a service`);
			}
			ids.add(id);
		});
	}
	assert.equal(ids.size, ACCEPTED.length, 'each request has an id of its own');
});

/* ---- 23: paths ---- */

check('check 23: the normalized path reaches the service', async () => {
	await gw.route({ name: 'base', url: `${echo.url}/base` }, { paths: ['/r'] });
	try {
		assert.equal((await gw.get('/r/%7Ea//b/../c?x=')).json.url, '/base/~a/c?x=');
	} finally {
		await gw.clear();
	}
});

/*
 * [service path, strip_path, route path, request, path the service gets], one group for each row of
 * the specification; post is what is left of the request behind what the route matched.
 */
const JOINS = [
	/* The base ends with '/', strips, post is empty. */
	['', true, '/r', '/r', '/'],
	['/', true, '/r', '/r', '/'],
	['/', true, '/r/', '/r/', '/'],
	['/', true, '/', '/', '/'],
	['/b/', true, '/r/', '/r/', '/b/'],
	['/b/', true, '/', '/', '/b/'],
	['/b/', true, '/r', '/r', '/b'],
	/* ... post is "/x" or "x" */
	['', true, '/r', '/r/x', '/x'],
	['/', true, '/r', '/r/', '/'],
	['/', true, '/r', '/r/x', '/x'],
	['/', true, '/r', '/rx', '/x'],
	['/', true, '/', '/x', '/x'],
	['/b/', true, '/r', '/r/', '/b/'],
	['/b/', true, '/r', '/r/x', '/b/x'],
	['/b/', true, '/r/', '/r/x', '/b/x'],
	['/b/', true, '/r', '/rx', '/b/x'],
	/* ... keeps */
	['', false, '/r', '/r/x', '/r/x'],
	['/', false, '/', '/', '/'],
	['/', false, '/r', '/r', '/r'],
	['/', false, '/r', '/r/x', '/r/x'],
	['/b/', false, '/', '/', '/b/'],
	['/b/', false, '/r', '/r', '/b/r'],
	['/b/', false, '/r', '/r/x/', '/b/r/x/'],
	/* The base does not end with '/', strips, post is empty. */
	['/b', true, '/r', '/r', '/b'],
	['/b', true, '/r/', '/r/', '/b/'],
	['/b', true, '/', '/', '/b'],
	/* ... post is "/x" or "x" */
	['/b', true, '/r', '/r/', '/b/'],
	['/b', true, '/r', '/r/x', '/b/x'],
	['/b', true, '/r', '/rx', '/b/x'],
	['/b', true, '/', '/x', '/b/x'],
	/* ... keeps */
	['/b', false, '/', '/', '/b'],
	['/b', false, '/r', '/r', '/b/r'],
	['/b', false, '/r', '/r/', '/b/r/'],
	['/b', false, '/r', '/r/x', '/b/r/x'],
	/* A regex takes off what it matched. */
	['/b', true, '~/r/\\d+', '/r/12/x', '/b/x'],
	['/b', true, '~/r/\\d+', '/r/12', '/b'],
	['/b/', true, '~/r/\\d+', '/r/12x', '/b/x'],
	['/b', false, '~/r/\\d+', '/r/12/x', '/b/r/12/x'],
	/* A post that would climb loses its dots. */
	['/b', true, '/r', '/r.', '/b'],
	['/b', true, '/r', '/r..', '/b'],
	['/b', true, '/r', '/r./x', '/b/x'],
	['/b', true, '/r', '/r../x', '/b/x'],
	['/b/', true, '/r', '/r..', '/b'],
	['/b/', true, '/r', '/r../x', '/b/x'],
	['/', true, '/r', '/r../x', '/x'],
];

/* `path_handling` is taken and kept, but counts in another flavour of the router only. */
for (const handling of ['v0', 'v1']) {
	check(`check 23: the path of the service and that of the request are joined, ${handling}`, async (t) => {
		for (const [base, strip, path, asked, expected] of JOINS) {
			await t.test(`${base || 'none'} ${strip ? 'strips' : 'keeps'} ${path}: ${asked}`, async () => {
				const { service, route } = await gw.route({ url: echo.url + base },
					{ paths: [path], strip_path: strip, path_handling: handling });
				try {
					assert.equal(service.path, base || null);
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

/* ---- 24: priorities ---- */

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

/* Every route is the first once, and the last, in both directions. */
const rotations = (list) => list.map((_, i) => [...list.slice(i), ...list.slice(0, i)]);

for (const list of [...rotations(PRIORITIES), ...rotations([...PRIORITIES].reverse())]) {
	check(`check 24: the most specific route wins, made in the order ${list.map(([name]) => name)}`, async () => {
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

/* `list` in every order. */
function permutations(list) {
	return list.length < 2 ? [list]
		: list.flatMap((first, i) => permutations(list.filter((other) => other !== first)).map((rest) => [first, ...rest]));
}

const FIVE = {
	short: { paths: ['/a'] },
	long: { paths: ['/a/b'] },
	regex: { paths: ['~/a/b/c\\d'] },
	host: { hosts: ['h.test'], paths: ['/a'] },
	headers: { headers: { 'x-v': ['1'] }, paths: ['/a'] },
};

const WINNERS = [
	['/a', {}, 'short'],
	['/a/c', {}, 'short'],
	['/a/b', {}, 'long'],
	['/a/b/c', {}, 'long'],
	['/a/b/c1', {}, 'regex'],
	['/a', { Host: 'h.test' }, 'host'],
	['/a/b', { Host: 'h.test' }, 'host'],
	['/a/b/c1', { Host: 'h.test' }, 'host'],
	['/a', { 'X-V': '1' }, 'headers'],
	['/a/b/c1', { 'X-V': '1' }, 'headers'],
	['/a/b/c1', { Host: 'h.test', 'X-V': '1' }, 'host'],
	['/b', { Host: 'h.test', 'X-V': '1' }, undefined],
];

/* All in one file, so that 120 orders cost 120 calls. A route tells its name in the path that the service gets. */
check('check 24: in each of the 120 orders of five routes in a file, and of their ages', async () => {
	const dir = await mkdtemp(join(tmpdir(), 'posthouse-priorities-'));
	const file = join(dir, 'kong.yml');
	let declared;
	try {
		await writeFile(file, '_format_version: "3.0"\n');
		declared = await Gateway.start({ gateway: { declarative: file } });
		for (const order of permutations(Object.keys(FIVE))) {
			await declared.want(201, 'POST', '/config', {
				_format_version: '3.0',
				services: order.map((name, age) => ({
					name, url: `${echo.url}/${name}`, routes: [{ name, strip_path: false, created_at: 1_700_000_000 - age, ...FIVE[name] }],
				})),
			});
			for (const [path, headers, winner] of WINNERS) {
				const { status, json } = await declared.get(path, headers);
				assert.equal(status === 404 ? undefined : json.url.split('/')[1], winner, `${path} ${JSON.stringify(headers)} in ${order}`);
			}
		}
	} finally {
		await declared?.close();
		await rm(dir, { recursive: true });
	}
});

check('check 24: of equal routes the older one wins, then the one with the lower id', async () => {
	const id = (n) => `00000000-0000-4000-8000-00000000000${n}`;
	const twin = (name, n, created_at) => [name, { id: id(n), created_at, paths: ['/same'] }];
	for (const [one, other, winner] of [
		[twin('one', 2, 1_600_000_000), twin('other', 1, 1_700_000_000), 'one'],
		[twin('one', 1, 1_700_000_000), twin('other', 2, 1_700_000_000), 'one'],
	]) {
		for (const list of [[one, other], [other, one]]) {
			await routes(list);
			try {
				assert.equal(await taken('/same'), winner, list.map(([name]) => name).join());
			} finally {
				await gw.clear();
			}
		}
	}
});

/* ---- 25: hosts, headers, methods, protocols ---- */

check('check 25: hosts: wildcards at either end, and ports', async () => {
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

check('check 25: headers, by value and by pattern', async () => {
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

check('check 25: methods', async () => {
	await routes([
		['writes', { methods: ['POST', 'PUT'] }],
		['own', { methods: ['PURGE'], paths: ['/m'] }],
	]);
	try {
		assert.equal(await taken('/m', { method: 'POST' }), 'writes');
		assert.equal(await taken('/m', { method: 'PUT' }), 'writes');
		assert.equal(await taken('/m', { method: 'PURGE' }), 'own');
		assert.equal(await taken('/n', { method: 'PURGE' }), 'status 404');
		assert.equal(await taken('/m'), 'status 404');
		assert.equal(await taken('/m', { method: 'DELETE' }), 'status 404');
	} finally {
		await gw.clear();
	}
});

check('check 25: a route for https says so to http, and takes https', async () => {
	const moved = [301, 302, 307, 308];
	await routes([
		['upgrade', { paths: ['/upgrade'], protocols: ['https'] }],
		...moved.map((code) => [`moved${code}`, { paths: [`/moved${code}`], protocols: ['https'], https_redirect_status_code: code }]),
	]);
	try {
		for (const form of ['json', 'plain']) {
			const upgrade = await gw.get('/upgrade/x', { Accept: form === 'json' ? 'application/json' : 'text/plain', Connection: 'keep-alive' });
			const [type, body] = NO_ROUTE[form];
			assert.equal(upgrade.status, 426);
			assert.equal(upgrade.headers.connection, 'Upgrade');
			assert.equal(upgrade.headers.upgrade, 'TLS/1.2, HTTP/1.1');
			assert.equal(upgrade.headers.location, undefined);
			assert.equal(upgrade.headers['content-type'], type);
			assert.equal(upgrade.headers.server, 'kong/3.10.0');
			assert.equal(upgrade.text, body(upgrade.headers['x-kong-request-id'])
				.replace('no Route matched with those values', 'Please use HTTPS protocol'));
		}
		for (const code of moved) {
			for (const [host, name] of [['api.test', 'api.test'], ['api.test:8000', 'api.test'], ['[::1]:8000', '[::1]']]) {
				const reply = await gw.get(`/moved${code}/x//y?q=a%20b&`, { Host: host, 'X-Forwarded-Host': 'evil.test' });
				assert.equal(reply.status, code);
				assert.equal(reply.headers.location, `https://${name}/moved${code}/x//y?q=a%20b&`);
				assert.equal(reply.headers.upgrade, undefined);
			}
		}
		const raw = await RawConnection.open(gw.proxy);
		raw.send('GET http://api.test:8000/moved301/x?q HTTP/1.1\r\nHost: api.test:8000\r\n\r\n');
		assert.equal((await raw.response()).header('location'), 'https://api.test/moved301/x?q', 'the absolute form');
		raw.close();
		for (const name of ['upgrade', 'moved301']) {
			const { stdout } = await execute('curl', ['-sSk', `${gw.proxies[1]}/${name}`]);
			assert.equal(JSON.parse(stdout).url, `/${name}/${name}`);
		}
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
