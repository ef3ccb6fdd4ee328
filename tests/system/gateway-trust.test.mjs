/*
 * What a client says must not decide what only the configuration may: the name that a service is known by, the
 * plugins that run, the address that rules are about, or the end of the process.
 */
import assert from 'node:assert/strict';
import https from 'node:https';
import http2 from 'node:http2';
import { once } from 'node:events';
import { after, before } from 'node:test';
import { selfSigned } from './lib/certificate.mjs';
import { check } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { RawConnection } from './lib/raw.mjs';
import { values } from './lib/target.mjs';

let gw;
let echo;

before(async () => {
	echo = await Echo.start();
	gw = await Gateway.start({ gateway: {
		listen: [{ address: '127.0.0.1:0', http2: true }], trusted_ips: '127.0.0.1', real_ip_header: 'X-Forwarded-For',
	} });
	await gw.route({ name: 'echo', url: echo.url }, { name: 'all', paths: ['/r'] });
});

after(async () => {
	await gw?.close();
	await echo?.close();
});

/* The answer to a request head, line by line. */
const say = (...lines) => sayTo(gw.proxy, ...lines);

async function sayTo(url, ...lines) {
	const raw = await RawConnection.open(url);
	try {
		raw.send([...lines, '', ''].join('\r\n'));
		return await raw.response();
	} finally {
		raw.close();
	}
}

