/*
 * server - a `posthouse serve` of its own, on free ports, in a folder of its own
 *
 *	const server = await Server.start({ relay: { request_expiration: '2s' } });
 *	const secret = await server.addTenant('T1');
 *	await fetch(`${server.relay}/relay/T1/web/`);
 *	await server.stop();
 *
 * With a section `gateway` that role runs, too: `server.gateway` and `server.admin`.
 *
 * POSTHOUSE_TEST_PG=postgres://… runs the same tests on PostgreSQL: each server gets
 * a database of its own there.
 */
import { mkdtemp, readdir, rm, writeFile, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { Child, execute, run, takeOver } from './process.mjs';
import { until } from './check.mjs';

const PG = process.env.POSTHOUSE_TEST_PG;
export const ENGINE = PG ? 'postgres' : 'sqlite';

export const KEYS = { read: 'read-key', write: 'write-key', readwrite: 'readwrite-key' };
const API_KEYS = Object.entries(KEYS).map(([may, key]) => ({ key, may }));

/* Short, so that no test waits for a default of minutes. */
const DEFAULTS = {
	relay: {
		request_expiration: '10s',
		reconnect_minimum_delay: '1s',
		reconnect_maximum_delay: '1s',
		tenant_info_cache_duration: '100ms',
		request_logger_level: 'all',
		max_request_body_size: '64MiB',
	},
	identity: {},
	management: { api_keys: API_KEYS },
	statistics: { api_keys: API_KEYS },
	status: {},
};

export class Server {
	static async start(options = {}) {
		const server = new Server();
		server.dir = await mkdtemp(join(tmpdir(), 'posthouse-'));
		server.bodies = join(server.dir, 'bodies');
		server.database = await newDatabase(server.dir);
		server.env = options.env ?? {};
		server.config = join(server.dir, 'posthouse.yaml');
		server.options = options;
		await server.configure({});
		await server.launch();
		return server;
	}

	/* Writes the configuration; the addresses of an earlier run are kept. */
	async configure(changes) {
		for (const [section, values] of Object.entries(changes)) {
			this.options[section] = { ...this.options[section], ...values };
		}
		/* Few sessions: test files run side by side on one PostgreSQL. */
		const config = { database: this.database, data: this.dir, database_connections: 4 };
		for (const [role, defaults] of Object.entries(DEFAULTS)) {
			const listen = this[role] ? new URL(this[role]).host : '127.0.0.1:0';
			config[role] = { listen: [listen], ...defaults, ...this.options[role] };
		}
		if (this.options.gateway) {
			const free = '127.0.0.1:0';
			config.gateway = { listen: [free], admin: [{ listen: free }], ...this.options.gateway };
		}
		config.relay.bodies ??= `file:${this.bodies}`;
		if (config.relay.authority) {
			delete config.identity;
		}
		/* JSON is YAML. */
		await writeFile(this.config, JSON.stringify(config, null, 2));
	}

	async launch() {
		await rm(this.bodies, { recursive: false }).catch(() => {});
		await execute('mkdir', ['-p', this.bodies]);
		this.child = new Child('server', ['serve', '--config', this.config], { env: this.env });
		const line = await this.child.line(/(^|\s)ready /);
		for (const [, role, url] of line.matchAll(/(\w+)=(https?:\/\/[^\s,]+)/g)) {
			this[role] = url.replace(/\/$/, '');
		}
	}

	async stop() {
		const end = await this.child.stop();
		if (end.code !== 0) {
			throw new Error(`server ended with ${end.code ?? end.signal}\n${this.child.story()}`);
		}
	}

	kill() {
		return this.child.kill();
	}

	/* Same configuration, same ports. */
	async restart(changes = {}) {
		if (this.child.isRunning) {
			await this.stop();
		}
		await this.configure(changes);
		await this.launch();
	}

	/* SIGUSR2: resolves when the heir is ready, which `this` goes on as. */
	async takeOver() {
		await this.configure({}); /* the ports it has */
		this.child = await takeOver(this.child);
	}

	async close() {
		if (this.child.isRunning) {
			await this.stop();
		}
		await rm(this.dir, { recursive: true, force: true });
	}

	/* Returns the secret. The command works beside the running server. */
	async addTenant(name, { secret, ...settings } = {}) {
		const args = ['tenant', 'add', name, '--json', '--config', this.config];
		if (secret !== undefined) {
			args.push('--secret', secret);
		}
		const { code, stdout, stderr } = await run(args, { env: this.env });
		if (code !== 0) {
			throw new Error(`tenant add ended with ${code}: ${stdout}${stderr}`);
		}
		if (Object.keys(settings).length > 0) {
			await this.manage('PUT', `/management/tenants/${name}`, settings);
		}
		return JSON.parse(stdout).secret;
	}

	async manage(method, path, body, key = KEYS.readwrite) {
		const headers = key ? { 'Api-Key': key } : {};
		if (body !== undefined) {
			headers['Content-Type'] = 'application/json';
		}
		return await fetch(this.management + path, {
			method, headers, body: body === undefined ? undefined : JSON.stringify(body),
		});
	}

	/* A further secret of a tenant. */
	async newSecret(tenant, settings = {}) {
		const reply = await this.manage('POST', `/management/tenants/${tenant}/secrets`, settings);
		if (!reply.ok) {
			throw new Error(`a secret for ${tenant}: ${reply.status}`);
		}
		return (await reply.json()).secret;
	}

	async stats(path) {
		const reply = await fetch(this.statistics + path, { headers: { 'Api-Key': KEYS.read } });
		if (reply.status !== 200) {
			throw new Error(`${path} answered ${reply.status}`);
		}
		return await reply.json();
	}

	async discovery() {
		return await (await fetch(`${this.relay}/.well-known/relayserver-configuration`)).json();
	}

	/* A connector's token from the endpoint that discovery names. */
	async token(tenant, secret) {
		const { authorizationTokenEndpoint } = await this.discovery();
		const reply = await fetch(authorizationTokenEndpoint, {
			method: 'POST',
			headers: { Authorization: basic(tenant, secret) },
			body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'connector' }),
		});
		if (reply.status !== 200) {
			throw new Error(`token endpoint answered ${reply.status}: ${await reply.text()}`);
		}
		return (await reply.json()).access_token;
	}

	/* All samples as a map from "name{labels}" to number. */
	async metrics() {
		const text = await (await fetch(`${this.status}/metrics`)).text();
		return new Map(text.split('\n').filter((l) => l && !l.startsWith('#')).map((l) => {
			const at = l.lastIndexOf(' ');
			return [l.slice(0, at), Number(l.slice(at + 1))];
		}));
	}

	/* Sum of a metric's samples whose labels match. */
	async metric(name, labels = /(?:)/) {
		let sum = 0;
		let found = false;
		for (const [key, value] of await this.metrics()) {
			if (key.split('{')[0] === name && labels.test(key)) {
				sum += value;
				found = true;
			}
		}
		if (!found && labels.source === '(?:)') {
			throw new Error(`no metric ${name}`);
		}
		return sum;
	}

	async connections(n) {
		await until(async () => await this.metric('posthouse_relay_connections') === n,
			`${n} connectors are connected`);
	}

	/* Names of body files that exist now. */
	async bodyFiles() {
		return (await readdir(this.bodies)).filter((name) => !name.startsWith('.'));
	}

	async noBodyFiles() {
		await until(async () => (await this.bodyFiles()).length === 0, 'the body store is empty');
	}

	/* Open descriptors and resident bytes of the process. */
	async footprint() {
		const status = await readFile(`/proc/${this.child.pid}/status`, 'utf8');
		return {
			fds: (await readdir(`/proc/${this.child.pid}/fd`)).length,
			rss: Number(/VmRSS:\s+(\d+)/.exec(status)[1]) * 1024,
		};
	}
}

/* RFC 3986 encoding with + for a blank, as the .NET connector does it. */
export function formEncode(text) {
	return encodeURIComponent(text)
		.replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
		.replace(/%20/g, '+');
}

export function basic(name, secret) {
	const pair = `${formEncode(name)}:${formEncode(secret)}`;
	return `Basic ${Buffer.from(pair).toString('base64')}`;
}

/* The URL of an empty one: a file in `dir`, or one more on the PostgreSQL server. */
export async function newDatabase(dir) {
	if (!PG) {
		return `sqlite:${join(dir, 'posthouse.db')}`;
	}
	const name = `system_${randomBytes(6).toString('hex')}`;
	await execute('psql', ['-qX', '-v', 'ON_ERROR_STOP=1', '-c', `CREATE DATABASE ${name}`, PG]);
	/* A URL with a socket folder has no host, so it is not one for `new URL`. */
	return PG.replace(/^(postgres(?:ql)?:\/\/[^/]*)\/[^?]*/, `$1/${name}`);
}
