/*
 * idp - an OIDC provider of our own, to make any token, also wrong ones
 */
import http from 'node:http';
import { createHmac, createSign, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';

const b64 = (data) => Buffer.from(data).toString('base64url');
export const now = () => Math.floor(Date.now() / 1000);

export class Key {
	constructor(kid, alg = 'RS256') {
		this.kid = kid;
		this.alg = alg;
		const pair = alg === 'ES256'
			? generateKeyPairSync('ec', { namedCurve: 'P-256' })
			: generateKeyPairSync('rsa', { modulusLength: 2048 });
		this.private = pair.privateKey;
		this.public = pair.publicKey;
	}

	get jwk() {
		return { ...this.public.export({ format: 'jwk' }), kid: this.kid, alg: this.alg, use: 'sig' };
	}

	get pem() {
		return this.public.export({ type: 'spki', format: 'pem' });
	}

	sign(text) {
		const key = this.alg === 'ES256' ? { key: this.private, dsaEncoding: 'ieee-p1363' } : this.private;
		return createSign('SHA256').update(text).sign(key).toString('base64url');
	}
}

export class Idp {
	static async start({ path = '/realms/r', keys = [new Key('k1')] } = {}) {
		const idp = new Idp();
		idp.keys = keys;
		idp.keyFetches = 0;
		idp.issued = [];
		/* What changes in the claims of tokens given out for credentials. */
		idp.changes = () => ({});
		idp.server = http.createServer((req, res) => idp.answer(req, res));
		idp.server.listen(0, '127.0.0.1');
		await once(idp.server, 'listening');
		/* Without a slash at the end, as people configure it. */
		idp.authority = `http://127.0.0.1:${idp.server.address().port}${path}`;
		idp.issuer = idp.authority;
		return idp;
	}

	answer(req, res) {
		const documents = {
			'/.well-known/openid-configuration': () => ({
				issuer: this.issuer,
				jwks_uri: `${this.authority}/certs`,
				token_endpoint: `${this.authority}/token`,
			}),
			'/certs': () => {
				this.keyFetches += 1;
				return { keys: this.keys.map((key) => key.jwk) };
			},
			'/token': () => {
				this.issued.push(this.token('T1', this.changes()));
				return { access_token: this.issued.at(-1), token_type: 'Bearer', expires_in: 300 };
			},
		};
		const path = new URL(req.url, this.authority).href.slice(this.authority.length);
		req.resume();
		res.statusCode = documents[path] ? 200 : 404;
		res.setHeader('Content-Type', 'application/json');
		res.end(JSON.stringify(documents[path]?.() ?? {}));
	}

	claims(tenant, changes = {}) {
		return {
			iss: this.issuer, aud: 'relayserver', scope: 'connector', client_id: tenant, sub: tenant,
			iat: now(), nbf: now(), exp: now() + 300, ...changes,
		};
	}

	token(tenant, changes = {}, { key = this.keys[0], header = {} } = {}) {
		const head = b64(JSON.stringify({ alg: key.alg, typ: 'JWT', kid: key.kid, ...header }));
		const body = b64(JSON.stringify(this.claims(tenant, changes)));
		return `${head}.${body}.${key.sign(`${head}.${body}`)}`;
	}

	/* RS256's public key taken as the secret of HS256. */
	confused(tenant) {
		const key = this.keys[0];
		const head = b64(JSON.stringify({ alg: 'HS256', typ: 'JWT', kid: key.kid }));
		const body = b64(JSON.stringify(this.claims(tenant)));
		const mac = createHmac('sha256', key.pem).update(`${head}.${body}`).digest('base64url');
		return `${head}.${body}.${mac}`;
	}

	unsigned(tenant, alg = 'none') {
		const head = b64(JSON.stringify({ alg, typ: 'JWT' }));
		return `${head}.${b64(JSON.stringify(this.claims(tenant)))}.`;
	}

	async close() {
		this.server.closeAllConnections();
		await new Promise((done) => this.server.close(done));
	}
}
