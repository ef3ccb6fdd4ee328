/* What a slow database holds up, and what not. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterEach } from 'node:test';
import { join } from 'node:path';
import { check, until, within } from './lib/check.mjs';
import { request } from './lib/client.mjs';
import { Gateway } from './lib/gateway.mjs';

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
