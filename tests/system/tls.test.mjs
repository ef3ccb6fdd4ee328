/*
 * TLS on listeners and in calls, and the PROXY protocol: with curl, openssl and Node as the other side.
 */
import assert from 'node:assert/strict';
import https from 'node:https';
import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';
import { after, before } from 'node:test';
import { once } from 'node:events';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check, until, within } from './lib/check.mjs';
import { Connector } from './lib/connector.mjs';
import { freePort } from './lib/ports.mjs';
import { execute } from './lib/process.mjs';
import { RawConnection } from './lib/raw.mjs';
import { Server } from './lib/server.mjs';

let dir;
let server;
let ports;
let ca;
const file = (name) => join(dir, name);
const listener = (address, options) => ({ address, ...options });
const at = (name) => `127.0.0.1:${ports[name]}`;

/* A certificate for `names`, signed by the test CA. */
async function issue(name, names, { key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] } = {}) {
	const alt = names.map((n) => (net.isIP(n) ? `IP:${n}` : `DNS:${n}`)).join(',');
	await execute('openssl', ['req', '-x509', ...key, '-nodes', '-keyout', file(`${name}.key`), '-out', file(`${name}.pem`),
		'-days', '3', '-subj', `/CN=${name}`, '-addext', `subjectAltName=${alt}`, '-addext', 'basicConstraints=critical,CA:FALSE',
		'-CA', file('ca.pem'), '-CAkey', file('ca.key')]);
}

before(async () => {
	dir = await mkdtemp(join(tmpdir(), 'posthouse-tls-'));
	await execute('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', file('ca.key'), '-out', file('ca.pem'),
		'-days', '3', '-subj', '/CN=Test CA']);
	ca = await readFile(file('ca.pem'), 'utf8');
	await issue('main', ['localhost', '127.0.0.1', 'main.test']);
	await issue('main2', ['localhost', '127.0.0.1', 'main.test']);
	await issue('rsa', ['localhost', 'main.test'], { key: ['-newkey', 'rsa:2048'] });
	await issue('exact', ['a.example.test']);
	await issue('wild', ['*.example.test']);
	await issue('client', ['client.test']);
	ports = {};
	for (const name of ['tls', 'only13', 'optional', 'required', 'proxy', 'proxytls']) {
		ports[name] = await freePort();
	}
	await copyFile(file('main.pem'), file('live.pem'));
	await copyFile(file('main.key'), file('live.key'));
	const pair = { cert: file('live.pem'), key: file('live.key') };
	server = await Server.start({
		relay: {
			listen: [
				'127.0.0.1:0',
				listener(at('tls'), {
					tls: {
						...pair, cert_alt: file('rsa.pem'), key_alt: file('rsa.key'),
						certificates: [
							{ names: ['a.example.test'], cert: file('exact.pem'), key: file('exact.key') },
							{ names: ['*.example.test', 'wild.*'], cert: file('wild.pem'), key: file('wild.key') },
						],
					},
				}),
				listener(at('only13'), { tls: { ...pair, min_version: 'TLSv1.3' } }),
				listener(at('optional'), { tls: { ...pair, client_ca: file('ca.pem'), client_certificates: 'optional' } }),
				listener(at('required'), { tls: { ...pair, client_ca: file('ca.pem') } }),
				listener(at('proxy'), { proxy_protocol: true }),
				listener(at('proxytls'), { proxy_protocol: true, tls: pair }),
			],
		},
		env: { SSL_CERT_FILE: file('ca.pem') },
	});
});

after(async () => {
	await server?.close();
	await rm(dir, { recursive: true, force: true });
});

async function curl(args) {
	try {
		const { stdout } = await execute('curl', ['-sS', '--max-time', '10', '--cacert', file('ca.pem'), ...args]);
		return { code: 0, stdout };
	} catch (error) {
		return { code: error.code, stdout: error.stdout, stderr: error.stderr };
	}
}

