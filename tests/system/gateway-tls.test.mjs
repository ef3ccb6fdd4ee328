/* Certificates that are entities, on a listener that names none. */
import assert from 'node:assert/strict';
import https from 'node:https';
import tls from 'node:tls';
import { after, before } from 'node:test';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { selfSigned } from './lib/certificate.mjs';
import { check, within } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';

const run = promisify(execFile);

let dir;
let gw;

const pair = (name) => selfSigned(dir, name);

/* The common name of the certificate that a client gets. */
async function served(servername, listener = 1) {
	const { port } = new URL(gw.proxies[listener]);
	const socket = tls.connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false });
	await once(socket, 'secureConnect');
	const { subject } = socket.getPeerCertificate();
	socket.destroy();
	return subject.CN;
}

before(async () => {
	dir = await mkdtemp(join(tmpdir(), 'posthouse-gateway-tls-'));
	const files = await pair('files.example');
	gw = await Gateway.start({ gateway: { listen: ['127.0.0.1:0', { address: '127.0.0.1:0', http2: true, tls: {} }, { address: '127.0.0.1:0', tls: files }] } });
});

after(async () => {
	await gw?.close();
	await rm(dir, { recursive: true, force: true });
});

check('a certificate counts for its names from the answer of the Admin API on', async () => {
	assert.equal(await served('shop.example'), 'localhost');
	await gw.make('/certificates', { ...await pair('shop.example'), snis: ['shop.example'] });
	assert.equal(await served('shop.example'), 'shop.example');
	assert.equal(await served('other.example'), 'localhost');
});

check('certificates of a listener are for the names that no entity has', async () => {
	assert.equal(await served('named.example', 2), 'files.example');
	await gw.make('/certificates', { ...await pair('named.example'), snis: ['named.example'] });
	assert.equal(await served('named.example', 2), 'named.example');
	assert.equal(await served('another.example', 2), 'files.example');
	assert.equal(await served(undefined, 2), 'files.example');
	assert.equal(await served('another.example'), 'localhost', 'the listener without files');
});

check('a reload turns HTTP/2 on and off, with TLS and without', async () => {
	const listeners = (http2) => ({ gateway: { listen: [{ address: '127.0.0.1:0', http2 }, { address: '127.0.0.1:0', http2, tls: {} }] } });
	const other = await Gateway.start(listeners(false));
	const spoken = async (url, ...more) => (await run('curl', ['-sk', '-o', '/dev/null', '-w', '%{http_version}', ...more, url])).stdout;
	try {
		const [plain, secure] = other.proxies;
		for (const http2 of [false, true, false]) {
			const from = other.child.lines.length;
			await other.configure(listeners(http2));
			other.child.signal_('SIGHUP');
			await other.child.line(/configuration reloaded/, { from });
			assert.equal(await spoken(secure, '--http2'), http2 ? '2' : '1.1');
			const known = spoken(plain, '--http2-prior-knowledge');
			await (http2 ? known.then((version) => assert.equal(version, '2')) : assert.rejects(known));
		}
	} finally {
		await other.close();
	}
});

check('a reload keeps the listener and the certificates of the entities', async () => {
	await gw.make('/certificates', { ...await pair('kept.example'), snis: ['kept.example'] });
	const from = gw.child.lines.length;
	gw.child.signal_('SIGHUP');
	assert.match(await gw.child.line(/configuration (not )?reloaded/, { from }), /configuration reloaded/);
	assert.equal(await served('kept.example'), 'kept.example');
});

/* What the service behind the route says, or the status of a refusal; `host` is the Host header. */
async function routed(servername, host = servername || 'none') {
	const { port } = new URL(gw.proxies[1]);
	const request = https.get({
		host: '127.0.0.1', port, path: '/sni', servername, headers: { Host: host }, rejectUnauthorized: false, agent: false,
	});
	const [reply] = await within(once(request, 'response'), 'an answer');
	let text = '';
	for await (const chunk of reply) {
		text += chunk;
	}
	return reply.statusCode === 200 ? text : reply.statusCode;
}

check('routes by the name of the TLS handshake, whatever the Host header says', async () => {
	const named = (name) => Echo.start({ answer: (_, reply) => reply.end(name) });
	const services = { one: await named('one'), two: await named('two'), rest: await named('rest') };
	try {
		const snis = { one: ['one.example', 'first.example'], two: ['two.example'] };
		for (const [name, { url }] of Object.entries(services)) {
			await gw.route({ name, url }, { name, paths: ['/sni'], protocols: ['https'], ...(snis[name] ? { snis: snis[name] } : {}) });
		}
		assert.equal(await routed('one.example'), 'one');
		assert.equal(await routed('first.example'), 'one');
		assert.equal(await routed('two.example', 'one.example'), 'two', 'the handshake decides');
		assert.equal(await routed('other.example', 'one.example'), 'rest');
		assert.equal(await routed('', 'one.example'), 'rest', 'no name, no match');
		await gw.make('/routes/rest', undefined, 'DELETE');
		assert.equal(await routed('other.example', 'one.example'), 404);
		await gw.make('/routes/two', { snis: ['other.example'] }, 'PATCH');
		assert.equal(await routed('other.example'), 'two');
		assert.equal(await routed('two.example'), 404);
	} finally {
		await Promise.all(Object.values(services).map((s) => s.close()));
	}
});
