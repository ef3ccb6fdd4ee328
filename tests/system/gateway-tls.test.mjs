/* Certificates that are entities, on a listener that names none. */
import assert from 'node:assert/strict';
import tls from 'node:tls';
import { after, before } from 'node:test';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { check } from './lib/check.mjs';
import { Gateway } from './lib/gateway.mjs';
import { execute } from './lib/process.mjs';

let dir;
let gw;

/* { cert, key } in PEM, for a name. */
async function pair(name) {
	const [key, cert] = [join(dir, `${name}.key`), join(dir, `${name}.pem`)];
	await execute('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '3',
		'-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-keyout', key, '-out', cert]);
	return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
}

/* The common name of the certificate that a client gets. */
async function served(servername) {
	const { port } = new URL(gw.proxies[1]);
	const socket = tls.connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false });
	await once(socket, 'secureConnect');
	const { subject } = socket.getPeerCertificate();
	socket.destroy();
	return subject.CN;
}

before(async () => {
	dir = await mkdtemp(join(tmpdir(), 'posthouse-gateway-tls-'));
	gw = await Gateway.start({ gateway: { listen: ['127.0.0.1:0', { address: '127.0.0.1:0', http2: true, tls: {} }] } });
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

check('a reload keeps the listener and the certificates of the entities', async () => {
	await gw.make('/certificates', { ...await pair('kept.example'), snis: ['kept.example'] });
	const from = gw.child.lines.length;
	gw.child.signal_('SIGHUP');
	assert.match(await gw.child.line(/configuration (not )?reloaded/, { from }), /configuration reloaded/);
	assert.equal(await served('kept.example'), 'kept.example');
});
