/* TLS towards services: what a context is made of, what happens when there is none, gRPC over it. */
import assert from 'node:assert/strict';
import https from 'node:https';
import { after, before } from 'node:test';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import grpc from '@grpc/grpc-js';
import { selfSigned } from './lib/certificate.mjs';
import { check, until, within } from './lib/check.mjs';
import { Gateway } from './lib/gateway.mjs';

let dir;
let gw;
let server;
let pairs;

const pair = (name) => selfSigned(dir, name, { alt: 'DNS:localhost,IP:127.0.0.1' });

/* Says whose certificate it was shown. */
const say = (req, res) => res.end(req.socket.getPeerCertificate().subject?.CN ?? 'nobody');

before(async () => {
	dir = await mkdtemp(join(tmpdir(), 'posthouse-service-tls-'));
	pairs = Object.fromEntries(await Promise.all(['server', 'old', 'new'].map(async (n) => [n, await pair(n)])));
	gw = await Gateway.start({
		gateway: { listen: [{ address: '127.0.0.1:0', http2: true }] },
		env: { OLD_CERT: pairs.old.cert, OLD_KEY: pairs.old.key, NEW_CERT: pairs.new.cert, NEW_KEY: pairs.new.key },
	});
	server = https.createServer({ ...pairs.server, requestCert: true, rejectUnauthorized: false }, say).listen(0, '127.0.0.1');
	await once(server, 'listening');
});

after(async () => {
	server?.closeAllConnections();
	server?.close();
	await gw?.close();
	await rm(dir, { recursive: true, force: true });
});

const serve = (name, more) => gw.route({ name, url: `https://localhost:${server.address().port}`, retries: 0, ...more },
	{ name, paths: [`/${name}`] });

check('a service whose context cannot be made is 502, not called otherwise', async () => {
	const { id } = await gw.make('/certificates', { cert: '{vault://env/nowhere}', key: '{vault://env/nowhere}' });
	await serve('broken', { client_certificate: { id }, tls_verify: false });
	const reply = await gw.get('/broken', { Accept: 'application/json' });
	assert.equal(reply.status, 502, reply.text);
	assert.equal(reply.json.message, 'An invalid response was received from the upstream server');
	await gw.child.line(/TLS to a service is not possible/);
	await gw.make(`/certificates/${id}`, pairs.old, 'PATCH');
	assert.equal((await gw.get('/broken')).text, 'old');
});

check('another value of a vault is shown without writing the service', async () => {
	await gw.make('/vaults', { name: 'env', prefix: 'mine', config: { prefix: 'old_' } });
	const { id } = await gw.make('/certificates', { cert: '{vault://mine/cert}', key: '{vault://mine/key}' });
	await serve('vaulted', { client_certificate: { id } });
	assert.equal((await gw.get('/vaulted')).text, 'old');
	await gw.make('/vaults/mine', { config: { prefix: 'new_' } }, 'PATCH');
	assert.equal((await gw.get('/vaulted')).text, 'new');
	await gw.make(`/certificates/${id}`, pairs.old, 'PATCH');
	assert.equal((await gw.get('/vaulted')).text, 'old');
});

check('another CA counts without writing the service', async () => {
	const { id } = await gw.make('/ca_certificates', { cert: pairs.server.cert });
	await serve('verified', { tls_verify: true, ca_certificates: [id] });
	assert.equal((await gw.get('/verified')).text, 'nobody');
	await gw.make(`/ca_certificates/${id}`, { cert: pairs.new.cert }, 'PATCH');
	assert.equal((await gw.get('/verified')).status, 502);
	await gw.make(`/ca_certificates/${id}`, { cert: pairs.server.cert }, 'PATCH');
	assert.equal((await gw.get('/verified')).text, 'nobody');
});

/* ---- gRPC ---- */