/* A handshake, what was agreed, and one request on it. */
async function talk(options = {}) {
	const socket = tls.connect({ host: '127.0.0.1', port: ports.tls, ca, servername: 'main.test', ...options });
	let session;
	socket.on('error', () => {});
	socket.on('session', (s) => {
		session = s;
	});
	try {
		await within(once(socket, 'secureConnect'), 'a handshake');
		socket.write('GET /health/check HTTP/1.1\r\nHost: x\r\n\r\n');
		const [data] = await within(once(socket, 'data'), 'an answer');
		assert.match(data.toString(), /^HTTP\/1\.1 200 /);
		if (options.wantSession) {
			await until(() => session, 'a session ticket');
		}
		return {
			cn: socket.getPeerCertificate().subject?.CN, alpn: socket.alpnProtocol, version: socket.getProtocol(),
			resumed: socket.isSessionReused(), session, cipher: socket.getCipher().name,
		};
	} finally {
		socket.destroy();
	}
}

const talkFails = (options, pattern) => assert.rejects(talk(options), pattern);

async function reload() {
	const from = server.child.lines.length;
	process.kill(server.child.pid, 'SIGHUP');
	return await server.child.line(/reloaded/, { from });
}

check('the ready line says https, and curl is served', async () => {
	const ready = server.child.lines.find((l) => /(^|\s)ready /.test(l));
	assert.ok(ready.includes(`https://${at('tls')}`), ready);
	assert.ok(ready.includes(`http://${at('proxy')}`), ready);
	const { stdout } = await curl(['--resolve', `main.test:${ports.tls}:127.0.0.1`, '-w', ' %{http_code} %{ssl_verify_result}',
		`https://main.test:${ports.tls}/health/check`]);
	assert.equal(stdout, 'ok 200 0');
	const discovery = JSON.parse((await curl([`https://${at('tls')}/.well-known/relayserver-configuration`])).stdout);
	assert.equal(discovery.connectorEndpoint, `https://${at('tls')}/connector`);
});

