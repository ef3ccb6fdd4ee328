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
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, cpus, totalmem } from 'node:os';
import { join, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
	options: {
		seconds: { type: 'string', default: '6' },
		rounds: { type: 'string', default: '3' },
		idle: { type: 'string', default: '10000' },
		loops: { type: 'string', default: '1' },
		only: { type: 'string' },
		json: { type: 'boolean', default: false },
	},
});
const SECONDS = Number(options.seconds);
const ROUNDS = Number(options.rounds);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const BIN = process.env.POSTHOUSE_BIN ?? join(root, 'build/posthouse');
const dir = mkdtempSync(join(tmpdir(), 'posthouse-bench-'));
const children = [];

/* ---- processes ---- */

function start(command, args, { ready, env = {} } = {}) {
	const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
	children.push(child);
	child.text = '';
	const seen = new Promise((yes, no) => {
		const look = (data) => {
			child.text = (child.text + data).slice(-4096);
			if (ready?.test(child.text)) {
				yes(child);
			}
		};
		child.stdout.on('data', look);
		child.stderr.on('data', look);
		child.on('exit', (code) => no(new Error(`${command} ended with ${code}: ${child.text}`)));
		child.on('error', no);
	});
	seen.catch(() => {});
	return ready ? seen : Promise.resolve(child);
}

function family(pid) {
	const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
	const parent = new Map();
	for (const p of all) {
		try {
			parent.set(p, /^\d+ \(.*\) \S (\d+)/s.exec(readFileSync(`/proc/${p}/stat`, 'utf8'))[1]);
		} catch {
			/* It has just ended. */
		}
	}
	const found = new Set([String(pid)]);
	for (let grew = true; grew;) {
		grew = false;
		for (const [p, pp] of parent) {
			if (found.has(pp) && !found.has(p)) {
				found.add(p);
				grew = true;
			}
		}
	}
	return [...found];
}

/* Microseconds of CPU of these processes and all their children. */
function cpuMicros(pids) {
	let ns = 0;
	for (const pid of new Set(pids.flatMap(family))) {
		try {
			for (const task of readdirSync(`/proc/${pid}/task`)) {
				ns += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
			}
		} catch {
			/* It has just ended. */
		}
	}
	return ns / 1000;
}

function memory(pids, field) {
	let kib = 0;
	for (const pid of new Set(pids.flatMap(family))) {
		try {
			kib += Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
		} catch {
			/* It has just ended. */
		}
	}
	return kib / 1024;
}

async function freePort() {
	return await new Promise((yes) => {
		const server = createServer().listen(0, '127.0.0.1', () => {
			const { port } = server.address();
			server.close(() => yes(port));
		});
	});
}

async function reachable(url) {
	for (let i = 0; i < 200; i++) {
		try {
			const reply = await fetch(url);
			await reply.arrayBuffer();
			if (reply.ok) {
				return;
			}
		} catch {
			/* Not yet. */
		}
		await new Promise((yes) => setTimeout(yes, 50));
	}
	throw new Error(`${url} does not answer`);
}

/* ---- contestants ---- */

async function nginx(name, port, locations) {
	const conf = join(dir, `${name}.conf`);
	writeFileSync(conf, `
daemon off; master_process off; pid ${dir}/${name}.pid; error_log stderr crit;
worker_rlimit_nofile 30000;
events { worker_connections 20000; }
http {
	access_log off; client_body_temp_path ${dir}/${name}-body; proxy_temp_path ${dir}/${name}-proxy;
	fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
	sendfile on; tcp_nodelay on; keepalive_requests 100000000; client_max_body_size 0;
	client_body_buffer_size 128k; open_file_cache max=100; default_type application/octet-stream;
	${locations(port)}
}`);
	const child = await start('nginx', ['-c', conf, '-p', dir]);
	await reachable(`http://127.0.0.1:${port}/1k`);
	return child.pid;
}

async function startTarget() {
	const files = join(dir, 'files');
	mkdirSync(files);
	/* Workers of nginx and their temporary folders: whoever they run as must get in. */
	chmodSync(dir, 0o755);
	writeFileSync(join(files, '1k'), Buffer.alloc(1024, 'x'));
	writeFileSync(join(files, '100m'), Buffer.alloc(100 << 20, 'y'));
	const port = await freePort();
	const pid = await nginx('target', port, (p) => `server {
		listen 127.0.0.1:${p}; root ${files};
		location = /post { proxy_pass http://127.0.0.1:${p}/sink; proxy_http_version 1.1; }
		location = /sink { return 200 "ok"; }
		location / { }
	}`);
	return { port, pid };
}

