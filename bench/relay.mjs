/*
 * relay - what a relayed request costs, beside the tools people use today
 *
 * One run, one table: nginx alone, nginx as a reverse proxy, OpenSSH -R (with a
 * terminal: without one, Nagle's algorithm ruins it) and Posthouse server +
 * connector, all to the same target, one after the other, several rounds.
 * CPU is the scheduler's run time of all proxy processes, kernel work included:
 * the portable figure. Everything is on this machine, on loopback, and stops by itself.
 *
 *	make bench                 all of it, about five minutes
 *	bench/relay --seconds 3 --rounds 1 --idle 1000
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startRelay } from './contestants.mjs';
import {
	cleanUp, dir, freePort, inTurn, machine, measure, memory, nginx, print, reachable, start, startTarget, wrk,
} from './lib.mjs';
import { readOptions } from './options.mjs';

const options = readOptions('bench/relay', 'what a relayed request costs, beside nginx and OpenSSH', {
	only: { choices: ['get', 'post', 'download', 'idle'], doc: 'scenarios' },
	seconds: { default: 6, doc: 'of load a round' },
	rounds: { default: 3, doc: 'rounds, of which the median is told' },
	idle: { default: 10_000, min: 0, doc: 'connectors that do nothing' },
	loops: { default: 1, doc: 'event loops of the server' },
});
const { seconds: SECONDS, rounds: ROUNDS } = options;

/* ---- contestants ---- */

async function startFiles() {
	return await startTarget({ '1k': 1024, '100m': 100 << 20 }, (port) => `
		location = /post { proxy_pass http://127.0.0.1:${port}/sink; proxy_http_version 1.1; }
		location = /sink { return 200 "ok"; }`);
}

async function startProxy(target) {
	const port = await freePort();
	const base = `http://127.0.0.1:${port}`;
	const child = await nginx('proxy', `
	upstream target { server 127.0.0.1:${target.port}; keepalive 256; keepalive_requests 100000000; }
	server {
		listen 127.0.0.1:${port};
		location / { proxy_pass http://target; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}`);
	await reachable(`${base}/1k`, { child });
	return { base, pids: [child.pid] };
}

async function startSsh(target) {
	const [sshPort, port] = [await freePort(), await freePort()];
	const key = (name) => execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(dir, name)]);
	key('host');
	key('user');
	mkdirSync('/run/sshd', { recursive: true });
	writeFileSync(join(dir, 'sshd.conf'), `
Port ${sshPort}
ListenAddress 127.0.0.1
HostKey ${dir}/host
AuthorizedKeysFile ${dir}/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
MaxSessions 100
`);
	const daemon = await start('/usr/sbin/sshd', ['-D', '-e', '-f', join(dir, 'sshd.conf')], { ready: /listening/i });
	const client = await start('ssh', ['-tt', '-F', 'none', '-i', join(dir, 'user'), '-p', String(sshPort),
		'-o', 'StrictHostKeyChecking=no', '-o', `UserKnownHostsFile=${dir}/known`, '-o', 'LogLevel=ERROR',
		'-c', 'aes128-gcm@openssh.com', '-o', 'ExitOnForwardFailure=yes',
		'-R', `127.0.0.1:${port}:127.0.0.1:${target.port}`, '127.0.0.1', 'cat']);
	const base = `http://127.0.0.1:${port}`;
	await reachable(`${base}/1k`);
	return { base, pids: [daemon.pid, client.pid] };
}

/* ---- loads ---- */

async function compare(title, contestants, path, connections, script) {
	const load = (c) => wrk(c.base + path, { connections, seconds: SECONDS, script });
	const rows = await inTurn(title, contestants, ROUNDS, (c) => measure(c, load));
	const proxy = rows.find((r) => r.name === 'nginx proxy');
	print(title, rows, [
		['', (r) => r.name],
		['req/s', (r) => Math.round(r.rate)],
		['p50 ms', (r) => r.p50.toFixed(2)],
		['p99 ms', (r) => r.p99.toFixed(2)],
		['CPU µs/req', (r) => r.cpu.toFixed(1)],
		['of nginx proxy', (r) => (r.cpu / proxy.cpu).toFixed(2)],
		['peak MiB', (r) => r.peak.toFixed(1)],
	]);
	return rows;
}

/* ---- idle connectors ---- */

async function idleConnectors(posthouse, n) {
	const { default: WebSocket } = await import('ws');
	const reply = await fetch(`${posthouse.relay}/connect/token`, {
		method: 'POST',
		headers: { Authorization: `Basic ${Buffer.from(`bench:${encodeURIComponent(posthouse.secret)}`).toString('base64')}` },
		body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'connector' }),
	});
	const { access_token: token } = await reply.json();
	const url = `${posthouse.relay.replace('http', 'ws')}/connector`;
	const before = memory([posthouse.child.pid], 'VmRSS');
	const sockets = [];
	const open = () => new Promise((yes, no) => {
		const ws = new WebSocket(url, { headers: { Authorization: `Bearer ${token}` }, perMessageDeflate: false });
		ws.on('open', () => ws.send('{"protocol":"json","version":1}\x1e'));
		ws.once('message', () => yes(ws));
		ws.on('error', no);
		sockets.push(ws);
	});
	for (let i = 0; i < n; i += 200) {
		await Promise.all(Array.from({ length: Math.min(200, n - i) }, open));
	}
	const after = memory([posthouse.child.pid], 'VmRSS');
	sockets.forEach((ws) => ws.terminate());
	return ((after - before) * 1024) / n;
}

/* ---- */

async function main() {
	console.log(`Posthouse relay benchmark: ${machine()}, ${ROUNDS} rounds of ${SECONDS} s, medians; ` +
		`client, proxies and target share the cores.`);
	const target = await startFiles();
	const direct = { name: 'nginx alone', base: `http://127.0.0.1:${target.port}`, pids: [target.pid] };
	const proxy = { name: 'nginx proxy', ...(await startProxy(target)) };
	const ssh = { name: 'OpenSSH -R', ...(await startSsh(target)) };
	const posthouse = { name: 'Posthouse', ...(await startRelay(target, options.loops)) };
	const post = 'wrk.method = "POST"\nwrk.body = string.rep("z", 65536)\n';
	const all = [direct, proxy, ssh, posthouse];
	const wanted = (name) => options.only.includes(name);

	if (wanted('get')) {
		await compare('GET, 1 KiB answer, 64 keep-alive connections', all, '/1k', 64);
	}
	if (wanted('post')) {
		await compare('POST, 64 KiB body, 16 keep-alive connections', all, '/post', 16, post);
	}
	if (wanted('download')) {
		const rows = await compare('GET, 100 MiB answer, 4 connections', all, '/100m', 4);
		print('The same in volume', rows, [
			['', (r) => r.name],
			['MiB/s', (r) => Math.round(r.rate * 100)],
			['CPU s/GiB', (r) => ((r.cpu / 1e6) * 10.24).toFixed(2)],
		]);
	}
	if (wanted('idle') && options.idle > 0) {
		const kib = await idleConnectors(posthouse, options.idle);
		console.log(`\n${options.idle} idle connectors: ${kib.toFixed(1)} KiB of server memory each.`);
	}
}

try {
	await main();
} finally {
	await cleanUp();
}
