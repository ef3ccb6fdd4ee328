/* request-transformer and response-transformer: what changes, in which order, and what clients cannot do with it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import { Readable } from 'node:stream';
import { after, before } from 'node:test';
import { check, deferred, event, Mailbox, standstill, until, within } from './lib/check.mjs';
import * as h2 from './lib/h2raw.mjs';
import { Plugged } from './lib/plugged.mjs';
import { RawConnection } from './lib/raw.mjs';

const FRAMING = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade', 'te', 'trailer', 'proxy-connection']);

let plugged;
/* Of the service: { status, headers, body, after: a promise }, { start } of a body that goes on, or what answers itself. */
let answer;
const gone = new Mailbox('an answer of the service has ended');
const serve = (...args) => plugged.serve(...args);
const ask = (...args) => plugged.ask(...args);
const passed = (asking) => plugged.passed(asking);

before(async () => {
	plugged = await Plugged.start({ loops: 2, gateway: { listen: [{ address: '127.0.0.1:0', http2: true }] } }, {
		answer: async (req, res, seen) => {
			if (typeof answer === 'function') {
				answer(res);
				return;
			}
			const { status, headers, body, start, after: gate } = answer ?? {};
			res.once('close', () => gone.put(res.writableFinished));
			await gate;
			res.writeHead(status ?? 200, headers ?? { 'Content-Type': 'application/json' });
			if (start) {
				res.write(start);
			} else {
				res.end(body ?? JSON.stringify(seen));
			}
		},
	});
});

after(() => plugged?.close());

/* What the client gets for that answer of the service. */
async function through(path, given, options) {
	answer = given;
	try {
		return await ask(path, options?.headers, options);
	} finally {
		answer = undefined;
	}
}

check('check 36: request-transformer: remove, rename, replace, add, append, in this order', async () => {
	await serve('order', { 'request-transformer': {
		remove: { headers: ['X-Gone', 'x-both'], querystring: ['gone', 'both'] },
		rename: { headers: ['X-Old:X-New', 'X-Missing:X-Nothing'], querystring: ['old:new', 'missing:nothing'] },
		replace: { headers: ['X-New:replaced', 'X-Absent:no'], querystring: ['new:replaced', 'absent:no'] },
		add: { headers: ['X-New:added', 'X-Both:added'], querystring: ['new:added', 'both:added'] },
		append: { headers: ['X-New:appended', 'X-Last:appended'], querystring: ['new:appended', 'last:appended'] },
	} });
	const seen = await passed(ask('/order/x?gone=1&old=2&both=3&keep=%20&gone=4',
		{ 'X-Gone': '1', 'X-Old': '2', 'X-Both': '3', 'X-Keep': ' 4' }));
	const at = (name) => seen.raw.filter(([k]) => k.toLowerCase() === name).map(([, v]) => v);

	assert.deepEqual(at('x-gone'), []);
	assert.deepEqual(at('x-old'), []);
	assert.deepEqual(at('x-new'), ['replaced', 'appended']);
	assert.deepEqual(at('x-both'), ['added']);
	assert.deepEqual(at('x-last'), ['appended']);
	assert.deepEqual(at('x-keep'), ['4']);
	assert.deepEqual([...at('x-nothing'), ...at('x-absent')], []);
	const query = new URL(seen.url, 'http://h').searchParams;
	assert.deepEqual(query.getAll('new'), ['replaced', 'appended']);
	assert.deepEqual([query.getAll('both'), query.getAll('last'), query.getAll('keep')],
		[['added'], ['appended'], [' ']]);
	assert.deepEqual([...new Set(query.keys())].sort(), ['both', 'keep', 'last', 'new']);
});