async function startProxy(target) {
	const port = await freePort();
	const pid = await nginx('proxy', port, (p) => `
	upstream target { server 127.0.0.1:${target.port}; keepalive 256; keepalive_requests 100000000; }
	server {
		listen 127.0.0.1:${p};
		location / { proxy_pass http://target; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}`);
	return { base: `http://127.0.0.1:${port}`, pids: [pid] };
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

async function startPosthouse(target, loops) {
	const data = join(dir, 'data');
	mkdirSync(data, { recursive: true });
	const config = join(dir, 'posthouse.yaml');
	const listen = ['127.0.0.1:0'];
	writeFileSync(config, JSON.stringify({
		data, loops, log_level: 'warn',
		relay: { listen, bodies: `file:${data}`, connections_max: 65536, max_request_body_size: '1GiB', max_response_body_size: '1GiB' },
		identity: { listen }, status: { listen },
	}));
	const server = await start(BIN, ['serve', '--config', config], { ready: /ready .*\n/ });
	const base = /relay=(\S+?)[ ,\n]/.exec(server.text)[1];
	const { secret } = JSON.parse(execFileSync(BIN, ['tenant', 'add', 'bench', '--json', '--config', config]));
	const connector = await start(BIN, ['connect', '--server', base, '--tenant', 'bench', '--secret', secret,
		'--target', `web=http://127.0.0.1:${target.port}/`], { ready: /ready/ });
	await reachable(`${base}/relay/bench/web/1k`);
	return { base: `${base}/relay/bench/web`, relay: base, secret, server: server.pid, pids: [server.pid, connector.pid] };
}

/* ---- loads ---- */

function wrk(url, connections, script) {
	return new Promise((yes, no) => {
		const args = ['-t1', `-c${connections}`, `-d${SECONDS}s`, '--latency', ...(script ? ['-s', script] : []), url];
		const child = spawn('wrk', args, { stdio: ['ignore', 'pipe', 'inherit'] });
		let text = '';
		child.stdout.on('data', (d) => { text += d; });
		child.on('error', no);
		child.on('exit', () => yes(text));
	});
}

const unit = { us: 1e-3, ms: 1, s: 1e3, m: 6e4 };
function latency(text, percent) {
	const [, v, u] = new RegExp(`\\s${percent}%\\s+([\\d.]+)(us|ms|s|m)`).exec(text);
	return Number(v) * unit[u];
}

async function measure(contestant, path, connections, script) {
	const before = cpuMicros(contestant.pids);
	const text = await wrk(contestant.base + path, connections, script);
	const cpu = cpuMicros(contestant.pids) - before;
	const requests = Number(/(\d+) requests in/.exec(text)[1]);
	const bad = Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0);
	const seconds = Number(/requests in ([\d.]+)s/.exec(text)[1]);
	if (requests === 0 || bad > 0) {
		throw new Error(`${contestant.name} ${path}: ${bad} of ${requests} requests failed\n${text}`);
	}
	return {
		rate: requests / seconds, p50: latency(text, 50), p99: latency(text, 99), cpu: cpu / requests,
		peak: memory(contestant.pids, 'VmHWM'),
	};
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const medians = (rows) => Object.fromEntries(Object.keys(rows[0]).map((k) => [k, median(rows.map((r) => r[k]))]));

function print(title, rows, columns) {
	const lines = [columns.map((c) => c[0]), ...rows.map((r) => columns.map((c) => String(c[1](r))))];
	const width = columns.map((_, i) => Math.max(...lines.map((l) => l[i].length)));
	console.log(`\n${title}\n`);
	lines.forEach((l, n) => {
		console.log(`| ${l.map((cell, i) => (i ? cell.padStart(width[i]) : cell.padEnd(width[i]))).join(' | ')} |`);
		if (n === 0) {
			console.log(`|${width.map((w) => '-'.repeat(w + 2)).join('|')}|`);
		}
	});
}

async function compare(title, contestants, path, connections, script) {
	const results = new Map(contestants.map((c) => [c, []]));
	for (let round = 0; round < ROUNDS; round++) {
		for (const c of contestants) {
			process.stderr.write(`  ${title}: round ${round + 1} of ${ROUNDS}, ${c.name}\n`);
			results.get(c).push(await measure(c, path, connections, script));
		}
	}
	const rows = contestants.map((c) => ({ name: c.name, ...medians(results.get(c)) }));
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
	const before = memory([posthouse.server], 'VmRSS');
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
	const after = memory([posthouse.server], 'VmRSS');
	sockets.forEach((ws) => ws.terminate());
	return ((after - before) * 1024) / n;
}

/* ---- */

async function main() {
	console.log(`Posthouse relay benchmark: ${cpus().length} cores (${cpus()[0].model}), ` +
		`${Math.round(totalmem() / 2 ** 30)} GiB, ${ROUNDS} rounds of ${SECONDS} s, medians; ` +
		`client, proxies and target share the cores.`);
	const target = await startTarget();
	const direct = { name: 'nginx alone', base: `http://127.0.0.1:${target.port}`, pids: [target.pid] };
	const proxy = { name: 'nginx proxy', ...(await startProxy(target)) };
	const ssh = { name: 'OpenSSH -R', ...(await startSsh(target)) };
	const posthouse = { name: 'Posthouse', ...(await startPosthouse(target, Number(options.loops))) };
	const post = join(dir, 'post.lua');
	writeFileSync(post, 'wrk.method = "POST"\nwrk.body = string.rep("z", 65536)\n');
	const all = [direct, proxy, ssh, posthouse];
	const wanted = (name) => !options.only || options.only.split(',').includes(name);

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
	if (wanted('idle') && Number(options.idle) > 0) {
		const kib = await idleConnectors(posthouse, Number(options.idle));
		console.log(`\n${options.idle} idle connectors: ${kib.toFixed(1)} KiB of server memory each.`);
	}
}

try {
	await main();
} finally {
	for (const child of children.reverse()) {
		child.removeAllListeners('exit');
		child.kill('SIGKILL');
	}
	rmSync(dir, { recursive: true, force: true });
}