const UPGRADE = ['Host: a', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13'];

check('an upgrade with a body, or of another method than GET, is no upgrade', async (t) => {
	const sent = {
		chunked: ['GET /r HTTP/1.1', ...UPGRADE, 'Transfer-Encoding: chunked', '', '5', 'Hello', '0'],
		'a long body': ['GET /r HTTP/1.1', ...UPGRADE, 'Content-Length: 100000', '', 'x'.repeat(99996)],
		POST: ['POST /r HTTP/1.1', ...UPGRADE, 'Content-Length: 0'],
	};
	for (const [what, lines] of Object.entries(sent)) {
		await t.test(what, async () => {
			const reply = await say(...lines);
			assert.equal(reply.status, 200);
			const { raw } = JSON.parse(reply.body);
			assert.deepEqual(values(raw, 'upgrade'), []);
		});
	}
});

check('nor is one to which a plugin adds a body', async () => {
	const { id } = await gw.make('/services/echo/routes', { name: 'made', paths: ['/made'] });
	await gw.make(`/routes/${id}/plugins`, { name: 'request-transformer', config: { append: { body: ['a:1'] } } });
	const reply = await say('GET /made HTTP/1.1', ...UPGRADE, 'Content-Type: application/json');
	assert.equal(reply.status, 200);
	const { raw, body } = JSON.parse(reply.body);
	assert.deepEqual(values(raw, 'upgrade'), []);
	assert.deepEqual(JSON.parse(body), { a: ['1'] });
});

check('the service is told its own name, however the client writes the one it asked for', async (t) => {
	const name = new URL(echo.url).host;
	await t.test('absolute form', async () => {
		const reply = await say('GET http://evil.test/r HTTP/1.1', 'Host: evil.test', 'Connection: close');
		assert.deepEqual(values(JSON.parse(reply.body).raw, 'host'), [name]);
	});
	await t.test('both :authority and host', async () => {
		const session = http2.connect(gw.proxy);
		const stream = session.request({ ':path': '/r', ':authority': 'evil.test', host: 'evil.test' });
		let text = '';
		stream.setEncoding('utf8').on('data', (data) => {
			text += data;
		});
		await once(stream, 'end');
		session.close();
		assert.deepEqual(values(JSON.parse(text).raw, 'host'), [name]);
	});
	await t.test('and its certificate must have it', async () => {
		const pair = await selfSigned(gw.dir, 'evil.test');
		const names = [];
		const secure = https.createServer({ ...pair, SNICallback: (sni, done) => {
			names.push(sni);
			done(null);
		} }, (req, res) => res.end('secret')).listen(0, '127.0.0.1');
		await once(secure, 'listening');
		const ca = await gw.make('/ca_certificates', { cert: pair.cert });
		await gw.route({ name: 'tls', url: `https://localhost:${secure.address().port}`, tls_verify: true, ca_certificates: [ca.id] }, { paths: ['/tls'] });
		for (const target of ['/tls', 'http://evil.test/tls']) {
			assert.equal((await say(`GET ${target} HTTP/1.1`, 'Host: evil.test', 'Connection: close')).status, 502, target);
		}
		assert.ok(names.every((sni) => sni === 'localhost'), names.join());
		secure.closeAllConnections();
		secure.close();
	});
});

check('no content type gets around a plugin', async () => {
	await gw.make('/services/echo/routes', { name: 'guarded', paths: ['/guarded'] });
	await gw.make('/routes/guarded/plugins', { name: 'key-auth', protocols: ['http', 'https'] });
	for (const type of ['application/json', 'application/grpc', 'application/grpc+proto', 'APPLICATION/GRPC; a=b']) {
		const reply = await gw.send('POST', '/guarded', { headers: { 'Content-Type': type }, body: 'x' });
		assert.ok(reply.status === 401 || reply.headers['grpc-status'] === '16', `${type}: ${reply.status} ${reply.text}`);
		assert.doesNotMatch(reply.text ?? '', /"url"/);
	}
});

check('several lines of X-Forwarded-For are one list', async () => {
	await gw.make('/services/echo/routes', { name: 'allowed', paths: ['/allowed'] });
	await gw.make('/routes/allowed/plugins', { name: 'ip-restriction', config: { allow: ['10.0.0.1'] } });
	const ask = (path, ...lines) => say(`GET ${path} HTTP/1.1`, 'Host: a', ...lines.map((line) => `X-Forwarded-For: ${line}`));
	assert.equal((await ask('/allowed', '10.0.0.1')).status, 200);
	assert.equal((await ask('/allowed', '10.0.0.1', '6.6.6.6')).status, 403);
	assert.equal((await ask('/allowed', '6.6.6.6', '10.0.0.1')).status, 200, 'the last is whom the trusted peer saw');
	const { raw } = JSON.parse((await ask('/r', '10.0.0.1, 10.0.0.2', '6.6.6.6')).body);
	assert.deepEqual(values(raw, 'x-forwarded-for'), ['10.0.0.1, 10.0.0.2, 6.6.6.6, 127.0.0.1']);
	assert.deepEqual(values(raw, 'x-real-ip'), ['6.6.6.6']);
});

check('forty lines of X-Forwarded-For and of Via are one list each, complete and in order', async () => {
	const hops = Array.from({ length: 40 }, (_, i) => Array.from({ length: 8 }, (__, k) => `10.1.${i}.${k}`).join(', '));
	const vias = hops.map((_, i) => `1.1 front-${i} (${'x'.repeat(88)})`);
	const lines = hops.flatMap((hop, i) => [`X-Forwarded-For: ${hop}`, `Via: ${vias[i]}`]);
	const trustless = await Gateway.start({ gateway: { listen: [{ address: '127.0.0.1:0', http2: true }] } });
	try {
		await trustless.route({ url: echo.url }, { paths: ['/r'] });
		for (const [url, client] of [[gw.proxy, '10.1.39.7'], [trustless.proxy, '127.0.0.1']]) {
			const session = http2.connect(url);
			const stream = session.request({ ':path': '/r', 'x-forwarded-for': hops, via: vias }).setEncoding('utf8');
			let text = '';
			for await (const part of stream) {
				text += part;
			}
			session.close();
			const seen = { '1.1': (await sayTo(url, 'GET /r HTTP/1.1', 'Host: a', ...lines)).body, 2: text };
			for (const [version, body] of Object.entries(seen)) {
				const { raw } = JSON.parse(body);
				assert.deepEqual(values(raw, 'x-forwarded-for'), [[...hops, '127.0.0.1'].join(', ')]);
				assert.deepEqual(values(raw, 'via'), [[...vias, `${version} kong/3.10.0`].join(', ')]);
				assert.deepEqual(values(raw, 'x-real-ip'), [client]);
			}
		}
	} finally {
		await trustless.close();
	}
});

check('real_ip_header proxy_protocol is no header: the PROXY protocol alone says who the client is', async () => {
	const told = await Gateway.start({ gateway: {
		listen: [{ address: '127.0.0.1:0', proxy_protocol: true }, { address: '127.0.0.1:0' }],
		trusted_ips: ['0.0.0.0/0', '::/0'], real_ip_header: 'proxy_protocol',
	} });
	const ask = ['GET /r HTTP/1.1', 'Host: a'];
	const from = (ip, ...lines) => sayTo(told.proxies[0], `PROXY TCP4 ${ip} 127.0.0.1 1111 80`, ...ask, ...lines);
	try {
		const { route } = await told.route({ url: echo.url }, { paths: ['/r'] });
		await told.make(`/routes/${route.id}/plugins`, { name: 'ip-restriction', config: { allow: ['10.9.9.9'] } });
		assert.equal((await from('6.6.6.6')).status, 403);
		for (const name of ['proxy_protocol', 'Proxy_Protocol', 'proxy-protocol', 'X-Real-IP', 'X-Forwarded-For']) {
			assert.equal((await from('6.6.6.6', `${name}: 10.9.9.9`)).status, 403, name);
			assert.equal((await sayTo(told.proxies[1], ...ask, `${name}: 10.9.9.9`)).status, 403, `${name}, and nobody spoke of PROXY`);
			const reply = await from('10.9.9.9', `${name}: 6.6.6.6`);
			assert.equal(reply.status, 200, name);
			assert.deepEqual(values(JSON.parse(reply.body).raw, 'x-real-ip'), ['10.9.9.9']);
		}
	} finally {
		await told.close();
	}
});

check('a plugin cannot frame a request anew', async () => {
	await gw.make('/services/echo/routes', { name: 'framed', paths: ['/framed'] });
	await gw.make('/routes/framed/plugins', { name: 'request-transformer', config: {
		add: { headers: ['Transfer-Encoding:chunked', 'Keep-Alive:1', 'Content-Length:1'] }, rename: { headers: ['X-Te:Transfer-Encoding'] },
	} });
	const reply = await gw.send('POST', '/framed', { headers: { 'X-Te': 'chunked' }, body: 'Hello' });
	assert.equal(reply.json.body, 'Hello');
	assert.deepEqual(values(reply.json.raw, 'transfer-encoding'), []);
	assert.deepEqual(values(reply.json.raw, 'content-length'), ['5']);
});

check('a loop through the gateway ends, whatever plugins take away', async () => {
	await gw.route({ name: 'loop', url: 'role://gateway/loop' }, { name: 'loop', paths: ['/loop'] });
	await gw.make('/routes/loop/plugins', { name: 'request-transformer', config: { remove: { headers: ['Via'] } } });
	assert.equal((await gw.get('/loop')).status, 508);
});

check('a status that is no answer is refused where it is configured', async () => {
	const refused = {
		'rate-limiting': { minute: 1, error_code: 1 },
		'request-termination': { status_code: 103 },
		redirect: { status_code: 101, location: 'http://a/' },
		'ip-restriction': { deny: ['10.0.0.1'], status: 100 },
	};
	for (const [name, config] of Object.entries(refused)) {
		const { json } = await gw.want(400, 'POST', '/plugins', { name, config });
		assert.match(json.message, /value should be between 200 and 599/, name);
	}
});

check('a status that is written as a fraction is the one it means', async () => {
	await gw.make('/services/echo/routes', { name: 'once', paths: ['/once'] });
	for (const written of ['4.29e2', '429.0', '429.5']) {
		const { json } = await gw.want(201, 'POST', '/routes/once/plugins', `{"name":"rate-limiting","config":{"year":1,"error_code":${written}}}`,
			{ type: 'application/json' });
		await gw.get('/once');
		assert.equal((await gw.get('/once')).status, 429, written);
		await gw.want(204, 'DELETE', `/plugins/${json.id}`);
	}
});

check('a probe says nothing that HTTP cannot say', async () => {
	const probe = (Host) => ({ name: 'probed', healthchecks: { active: { type: 'grpc', headers: { Host: [Host] } } } });
	const { json } = await gw.want(400, 'POST', '/upstreams', probe('a\u0001b'));
	assert.match(json.message, /has characters that no header may have/);
	await gw.want(201, 'POST', '/upstreams', probe('a.test'));
});