check('check 36: request-transformer: bodies of JSON and forms, and those it cannot read', async () => {
	await serve('body', { 'request-transformer': {
		remove: { body: ['gone'] }, rename: { body: ['old:new'] }, replace: { body: ['new:replaced', 'absent:no'] },
		add: { body: ['new:no', 'more:added'] }, append: { body: ['list:b'] },
	} });
	const post = async (type, body) => {
		const seen = await passed(ask('/body', { 'Content-Type': type }, { method: 'POST', body }));
		assert.equal(seen.headers['content-length'], String(Buffer.byteLength(seen.body)));
		return seen.body;
	};

	assert.deepEqual(JSON.parse(await post('application/json; charset=utf-8',
		'{"gone":{"a":[1]},"old":1,"list":["a"],"n":1.50,"t":true}')),
	{ new: 'replaced', list: ['a', 'b'], n: 1.5, t: true, more: 'added' });
	const form = new URLSearchParams(await post('application/x-www-form-urlencoded', 'gone=1&old=2&list=a&k=%26'));
	assert.deepEqual([...form].sort(),
		[['k', '&'], ['list', 'a'], ['list', 'b'], ['more', 'added'], ['new', 'replaced']]);
	const part = (name, value) => `--B\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
	const multipart = await post('multipart/form-data; boundary=B',
		`${part('gone', '1')}${part('old', '2')}${part('list', 'a')}--B--\r\n`);
	assert.equal(multipart, `${part('new', 'replaced')}${part('list', 'a')}${part('more', 'added')}${part('list', 'b')}--B--\r\n`);
	for (const [type, body] of [['text/plain', 'gone=1'], ['application/json', '[1]'], ['application/json', '[{"gone":1}]']]) {
		assert.equal(await post(type, body), body);
	}
	/* Chunked: the length is known afterwards. */
	const seen = await passed(ask('/body', { 'Content-Type': 'application/json', 'Transfer-Encoding': 'chunked' },
		{ method: 'POST', body: '{"gone":1}' }));
	assert.equal(seen.headers['transfer-encoding'], undefined);
	assert.deepEqual(JSON.parse(seen.body), { new: 'no', more: 'added', list: ['b'] });
});

/* What lenient parsers take for an object with that member. */
const BROKEN_JSON = (name) => [
	`{"${name}":1,"${name}":2}`,
	`{"a":1,"a":2,"${name}":1}`,
	`{"${name}":"\xff"}`,
	`\xef\xbb\xbf{"${name}":1}`,
	`{"${name}":01}`,
	`{"${name}":NaN}`,
	`{"${name}":1,}`,
	`{"${name}":${'['.repeat(70)}${']'.repeat(70)}}`,
	`{"${name}":1`,
	`[{"${name}":1}`,
];

check('check 36: request-transformer: what it cannot read does not reach the service when something is to go', async () => {
	const disposition = 'Content-Disposition: form-data; name="admin"';
	const form = 'multipart/form-data; boundary=B';
	const bodies = [
		...BROKEN_JSON('admin').map((body) => ['application/json', body]),
		[form, `--B\n${disposition}\n\n1\n--B--\n`],
		[form, `--B\r\n${disposition}\r\n\r\n1\r\n`],
		[form, `--B\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\n--B\n${disposition}\n\n1\r\n--B--\r\n`],
		['application/json', '{"admin":1}', { 'Content-Encoding': 'gzip' }],
		['application/x-www-form-urlencoded', 'admin=1', { 'Content-Encoding': 'deflate' }],
		[['text/plain', 'application/json'], '{"admin":1}'],
	];
	const post = (path, [type, body, headers]) => ask(path, { 'Content-Type': type, ...headers },
		{ method: 'POST', body: Buffer.from(body, 'latin1') });

	await serve('body-takes', { 'request-transformer': { remove: { body: ['admin'] } } });
	await serve('body-renames', { 'request-transformer': { rename: { body: ['admin:nobody'] } } });
	await serve('body-overwrites', { 'request-transformer': { replace: { body: ['admin:0'] } } });
	await serve('body-adds', { 'request-transformer': { add: { body: ['a:1'] }, append: { body: ['b:1'] } } });
	for (const given of bodies) {
		for (const path of ['/body-takes', '/body-renames', '/body-overwrites']) {
			await plugged.refused(post(path, given), 400, 'Cannot parse the request body');
		}
		assert.equal((await passed(post('/body-adds', given))).body, given[1]);
	}
	/* Nor does a value that would make parts of its own. */
	await serve('body-parts', { 'request-transformer': { remove: { body: ['admin'] }, append: { body: ['a:$(query_params.a)'] } } });
	const parts = [form, `--B\r\n${disposition}\r\n\r\n1\r\n--B--\r\n`];
	for (const eol of ['\r\n', '\n']) {
		const evil = encodeURIComponent(`1${eol}--B${eol}${disposition}${eol}${eol}1`);
		await plugged.refused(post(`/body-parts?a=${evil}`, parts), 400, 'Cannot parse the request body');
	}
	assert.doesNotMatch((await passed(post('/body-parts?a=1', parts))).body, /admin/);
	/* Nothing to look into. */
	for (const given of [['text/plain', '{"admin":1'], ['multipart/form-data; boundary=B', ''], ['application/json', '["admin"]']]) {
		assert.equal((await passed(post('/body-takes', given))).body, given[1]);
	}
	assert.equal((await passed(post('/body-takes', ['application/json', '{"admin":1,"a":1}', { 'Content-Encoding': 'identity' }]))).body, '{"a":1}');
});

check('check 36: request-transformer: no Content-Type lets a body pass that others would take for one of these', async () => {
	const post = (path, type, body) => ask(path, { 'Content-Type': type }, { method: 'POST', body });
	const types = ['application/json,', 'application/json, text/plain', 'text/plain, Application/JSON', 'application/json text/plain',
		'application/jsonx', 'application/json-patch+json', 'x/y; type="application/json"', 'application/x-www-form-urlencoded2',
		'multipart/form-datax; boundary=B', 'application/json; a=multipart/form-data', ['application/json', 'application/json']];

	for (const type of types) {
		await plugged.refused(post('/body-takes', type, '{"admin":1}'), 400, 'Cannot parse the request body');
		assert.equal((await passed(post('/body-adds', type, '{"admin":1}'))).body, '{"admin":1}');
		assert.equal((await passed(post('/body-takes', type, ''))).body, '');
	}
	for (const type of ['application/vnd.api+json', 'application/merge-patch+json', 'text/json', 'application/jso']) {
		assert.equal((await passed(post('/body-takes', type, '{"admin":1}'))).body, '{"admin":1}');
	}
});

check('check 36: request-transformer: no body becomes one only when something is put in', async () => {
	for (const type of ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=B']) {
		for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'POST']) {
			for (const path of ['/body-takes', '/body-renames', '/body-overwrites']) {
				assert.equal((await ask(path, { 'Content-Type': type }, { method })).status, 200);
				const seen = plugged.echo.requests.at(-1);
				const length = seen.headers['content-length'];
				assert.deepEqual([seen.method, seen.body], [method, '']);
				assert.ok(length === undefined || (length === '0' && method === 'POST'), `${method} ${type}: ${length}`);
				assert.equal(seen.headers['transfer-encoding'], undefined);
			}
		}
	}
	const seen = await passed(ask('/body-adds', { 'Content-Type': 'application/json' }));
	assert.deepEqual([JSON.parse(seen.body), seen.headers['content-length']], [{ a: '1', b: ['1'] }, '19']);
});

check('check 36: request-transformer: of many parameters none is lost, or all are refused', async () => {
	const edits = { remove: ['zz'], add: ['n:1'] };
	await serve('many', { 'request-transformer': { remove: { body: edits.remove, querystring: edits.remove }, add: { body: edits.add, querystring: edits.add } } });
	await serve('many-adds', { 'request-transformer': { add: { body: edits.add } } });
	const form = (n) => Array.from({ length: n }, (_, i) => `f${i}=${i}`).join('&');
	const post = (path, body) => ask(path, { 'Content-Type': 'application/x-www-form-urlencoded' }, { method: 'POST', body });

	const seen = await passed(post(`/many?${'a&'.repeat(1500)}zz=1`, `${form(3000)}&zz=1`));
	assert.deepEqual([seen.url, seen.body], [`/?${'a&'.repeat(1500)}n=1`, `${form(3000)}&n=1`]);
	const more = `${'a&'.repeat(100_000)}zz=1`;
	await plugged.refused(post('/many', more), 400, 'Cannot parse the request body');
	assert.equal((await passed(post('/many-adds', more))).body, more);
});

check('check 36: request-transformer: only bodies that it might edit are collected', async () => {
	await serve('stream-up', { 'request-transformer': { remove: { body: ['a'] }, add: { body: ['b:1'] } } });
	const large = 'x'.repeat(9 << 20); /* more than body_memory_max */
	const post = (path, type, body) => ask(path, { 'Content-Type': type }, { method: 'POST', body });
	assert.equal((await passed(post('/stream-up', 'application/octet-stream', large))).body.length, large.length);
	assert.equal((await post('/stream-up', 'application/json', large)).status, 413);
	assert.equal((await passed(post('/stream-up', 'application/json', '{"a":1}'))).body, '{"b":"1"}');
	/* A type that we say ourselves is one that the service reads. */
	await serve('typed', { 'request-transformer': { replace: { headers: ['Content-Type:application/json'] }, remove: { body: ['a'] } } });
	assert.equal((await passed(post('/typed', 'text/plain', '{"a":1,"c":2}'))).body, '{"c":2}');
});

check('check 36: request-transformer: a Host out of a template is one', async () => {
	const host = async (path, headers) => (await passed(ask(path, headers))).headers.host;
	const own = new URL(plugged.echo.url).host;

	await serve('host', { 'request-transformer': { replace: { headers: ['Host:$(headers.x_host)'] } } });
	await serve('host-renamed', { 'request-transformer': { rename: { headers: ['X-Host:Host'] } } });
	await serve('host-query', { 'request-transformer': { append: { headers: ['host:$(query_params.h)'] } } });
	for (const path of ['/host', '/host-renamed']) {
		for (const evil of ['evil:99/x y', 'evil:99x', 'a b', 'a/b', 'user@evil', 'a,b', 'a:99999', '[::1']) {
			await plugged.refused(ask(path, { 'X-Host': evil }), 400, 'Bad request');
		}
		assert.equal(await host(path, { 'X-Host': 'good.test:99' }), 'good.test:99');
		assert.equal(await host(path, { 'X-Host': '[::1]:99' }), '[::1]:99');
		assert.equal(await host(path, {}), own);
	}
	for (const evil of ['a%0d%0aX-Evil:1', 'a%2Fb', 'a%20b']) {
		await plugged.refused(ask(`/host-query?h=${evil}`), 400, 'Bad request');
	}
	assert.equal(await host('/host-query?h=good.test'), 'good.test');
	assert.equal(await host('/host-query'), own);
});

check('check 36: request-transformer: a path out of a template does not climb', async () => {
	await serve('climb', { 'request-transformer': { replace: { uri: '/files/$(query_params.f)' } } });
	await serve('climb-joined', { 'request-transformer': { replace: { uri: '/files/$(query_params.f)$(headers.x_f)/x' } } });
	for (const evil of ['../../secret', '..', '.', 'a/../b', 'a/./b', '%2e%2e/secret', '%252e%252e/secret', '.%252e/secret', '..%2Fsecret',
		'..%252Fsecret', '..%5Csecret', '..%255Csecret', '..;/secret', '..%253b/secret', '%25252e%25252e/secret', '..%20/secret', '%c0%ae%c0%ae/x',
		'a%00', 'a%0d%0ab']) {
		await plugged.refused(ask(`/climb?f=${evil}`), 400, 'Bad request');
	}
	await plugged.refused(ask('/climb-joined?f=.', { 'X-F': '.' }), 400, 'Bad request');
	for (const [f, url] of [['a/b', '/files/a/b'], ['..a/b..', '/files/..a/b..'], ['.well-known', '/files/.well-known'], ['', '/files/'],
		['a%3Fb%23c%20d', '/files/a%3Fb%23c%20d'], ['%c3%a4', '/files/%C3%A4'], ['a%2525b', '/files/a%25b'], ['50%25', '/files/50%25']]) {
		assert.equal((await passed(ask(`/climb?f=${f}`))).url.split('?')[0], url);
	}
	/* What the operator writes is what is sent. */
	await serve('climb-constant', { 'request-transformer': { replace: { uri: '/files/../%2e%2e/x' } } });
	assert.equal((await passed(ask('/climb-constant'))).url, '/files/../%2e%2e/x');
});

check('check 36: request-transformer: templates, the path and the method', async () => {
	await serve('tpl', { 'request-transformer': {
		http_method: 'PUT',
		replace: { uri: '/v2/$(uri_captures.id)/$(uri_captures[2])' },
		add: {
			headers: ['X-A:$(headers.x_tenant or query_params.tenant or "none")', 'X-B:<$(headers["X-Tenant"])>',
				'X-C:$(headers.host)', 'X-D:$(uri_captures[0])', 'X-E:$(shared.x or "unshared")'],
			querystring: ['q:$(headers.x_tenant)'],
		},
	} }, { paths: ['~/users/(?<id>[^/]+)/([^/?]+)$'], strip_path: false });

	let seen = await passed(ask('/users/7/mail?a=b', { 'X-Tenant': 'acme' }));
	assert.equal(seen.method, 'PUT');
	assert.equal(seen.url, '/v2/7/mail?a=b&q=acme');
	assert.equal(seen.headers['x-a'], 'acme');
	assert.equal(seen.headers['x-b'], '<acme>');
	assert.equal(seen.headers['x-c'], new URL(plugged.gw.proxy).host);
	assert.equal(seen.headers['x-d'], '/users/7/mail');
	assert.equal(seen.headers['x-e'], 'unshared', 'no plugin that is built shares anything');
	seen = await passed(ask('/users/7/mail?tenant=b%20c'));
	assert.equal(seen.headers['x-a'], 'b c');
	seen = await passed(ask('/users/7/mail'));
	assert.equal(seen.headers['x-a'], 'none');

	/* The head alone, of a service that tells how long the body would be. */
	await serve('as-head', { 'request-transformer': { http_method: 'HEAD' } });
	const head = await through('/as-head', { headers: { 'Content-Length': '7', 'X-Seen': 'yes' } });
	assert.deepEqual([head.status, head.headers['x-seen'], head.headers['content-length'], head.text], [200, 'yes', '0', '']);

	/* In each verb that has values, and in the body. */
	await serve('tpl-all', { 'request-transformer': {
		replace: { headers: ['X-R:$(query_params.v)'], querystring: ['r:$(query_params.v)'], body: ['r:$(query_params.v)'] },
		add: { querystring: ['a:$(query_params.v)'], body: ['a:$(headers["x-h"] or "none")'] },
		append: { headers: ['X-P:$(query_params.v)'], querystring: ['p:$(query_params.v)'], body: ['p:$(query_params.v)'] },
	} });
	seen = await passed(ask('/tpl-all?v=1&r=0', { 'X-R': '0', 'Content-Type': 'application/json' },
		{ method: 'POST', body: '{"r":"0"}' }));
	assert.deepEqual([seen.headers['x-r'], seen.headers['x-p'], seen.url], ['1', '1', '/?v=1&r=1&a=1&p=1']);
	assert.deepEqual(JSON.parse(seen.body), { r: '1', a: 'none', p: ['1'] });

	/* What a client puts into a template stays in its place. */
	seen = await passed(ask('/users/a%3Fb%23c/m%20n?tenant=x%0d%0aX-Evil:%201', { 'X-Tenant': 'a&b=c#d' }));
	assert.match(seen.url, /^\/v2\/a%3Fb%23c\/m%20n\?/);
	assert.equal(new URL(seen.url, 'http://h').searchParams.get('q'), 'a&b=c#d');
	seen = await passed(ask('/users/7/mail?tenant=x%0d%0aX-Evil:%201'));
	assert.equal(seen.headers['x-evil'], undefined);
	assert.equal(seen.headers['x-a'], undefined, 'no header of two lines');

	await plugged.want(400, 'POST', '/plugins', {
		name: 'request-transformer', config: { add: { headers: ['X-A:$(os.execute("id"))'] } },
	});
});

/* What makes a body of none: the plugin's config, method and type of the request, and what the service gets. */
const BODILESS = {
	'made-form': [{ add: { body: ['a:1'] } }, 'POST', 'application/x-www-form-urlencoded', 'a=1'],
	'made-json': [{ append: { body: ['a:1'] } }, 'POST', 'application/json', '{"a":["1"]}'],
	'made-empty': [{ remove: { body: ['a'] } }, 'GET', 'application/json', ''],
};

/* Asks without a body, over a connection of its own. */
async function askBare(version, path, method, type) {
	if (version === 1) {
		const raw = await RawConnection.open(plugged.gw.proxy);
		return raw.send(`${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\n${method === 'POST' ? 'Content-Length: 0\r\n' : ''}\r\n`);
	}
	const c = await h2.H2Connection.open(plugged.gw.proxy);
	return c.send(h2.headers(1, h2[method](path, [['content-type', type]])));
}

const LEAVING = {
	'HTTP/1.1': [1, (c) => c.close()],
	'HTTP/2': [2, (c) => c.close()],
	'HTTP/2, its stream alone': [2, (c) => c.send(h2.reset(1))],
};

async function noConnection() {
	const { server } = await plugged.gw.make('/status', undefined, 'GET');
	return ['active', 'reading', 'writing', 'waiting'].every((state) => server[`connections_${state}`] === 0);
}

check('check 36: request-transformer: a body for a request without one, whose client leaves before the answer', async (t) => {
	const { hits } = plugged.echo;
	for (const [name, [config, method, type, body]] of Object.entries(BODILESS)) {
		await serve(name, { 'request-transformer': config });
		for (const [how, [version, leave]] of Object.entries(LEAVING)) {
			await t.test(`${name}, ${how}`, async () => {
				const gate = deferred();
				hits.items.length = gone.items.length = 0;
				answer = { after: gate.promise };
				try {
					const client = await askBare(version, `/${name}`, method, type);
					const seen = await hits.take();
					assert.equal(seen.body, body ?? seen.body);
					leave(client);
					assert.equal(await gone.take(), false, 'the call ends with its client');
					client.close();
				} finally {
					answer = undefined;
					gate.resolve();
				}
				await until(noConnection, 'no connection is counted');
				await passed(ask(`/${name}`, { 'Content-Type': type }, { method }));
			});
		}
	}
});

check('check 36: request-transformer: a body for a request without one, and a large answer that is read late', async (t) => {
	const piece = Buffer.alloc(1 << 20, 'x');
	const size = 30 * piece.length;
	const [config, method, type] = BODILESS['made-json'];
	await serve('made-large', { 'request-transformer': config });
	const clients = {
		'HTTP/1.1': async () => {
			const [res] = await event(http.request(`${plugged.gw.proxy}/made-large`, { method, agent: false,
				headers: { 'Content-Type': type, 'Content-Length': 0 } }).end(), 'response');
			return res;
		},
		'HTTP/2': async () => {
			const session = http2.connect(plugged.gw.proxy);
			const stream = session.request({ ':method': method, ':path': '/made-large', 'content-type': type }, { endStream: true });
			stream.once('close', () => session.close());
			await event(stream, 'response');
			return stream;
		},
	};
	for (const [version, open] of Object.entries(clients)) {
		await t.test(version, async () => {
			let sent;
			answer = (res) => {
				const { socket } = res;
				const before = socket.bytesWritten;
				sent = () => socket.bytesWritten - before;
				res.writeHead(200, { 'Content-Length': size });
				Readable.from(Array(30).fill(piece)).pipe(res);
			};
			try {
				const reply = await open();
				assert.ok(await standstill(sent) < size, 'the service is made to wait');
				let n = 0;
				await within((async () => {
					for await (const data of reply) {
						n += data.length;
					}
				})(), 'the rest of it');
				assert.equal(n, size);
			} finally {
				answer = undefined;
			}
		});
	}
});

check('check 36: response-transformer: headers of the service and of plugins before it', async () => {
	await serve('heads', {
		'rate-limiting': { year: 1000 },
		'response-transformer': {
			remove: { headers: ['X-Powered-By', 'Set-Cookie:debug=1', 'X-RateLimit-Limit-Year'] },
			rename: { headers: ['X-Old:X-New'] },
			replace: { headers: ['X-New:replaced', 'X-Absent:no'] },
			add: { headers: ['X-New:no', 'X-Added:yes'] },
			append: { headers: ['X-New:appended'] },
		},
	});
	const reply = await through('/heads', {
		status: 201, body: 'as it is',
		headers: [['X-Powered-By', 'x'], ['X-Old', '1'], ['Set-Cookie', 'debug=1'], ['Set-Cookie', 'a=b'],
			['Content-Type', 'text/plain']].flat(),
	});
	const at = (name) => reply.raw.filter(([k]) => k.toLowerCase() === name).map(([, v]) => v);
	assert.equal(reply.status, 201);
	assert.equal(reply.text, 'as it is');
	assert.deepEqual(at('x-powered-by'), []);
	assert.deepEqual(at('set-cookie'), ['a=b']);
	assert.deepEqual(at('x-old'), []);
	assert.deepEqual(at('x-new'), ['replaced', 'appended']);
	assert.deepEqual(at('x-added'), ['yes']);
	assert.deepEqual(at('x-absent'), []);
	assert.deepEqual(at('x-ratelimit-limit-year'), [], 'rate-limiting is before it');
	assert.deepEqual(at('x-ratelimit-remaining-year'), ['999']);
});

check('check 36: response-transformer: JSON, with types; what is no JSON stays', async () => {
	await serve('json', { 'response-transformer': {
		remove: { json: ['secret'] },
		rename: { json: ['old:new'] },
		replace: { json: ['new:2', 'absent:1'], json_types: ['number', 'number'] },
		add: { json: ['version:3', 'ok:true', 'text:7'], json_types: ['number', 'boolean', 'string'] },
		append: { json: ['list:c', 'single:d'] },
	} });
	const json = { 'Content-Type': 'application/json; charset=utf-8' };
	const reply = await through('/json', {
		headers: json, body: '{"secret":{"a":1},"old":1,"list":["a"],"deep":{"secret":1}}',
	});
	assert.deepEqual(reply.json,
		{ new: 2, list: ['a', 'c'], single: ['d'], deep: { secret: 1 }, version: 3, ok: true, text: '7' });
	assert.equal(reply.headers['content-length'], String(reply.body.length));

	for (const given of [
		{ headers: { 'Content-Type': 'text/plain' }, body: '{"secret":1}' },
		{ headers: json, body: '[1]' },
		{ status: 204, headers: {} , body: '' },
	]) {
		const same = await through('/json', given);
		assert.equal(same.text, given.body);
		assert.equal(same.status, given.status ?? 200);
	}
	const head = await through('/json', { headers: json, body: '' }, { method: 'HEAD' });
	assert.equal(head.status, 200);
});

check('check 36: response-transformer: of JSON that it cannot read nothing gets through', async () => {
	const json = { 'Content-Type': 'application/json' };
	const bodies = BROKEN_JSON('secret').map((body) => Buffer.from(body, 'latin1'));

	await serve('takes', { 'rate-limiting': { year: 1000 }, 'response-transformer': { remove: { json: ['secret'] } } });
	await serve('renames', { 'response-transformer': { rename: { json: ['secret:public'] } } });
	await serve('overwrites', { 'response-transformer': { replace: { json: ['secret:hidden'] } } });
	await serve('adds', { 'response-transformer': { add: { json: ['more:1'] }, append: { json: ['list:1'] } } });
	for (const body of bodies) {
		for (const path of ['/takes', '/renames', '/overwrites']) {
			const reply = await through(path, { headers: { ...json, 'X-Of-Service': '1' }, body });
			const id = reply.headers['x-kong-request-id'];

			assert.equal(reply.status, 502, `${path} ${body}`);
			assert.equal(reply.text, `An invalid response was received from the upstream server\nrequest_id: ${id}\n`);
			assert.equal(reply.headers['x-of-service'], undefined);
			assert.equal(reply.headers.server, 'kong/3.10.0');
			if (path === '/takes') {
				assert.equal(reply.raw.filter(([k]) => k === 'X-RateLimit-Limit-Year').length, 1, 'what plugins said stays');
			}
		}
		const reply = await through('/adds', { headers: json, body });
		assert.equal(reply.status, 200);
		assert.deepEqual(reply.body, body);
	}
	await plugged.gw.child.line(/"an answer of a service is held back".*"why":"response-transformer cannot parse its JSON: /);
});

check('check 36: response-transformer: what is compressed hides nothing', async () => {
	const given = { headers: { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' }, body: '{"secret":1}' };

	await serve('asks', { 'response-transformer': { remove: { json: ['secret'] } } });
	await serve('asks-and-adds', { 'response-transformer': { add: { json: ['more:1'] } } });
	assert.equal((await through('/asks', given)).status, 502, 'a service that compresses what nobody asked for');
	assert.equal((await through('/asks-and-adds', given)).text, given.body);
	const { headers } = await passed(ask('/asks', { 'Accept-Encoding': 'gzip, br' }));
	assert.equal(headers['accept-encoding'], 'identity');
});

/* What a client has of an answer that goes on. */
async function beginning(path, given, headers = {}) {
	answer = given;
	const asking = http.get(plugged.gw.proxy + path, { headers, agent: false });
	try {
		const [reply] = await within(once(asking, 'response'), `${path} is answered`);
		const [data] = await within(once(reply, 'data'), `${path} is passed on as it comes`);
		return [reply.statusCode, data.toString()];
	} finally {
		asking.on('error', () => {}).destroy();
		answer = undefined;
	}
}

check('check 36: response-transformer: only what is edited is collected', async () => {
	const types = ['text/event-stream', 'application/octet-stream', 'application/x-ndjson', 'application/json-seq', 'text/plain; a=application/json'];
	const consumer = (name) => plugged.want(201, 'POST', '/consumers', { username: name })
		.then(() => plugged.want(201, 'POST', `/consumers/${name}/key-auth`, { key: `${name}s key` }));

	for (const type of types) {
		assert.deepEqual(await beginning('/takes', { headers: { 'Content-Type': type }, start: 'data: 1\n\n' }), [200, 'data: 1\n\n']);
	}
	assert.deepEqual(await beginning('/takes', { headers: {}, start: '{' }), [200, '{'], 'no type at all');
	const large = Buffer.alloc(9 << 20);
	const reply = await through('/takes', { headers: { 'Content-Type': 'application/octet-stream' }, body: large });
	assert.deepEqual([reply.status, reply.body.length], [200, large.length]);

	/* Nor is an answer to somebody whose plugin it is not. */
	await serve('somebodys', { 'key-auth': {} });
	await consumer('editor');
	await consumer('reader');
	await plugged.plug('/consumers/editor', 'response-transformer', { remove: { json: ['secret'] } }, { route: { name: 'somebodys' } });
	const json = { headers: { 'Content-Type': 'application/json' }, body: '{"secret":1,"a":1}' };
	assert.deepEqual(await beginning('/somebodys', { headers: json.headers, start: '{"secret"' }, { apikey: 'readers key' }), [200, '{"secret"']);
	assert.equal((await through('/somebodys', json, { headers: { apikey: 'editors key' } })).text, '{"a":1}');

	/* It is the type that the client gets. */
	await serve('retyped', { 'response-transformer': { remove: { json: ['secret'] }, replace: { headers: ['Content-Type:application/json'] } } });
	assert.equal((await through('/retyped', { headers: { 'Content-Type': 'text/plain' }, body: json.body })).text, '{"a":1}');
});

check('check 36: response-transformer: JSON beside another Content-Type is not passed on', async () => {
	const body = '{"secret":1,"a":1}';
	const get = (path, ...types) => through(path, { headers: types.map((type) => ['Content-Type', type]).flat(), body });

	for (const types of [['application/json, text/plain'], ['text/plain,application/json'], ['text/plain', 'application/json'],
		['application/json', 'text/plain'], ['application/json; charset=utf-8, text/plain']]) {
		assert.equal((await get('/takes', ...types)).status, 502, types.join());
		assert.equal((await get('/adds', ...types)).text, body);
	}
	for (const types of [['application/json,'], ['application/json', 'application/json'], ['application/json; p="a,b/c"']]) {
		assert.equal((await get('/takes', ...types)).text, '{"a":1}', types.join());
	}
});

check('check 36: response-transformer: nothing is made of an answer without a body', async () => {
	const json = { 'Content-Type': 'application/json' };
	const bare = async (path, given, options) => {
		const reply = await through(path, { body: '', ...given }, options);
		return [reply.status, reply.text, reply.headers['content-length']];
	};

	assert.deepEqual(await bare('/takes', { headers: { ...json, 'Content-Length': 0 } }), [200, '', '0']);
	assert.deepEqual(await bare('/takes', { headers: json }), [200, '', '0']);
	assert.deepEqual(await bare('/takes', { headers: { ...json, 'Content-Encoding': 'gzip' } }), [200, '', '0']);
	assert.deepEqual((await through('/adds', { headers: json, body: '' })).json, { more: '1', list: ['1'] });
	for (const path of ['/takes', '/adds']) {
		assert.deepEqual(await bare(path, { status: 204, headers: json }), [204, '', undefined]);
		assert.deepEqual(await bare(path, { status: 304, headers: { ...json, 'Content-Length': 18 } }), [304, '', undefined]);
		assert.deepEqual(await bare(path, { headers: { ...json, 'Content-Length': 18 } }, { method: 'HEAD' }), [200, '', undefined]);
		assert.deepEqual(await bare(path, { headers: { 'Content-Type': 'text/plain', 'Content-Length': 18 } }, { method: 'HEAD' }), [200, '', '18']);
	}
});

check('check 36: what frames an answer is the gateway\'s, whatever plugins add', async () => {
	const headers = ['Content-Length:3', 'Transfer-Encoding:chunked', 'Connection:close', 'Keep-Alive:timeout=1', 'Upgrade:h2c', 'TE:trailers',
		'Trailer:X-A', 'Proxy-Connection:close', 'X-Good:1'];
	const given = { headers: { 'Content-Type': 'text/plain', 'X-Old': '3', ETag: '"1"' }, body: 'Hello' };

	await serve('framed-add', { 'response-transformer': { add: { headers } } });
	await serve('framed-append', { 'response-transformer': { append: { headers } } });
	await serve('framed-rename', { 'response-transformer': { rename: { headers: ['X-Old:Content-Length'] }, add: { headers: ['X-Good:1'] } } });
	await serve('framed-id', { 'correlation-id': { header_name: 'Content-Length', echo_downstream: true },
		'response-transformer': { add: { headers: ['X-Good:1'] } } });
	await serve('framed-end', { 'request-termination': { status_code: 200, content_type: 'text/plain', body: 'Hello' },
		'response-transformer': { add: { headers } } });
	for (const name of ['framed-add', 'framed-append', 'framed-rename', 'framed-id', 'framed-end']) {
		answer = given;
		const raw = await RawConnection.open(plugged.gw.proxy);
		raw.send(`GET /${name} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(2));
		for (let i = 0; i < 2; i++) {
			const reply = await raw.response();
			const names = reply.headers.map(([k]) => k.toLowerCase()).filter((k) => FRAMING.has(k));

			assert.equal(reply.body.toString(), 'Hello', name);
			assert.ok(names.length === 1 && ['content-length', 'transfer-encoding'].includes(names[0]), `${name}: ${names}`);
			assert.equal(reply.header('x-good'), '1');
		}
		raw.close();

		const session = http2.connect(plugged.gw.proxy);
		const stream = session.request({ ':path': `/${name}` }).setEncoding('latin1');
		const [head] = await within(once(stream, 'response'), `${name} over HTTP/2 is answered`);
		let text = '';
		for await (const part of stream) {
			text += part;
		}
		assert.deepEqual([head[':status'], text, head['x-good']], [200, 'Hello', '1']);
		session.destroy();
	}
	/* The length that the service tells of a body which it does not send. */
	await serve('framed-not');
	const bodiless = async (name, method, status) => {
		answer = { status, headers: { 'Content-Length': '7', ETag: '"1"' }, body: '' };
		const raw = await RawConnection.open(plugged.gw.proxy);
		raw.send(`${method} /${name} HTTP/1.1\r\nHost: x\r\n\r\n`);
		const reply = await raw.response({ method });
		assert.equal(reply.status, status);
		return reply.headers.filter(([k]) => FRAMING.has(k.toLowerCase()));
	};
	assert.deepEqual(await bodiless('framed-add', 'HEAD', 200), [['Content-Length', '7']]);
	assert.deepEqual(await bodiless('framed-add', 'GET', 304), await bodiless('framed-not', 'GET', 304));
	answer = undefined;
});

check('check 36: response-transformer: a body too large to be edited is not passed on in part', async () => {
	const body = `{"a":"${'x'.repeat(9 << 20)}"}`;
	const reply = await through('/json', { headers: { 'Content-Type': 'application/json' }, body });
	assert.equal(reply.status, 502);
	assert.match(reply.text, /^An invalid response was received from the upstream server\nrequest_id: /);
});