check('a certificate by name, and by the key type that the client can do', async () => {
	const cases = [
		['a.example.test', 'exact'], ['A.EXAMPLE.test', 'exact'], ['b.example.test', 'wild'],
		['c.b.example.test', 'main'], ['wild.org', 'wild'], ['other.test', 'main'],
	];
	for (const [servername, want] of cases) {
		assert.equal((await talk({ servername, checkServerIdentity: () => undefined })).cn, want, servername);
	}
	assert.equal((await talk({ servername: '', checkServerIdentity: () => undefined })).cn, 'main');
	assert.equal((await talk({ maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' })).cn, 'rsa');
});

check('protocols: 1.2 and 1.3, a floor of 1.3, ALPN', async () => {
	assert.equal((await talk()).version, 'TLSv1.3');
	assert.equal((await talk({ maxVersion: 'TLSv1.2' })).version, 'TLSv1.2');
	assert.equal((await talk({ port: ports.only13 })).version, 'TLSv1.3');
	await talkFails({ port: ports.only13, maxVersion: 'TLSv1.2' }, /alert protocol version|unsupported protocol/i);
	await talkFails({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' }, /alert protocol version|unsupported/i);
	assert.equal((await talk({ ALPNProtocols: ['h2', 'http/1.1'] })).alpn, 'http/1.1');
	await talkFails({ ALPNProtocols: ['spdy/9'] }, /alert no application protocol/i);
});

check('sessions resume: on any loop, after a reload, not where other client certificates are demanded', async () => {
	for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
		const { session } = await talk({ maxVersion, wantSession: true });
		for (let i = 0; i < 8; i++) {
			assert.equal((await talk({ maxVersion, session })).resumed, true, maxVersion);
		}
		assert.match(await reload(), /configuration reloaded/);
		assert.equal((await talk({ maxVersion, session })).resumed, true, `${maxVersion} after a reload`);
		/* Its certificate would have to be asked for again. */
		assert.equal((await talk({ maxVersion, session, port: ports.optional })).resumed, false);
	}
});

check('client certificates: optional, required', async () => {
	const own = { cert: await readFile(file('client.pem')), key: await readFile(file('client.key')) };
	const strange = { cert: await readFile(file('ca.pem')), key: await readFile(file('ca.key')) };
	await talk({ port: ports.optional });
	await talk({ port: ports.optional, ...own });
	await talk({ port: ports.required, ...own });
	for (const maxVersion of ['TLSv1.2', 'TLSv1.3']) {
		await talkFails({ port: ports.required, maxVersion }, /alert certificate required|handshake failure/i);
	}
	await execute('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', file('x.key'), '-out', file('x.pem'), '-subj', '/CN=x']);
	strange.cert = await readFile(file('x.pem'));
	strange.key = await readFile(file('x.key'));
	await talkFails({ port: ports.optional, ...strange }, /alert unknown ca/i);
	await talkFails({ port: ports.required, ...strange }, /alert unknown ca/i);
});

check('openssl s_client verifies the chain and the orderly end', async () => {
	const child = execute('openssl', ['s_client', '-connect', at('tls'), '-CAfile', file('ca.pem'), '-verify_return_error',
		'-servername', 'main.test', '-ign_eof', '-quiet']);
	child.child.stdin.end('GET /health/check HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
	const { stdout, stderr } = await within(child, 's_client ends');
	assert.match(stdout, /^HTTP\/1\.1 200 [\s\S]*ok$/);
	assert.doesNotMatch(stderr, /unexpected eof|error/i);
});

check('bodies of every size come through unharmed', async () => {
	for (const n of [0, 1, 16383, 16384, 16385, 100_000, 5_000_000]) {
		const agent = new https.Agent({ ca });
		const req = https.request(`https://${at('tls')}/management/nothing`, { method: 'POST', agent, headers: { 'Content-Length': n } });
		req.end(Buffer.alloc(n, 'x'));
		const [res] = await within(once(req, 'response'), `an answer to ${n} bytes`);
		res.resume();
		assert.equal(res.statusCode, 404);
		agent.destroy();
	}
});

check('plain HTTP on a TLS port is told so', async () => {
	for (const text of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'DELETE /a HTTP/1.1\r\n', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']) {
		const raw = await RawConnection.open(`http://${at('tls')}`);
		raw.send(text);
		const answer = await raw.response();
		assert.equal(answer.status, 400);
		assert.equal(answer.body.toString(), 'plain HTTP request to HTTPS port');
		await raw.closed();
	}
});

check('garbage and half a handshake are cut off, and others do not notice', async () => {
	for (const bytes of ['\x16\x03\x01\x00\x02\x01\x00', '\x00\x00\x00\x00\x00\x00', '\x80\x2e\x01\x03\x01', '\x16\x03\x01\xff\xff' + 'x'.repeat(70000)]) {
		const raw = await RawConnection.open(`http://${at('tls')}`);
		raw.send(bytes);
		raw.socket.end();
		await raw.closed();
	}
	const slow = await RawConnection.open(`http://${at('tls')}`);
	slow.send('\x16\x03\x01');
	await talk();
	/* head_timeout is 15 s. */
	await slow.closed(25_000);
	assert.equal(slow.text, '');
});

check('certificates change under load without a failed request', async () => {
	const agent = new https.Agent({ ca, keepAlive: true, maxSockets: 4 });
	const seen = new Map();
	let failed = 0;
	let stop = false;
	const ask = async (options) => {
		const req = https.get(`https://${at('tls')}/health/check`, { servername: 'main.test', ...options });
		const [res] = await once(req, 'response');
		const { CN } = res.socket.getPeerCertificate().subject ?? {};
		seen.set(CN, (seen.get(CN) ?? 0) + 1);
		res.resume();
		await once(res, 'end');
		failed += res.statusCode === 200 ? 0 : 1;
	};
	const work = [{ agent }, { agent }, { agent: new https.Agent({ ca, keepAlive: false, maxCachedSessions: 0 }) }].map(async (options) => {
		while (!stop) {
			await ask(options);
		}
	});
	try {
		await until(() => seen.get('main') > 50, 'requests under the first certificate');
		await copyFile(file('main2.pem'), file('live.pem'));
		/* The key is still the old one: nothing changes. */
		assert.match(await reload(), /not reloaded.*certificate does not match key/);
		await copyFile(file('main2.key'), file('live.key'));
		assert.match(await reload(), /configuration reloaded/);
		await until(() => seen.get('main2') > 50, 'requests under the second certificate');
	} finally {
		stop = true;
		await Promise.all(work);
		agent.destroy();
	}
	assert.equal(failed, 0);
	assert.equal((await talk()).cn, 'main2');
});

check('the PROXY protocol: curl, both versions, with and without TLS', async () => {
	assert.equal((await curl(['--haproxy-protocol', `http://${at('proxy')}/health/check`])).stdout, 'ok');
	assert.equal((await curl(['--haproxy-protocol', `https://${at('proxytls')}/health/check`])).stdout, 'ok');
	const v2 = Buffer.concat([
		Buffer.from('\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f', 'latin1'), Buffer.from([192, 0, 2, 1, 198, 51, 100, 2, 0x1f, 0x90, 1, 0xbb]),
		Buffer.from([4, 0, 0]),
	]);
	const local = Buffer.from('\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00', 'latin1');
	for (const head of [v2, local, Buffer.from('PROXY UNKNOWN\r\n')]) {
		/* In one piece, and byte by byte. */
		for (const step of [head.length, 1]) {
			const raw = await RawConnection.open(`http://${at('proxy')}`);
			for (let i = 0; i < head.length; i += step) {
				raw.send(head.subarray(i, i + step));
				await new Promise(setImmediate);
			}
			raw.send('GET /health/check HTTP/1.1\r\nHost: x\r\n\r\n');
			assert.equal((await raw.response()).status, 200);
			raw.close();
		}
	}
});

check('without a PROXY header the connection ends, unanswered', async () => {
	for (const bytes of ['GET /health/check HTTP/1.1\r\nHost: x\r\n\r\n', 'PROXY TCP4 1.2.3.4 oops 1 2\r\n',
		'\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x01x', `PROXY UNKNOWN ${'x'.repeat(200)}`]) {
		for (const name of ['proxy', 'proxytls']) {
			const raw = await RawConnection.open(`http://${at(name)}`);
			raw.send(bytes);
			assert.equal(await raw.rest(), '');
		}
	}
});

/* ---- calls ---- */

async function withTarget(options, fn) {
	const target = https.createServer(options, (req, res) => {
		req.resume();
		req.on('end', () => res.end(JSON.stringify({ url: req.url, host: req.headers.host, sni: req.socket.servername || '' })));
	});
	target.listen(0, '127.0.0.1');
	await once(target, 'listening');
	try {
		return await fn(target.address().port);
	} finally {
		target.closeAllConnections();
		target.close();
	}
}

async function main() {
	return { cert: await readFile(file('main.pem')), key: await readFile(file('main.key')) };
}

for (const transport of ['websockets', 'server_sent_events', 'long_polling']) {
	check(`a connector over https by ${transport}, and an https target; the peer's address from PROXY`, async () => {
		const tenant = `T${transport.replace(/_/g, '')}`;
		const secret = await server.addTenant(tenant);
		await withTarget(await main(), async (port) => {
			const connector = await Connector.start(server, {
				tenant, secret, url: `https://${at('tls')}`,
				settings: { server_ca: file('ca.pem'), transports: [transport] },
				targets: {
					good: { url: `https://127.0.0.1:${port}/base/`, ca: file('ca.pem') },
					named: { url: `https://localhost:${port}/`, ca: file('ca.pem') },
					blind: { url: `https://127.0.0.1:${port}/`, verify: false },
					unknown: { url: `https://127.0.0.1:${port}/` },
					wrong: { url: `https://127.0.0.2:${port}/`, ca: file('ca.pem') },
				},
			});
			try {
				const ask = async (id) => {
					const reply = await curl(['-w', '\n%{http_code}', `https://${at('tls')}/relay/${tenant}/${id}/x?y=1`]);
					const [body, status] = reply.stdout.split('\n');
					return { status, body };
				};
				const good = await ask('good');
				assert.equal(good.status, '200');
				assert.deepEqual(JSON.parse(good.body), { url: '/base/x?y=1', host: `127.0.0.1:${port}`, sni: '' });
				assert.equal(JSON.parse((await ask('named')).body).sni, 'localhost');
				assert.equal((await ask('blind')).status, '200');
				assert.equal((await ask('unknown')).status, '502');
				assert.equal((await ask('wrong')).status, '502');
				await connector.child.line(/TLS to a server failed.*certificate verify failed|certificate verify failed.*TLS to a server failed/);
			} finally {
				await connector.close();
			}
		});
	});
}

check('a target learns the client that PROXY names', async () => {
	const secret = await server.addTenant('Proxied');
	const target = http.createServer((req, res) => res.end(JSON.stringify(req.headers)));
	target.listen(0, '127.0.0.1');
	await once(target, 'listening');
	const connector = await Connector.start(server, { tenant: 'Proxied', secret, targets: { web: `http://127.0.0.1:${target.address().port}/` } });
	try {
		const raw = await RawConnection.open(`http://${at('proxy')}`);
		raw.send('PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\nGET /relay/Proxied/web/ HTTP/1.1\r\nHost: x\r\n\r\n');
		const headers = JSON.parse((await raw.response()).body);
		assert.equal(headers['x-forwarded-for'], '2001:db8::7');
		raw.close();
	} finally {
		await connector.close();
		target.closeAllConnections();
		target.close();
	}
});

check('https through a proxy: CONNECT, then TLS inside', async () => {
	const secret = await server.addTenant('Tunnel');
	const seen = [];
	const proxy = http.createServer((req, res) => {
		res.statusCode = 500;
		res.end();
	});
	proxy.on('connect', (req, socket) => {
		seen.push(req.url);
		const [, port] = req.url.split(':');
		const out = net.connect(Number(port), '127.0.0.1', () => {
			socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
			socket.pipe(out).pipe(socket);
		});
		out.on('error', () => socket.destroy());
		socket.on('error', () => out.destroy());
	});
	proxy.listen(0, '127.0.0.1');
	await once(proxy, 'listening');
	await withTarget(await main(), async (port) => {
		const connector = await Connector.start(server, {
			tenant: 'Tunnel', secret,
			targets: { web: { url: `https://main.test:${port}/`, ca: file('ca.pem') } },
			env: { HTTPS_PROXY: `http://127.0.0.1:${proxy.address().port}` },
		});
		try {
			const reply = await fetch(`${server.relay}/relay/Tunnel/web/`);
			assert.equal(reply.status, 200);
			assert.equal((await reply.json()).sni, 'main.test');
			assert.deepEqual(seen, [`main.test:${port}`]);
		} finally {
			await connector.close();
		}
	});
	proxy.closeAllConnections();
	proxy.close();
});

check('a wrong certificate keeps the server from starting, with the reason', async () => {
	await assert.rejects(
		Server.start({ relay: { listen: [{ address: '127.0.0.1:0', tls: { cert: file('main.pem'), key: file('rsa.key') } }] } }),
		/certificate does not match key/);
});

check('a connection that begins to talk when it is over already disturbs nobody', async () => {
	const pair = { cert: file('main.pem'), key: file('main.key') };
	const port = { tls: await freePort(), proxy: await freePort(), both: await freePort() };
	const own = await Server.start({ relay: { listen: [
		'127.0.0.1:0',
		{ address: `127.0.0.1:${port.tls}`, tls: pair },
		{ address: `127.0.0.1:${port.proxy}`, proxy_protocol: true },
		{ address: `127.0.0.1:${port.both}`, proxy_protocol: true, tls: pair },
	] } });
	const late = [];
	for (const [name, p] of Object.entries(port)) {
		for (const first of ['GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'PROXY TCP4 192.0.2.1 192.0.2.2 1111 2222\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n']) {
			const socket = net.connect({ host: '127.0.0.1', port: p, allowHalfOpen: true });
			socket.on('error', () => {});
			await once(socket, 'connect');
			late.push({ name, first, socket });
		}
	}
	/* Keeps the process there until its body is complete. */
	const held = await RawConnection.open(own.identity);
	held.send('POST /connect/token HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n');
	await held.until(() => held.text.startsWith('HTTP/1.1 100 '), 'the request is there');
	own.child.process.kill('SIGTERM');
	await Promise.all(late.map(async ({ first, socket }) => {
		await once(socket.resume(), 'end');
		socket.write(first);
	}));
	held.send('a=b');
	await held.until(() => /HTTP\/1\.1 400 /.test(held.text), 'the answer');
	assert.equal((await own.child.exited).code, 0, own.child.story());
	for (const { socket } of late) {
		socket.destroy();
	}
});
