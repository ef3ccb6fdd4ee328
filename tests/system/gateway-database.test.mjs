/* What a database that is slow or hangs holds up, and what not. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach } from 'node:test';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { check, until, within } from './lib/check.mjs';
import { request } from './lib/client.mjs';
import { Gateway } from './lib/gateway.mjs';
import { execute } from './lib/process.mjs';

const things = [];
afterEach(async () => {
	while (things.length > 0) {
		await things.pop().close();
	}
});

async function start(sections) {
	const gw = await Gateway.start(sections);
	things.push(gw);
	return gw;
}

/* ---- another process writes ---- */

/* Holds the write lock until it is let go. */
async function lock(file) {
	const child = spawn('sqlite3', ['-batch', file], { stdio: ['pipe', 'pipe', 'inherit'] });
	const exited = once(child, 'exit');
	const close = async () => {
		child.stdin.end();
		await exited;
	};
	things.push({ close });
	child.stdin.write("BEGIN IMMEDIATE; SELECT 'held';\n");
	await within(once(child.stdout, 'data'), 'sqlite3 holds the lock');
	return close;
}

async function jobs(gw) {
	const { text } = await request(gw.status, '/metrics');
	const value = (name) => Number(new RegExp(`^posthouse_pool_${name}\\{pool="database"\\} (\\d+)`, 'm').exec(text)[1]);
	return value('busy') + value('queued');
}

check('writes that wait hold up neither reads nor probes', async () => {
	const gw = await start();
	const letGo = await lock(join(gw.dir, 'posthouse.db'));
	const writes = Array.from({ length: 12 }, async (_, i) => [i, await gw.admin('PUT', `/consumers/c${i}`, {})]);
	await until(async () => await jobs(gw) >= 12, 'all wait');
	const reads = [[gw.adminUrl, '/'], [gw.adminUrl, '/services'], [gw.adminUrl, '/status'], [gw.status, '/status'],
		[gw.status, '/status/ready'], [gw.status, '/health/ready']];
	for (const [url, path] of reads) {
		assert.equal((await request(url, path)).status, 200, path);
	}
	await letGo();
	for (const [i, { status }] of await Promise.all(writes)) {
		/* Who was on it for longer than a lock is waited for. */
		assert.ok(status === 200 || status === 503, `write ${i}: ${status}`);
		assert.equal((await gw.admin('GET', `/consumers/c${i}`)).status, status === 200 ? 200 : 404);
	}
});

/* ---- a server that hangs ---- */

class Postgres {
	stopped = [];

	static async start() {
		const { stdout } = await execute('tools/pg-start', ['--for', String(process.pid)]);
		const pg = new Postgres();
		[, pg.url, pg.dir] = /PG_URL=(.*)\nPG_DIR=(.*)/.exec(stdout);
		things.push(pg);
		return pg;
	}

	/* The first is the one that starts the others, and hears of their ends. */
	async hang() {
		const [postmaster] = /^\d+/.exec(await readFile(join(this.dir, 'data/postmaster.pid'), 'utf8'));
		process.kill(Number(postmaster), 'SIGSTOP');
		const children = await readFile(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8');
		this.stopped = [postmaster, ...children.match(/\d+/g) ?? []].map(Number);
		this.stopped.slice(1).forEach((pid) => process.kill(pid, 'SIGSTOP'));
	}

	goOn() {
		this.stopped.reverse().forEach((pid) => process.kill(pid, 'SIGCONT'));
		this.stopped = [];
	}

	async close() {
		this.goOn();
		await execute('tools/pg-stop', ['--kill', this.dir]);
	}
}

/* With sessions that are used: a fresh one would fail by the time for connecting. */
async function startOnPostgres() {
	const pg = await Postgres.start();
	const gw = await start({ database: pg.url, drain_timeout: '100ms' });
	await Promise.all(Array.from({ length: 16 }, () => gw.want(200, 'GET', '/services')));
	return { pg, gw };
}

check('a server that hangs is given up, and used again when it goes on', { timeout: 120_000 }, async () => {
	const { pg, gw } = await startOnPostgres();
	await pg.hang();
	const probes = ['/status/ready', '/health/ready'].map((path) => within(request(gw.status, path), path));
	assert.deepEqual((await Promise.all(probes)).map(({ status }) => status), [503, 503]);
	pg.goOn();
	await until(async () => (await request(gw.status, '/health/ready')).status === 200, 'it is ready again');
	/* Workers whose attempts to connect failed pause before the next one. */
	await until(async () => (await gw.admin('PUT', '/consumers/c', {})).status === 200, 'it is written again');
});

check('SIGTERM ends a process whose database hangs', { timeout: 120_000 }, async () => {
	const { pg, gw } = await startOnPostgres();
	await pg.hang();
	const read = gw.admin('GET', '/services').catch(() => {});
	await until(async () => await jobs(gw) > 0, 'a worker waits');
	gw.child.signal_('SIGTERM');
	assert.equal((await within(gw.child.exited, 'it ends', 40_000)).code, 0);
	await read;
});

check('a second SIGTERM ends it at once', { timeout: 120_000 }, async () => {
	const { pg, gw } = await startOnPostgres();
	await pg.hang();
	const read = gw.admin('GET', '/services').catch(() => {});
	await until(async () => await jobs(gw) > 0, 'a worker waits');
	gw.child.signal_('SIGTERM');
	await gw.child.line(/draining/);
	gw.child.signal_('SIGTERM');
	await within(gw.child.exited, 'it ends', 5000);
	await read;
});