const bytes = (b) => b;
const method = (path) => ({
	path, requestStream: false, responseStream: false, requestSerialize: bytes, requestDeserialize: bytes,
	responseSerialize: bytes, responseDeserialize: bytes,
});
const ECHO = { Unary: method('/test.Echo/Unary') };
const HEALTH = { Check: method('/grpc.health.v1.Health/Check') };
const SERVING = Buffer.from([8, 1]);
const NOT_SERVING = Buffer.from([8, 2]);

/* A real server; with `health()` it has the health service, whose answer that is. */
async function grpcServer({ secure, health }) {
	const grpcd = new grpc.Server();
	grpcd.addService(ECHO, { Unary: (call, answer) => answer(null, Buffer.concat([Buffer.from(`${grpcd.port}:`), call.request])) });
	if (health) {
		grpcd.addService(HEALTH, { Check: (call, answer) => answer(null, health()) });
	}
	const credentials = secure
		? grpc.ServerCredentials.createSsl(null, [{ cert_chain: Buffer.from(pairs.server.cert), private_key: Buffer.from(pairs.server.key) }])
		: grpc.ServerCredentials.createInsecure();
	grpcd.port = await new Promise((yes, no) => grpcd.bindAsync('127.0.0.1:0', credentials, (error, n) => (error ? no(error) : yes(n))));
	return grpcd;
}

const Client = grpc.makeGenericClientConstructor(ECHO, 'Echo');

async function unary(text) {
	const client = new Client(new URL(gw.proxy).host, grpc.credentials.createInsecure());
	try {
		return await within(new Promise((yes, no) => client.Unary(Buffer.from(text),
			(error, value) => (error ? no(error) : yes(String(value))))), 'a gRPC call');
	} finally {
		client.close();
	}
}

const ROUTE = { name: 'grpc', paths: ['/test.Echo'], protocols: ['grpc'] };

check('grpcs services', async () => {
	const grpcd = await grpcServer({ secure: true });
	try {
		await gw.route({ name: 'g', url: `grpcs://localhost:${grpcd.port}` }, ROUTE);
		assert.equal(await unary('hello'), `${grpcd.port}:hello`);
	} finally {
		await gw.clear();
		grpcd.forceShutdown();
	}
});

const ACTIVE = {
	healthy: { interval: 0.1, successes: 1 },
	unhealthy: { interval: 0.1, http_failures: 1, tcp_failures: 1, timeouts: 1 },
};

async function health(name) {
	const { json } = await gw.admin('GET', `/upstreams/${name}/health`);
	return Object.fromEntries(json.data.map((t) => [t.target, t.health]));
}

for (const type of ['grpc', 'grpcs']) {
	check(`active checks of type ${type}`, async () => {
		const secure = type === 'grpcs';
		let state = SERVING;
		const [asked, silent] = [
			await grpcServer({ secure, health: () => state }),
			await grpcServer({ secure }), /* without the health service: it is there */
		];
		const [one, two] = [asked, silent].map((s) => `127.0.0.1:${s.port}`);
		const name = `up-${type}`;
		try {
			await gw.make('/upstreams', { name, healthchecks: { active: { type, https_verify_certificate: false, ...ACTIVE } } });
			for (const target of [one, two]) {
				await gw.make(`/upstreams/${name}/targets`, { target });
			}
			await gw.route({ name: 'g', url: `${type}://${name}` }, ROUTE);
			assert.match(await unary('x'), /:x$/);
			state = NOT_SERVING;
			await until(async () => (await health(name))[one] === 'UNHEALTHY', 'it says that it does not serve');
			assert.equal((await health(name))[two], 'HEALTHY');
			assert.equal(await unary('x'), `${silent.port}:x`);
			state = SERVING;
			await until(async () => (await health(name))[one] === 'HEALTHY', 'it serves again');
			silent.forceShutdown();
			await until(async () => (await health(name))[two] === 'UNHEALTHY', 'the other is gone');
			assert.equal(await unary('x'), `${asked.port}:x`);
		} finally {
			await gw.clear();
			asked.forceShutdown();
			silent.forceShutdown();
		}
	});
}
