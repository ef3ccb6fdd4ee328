/*
 * lib - what the benchmarks share: processes, their CPU and memory, wrk, tables
 *
 * Everything that is started here runs on loopback and keeps its files in `dir`; cleanUp()
 * ends what was started, by process id, and removes the folder.
 */
import { spawn } from 'node:child_process';
import {
	chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createServer } from 'node:net';
import { cpus, tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const BIN = process.env.POSTHOUSE_BIN ?? join(root, 'build/posthouse');
export const dir = mkdtempSync(join(tmpdir(), 'posthouse-bench-'));
/* Workers of proxies and their temporary folders: whoever they run as must get in. */
chmodSync(dir, 0o755);

export const machine = () => `${cpus().length} cores (${cpus()[0].model}), ${Math.round(totalmem() / 2 ** 30)} GiB`;

/* ---- processes ---- */

const children = new Set();

export function start(command, args, { ready, env = {} } = {}) {
	const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
	children.add(child);
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
		child.on('exit', (code) => {
			children.delete(child);
			no(new Error(`${command} ended with ${code}: ${child.text}`));
		});
		child.on('error', no);
	});
	seen.catch(() => {});
	return ready ? seen : Promise.resolve(child);
}

/* A command that ends by itself, or is ended after so many seconds: its output. */
export function run(command, args, seconds) {
	return new Promise((yes, no) => {
		const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
		children.add(child);
		const late = setTimeout(() => child.kill('SIGKILL'), seconds * 1000);
		let text = '';
		child.stdout.on('data', (d) => { text += d; });
		child.stderr.on('data', (d) => { text += d; });
		child.on('error', no);
		child.on('close', (code, signal) => {
			clearTimeout(late);
			children.delete(child);
			if (code === 0) {
				yes(text);
			} else {
				no(new Error(`${command} ended with ${code ?? signal}: ${text}`));
			}
		});
	});
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

/* Ends a child with the processes that it started, and waits for it. */
export async function stop(child) {
	if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) {
		return;
	}
	const ended = new Promise((yes) => child.once('exit', yes));
	for (const pid of family(child.pid)) {
		try {
			process.kill(Number(pid), 'SIGKILL');
		} catch {
			/* It has just ended. */
		}
	}
	await ended;
}

export async function cleanUp() {
	await Promise.all([...children].map(stop));
	rmSync(dir, { recursive: true, force: true });
}

/* Wherever the program ends: without a wait, and only what is left. */
process.on('exit', () => {
	for (const child of children) {
		child.kill('SIGKILL');
	}
	rmSync(dir, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
	process.once(signal, () => cleanUp().finally(() => process.exit(1)));
}

/* ---- figures of processes ---- */

/* Microseconds of CPU of these processes and all their children. */
export function cpuMicros(pids) {
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

function sumOf(pids, file, field) {
	let kib = 0;
	for (const pid of new Set(pids.flatMap(family))) {
		try {
			kib += Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/${file}`, 'utf8'))[1]);
		} catch {
			/* It has just ended. */
		}
	}
	return kib / 1024;
}

/* MiB, of /proc/PID/status: VmRSS, VmHWM … */
export const memory = (pids, field) => sumOf(pids, 'status', field);
/* MiB, shared pages counted by their share, of /proc/PID/smaps_rollup: Pss, Pss_Anon … */
export const share = (pids, field) => sumOf(pids, 'smaps_rollup', field);

/* ---- network ---- */

export async function freePort() {
	return await new Promise((yes) => {
		const server = createServer().listen(0, '127.0.0.1', () => {
			const { port } = server.address();
			server.close(() => yes(port));
		});
	});
}

/* One request on a connection of its own. */
export function fetchOnce(url, { method = 'GET', headers = {}, body } = {}) {
	return new Promise((yes, no) => {
		const request = url.startsWith('https:') ? httpsRequest : httpRequest;
		const r = request(url, { method, headers, agent: false, rejectUnauthorized: false, timeout: 10_000 }, (reply) => {
			const parts = [];
			reply.on('data', (d) => parts.push(d));
			reply.on('end', () => yes({ status: reply.statusCode, headers: reply.headers, body: Buffer.concat(parts) }));
			reply.on('error', no);
		});
		r.on('timeout', () => r.destroy(new Error(`${url}: no answer`)));
		r.on('error', no);
		r.end(body);
	});
}

/* Waits until the URL answers 200. */
export async function reachable(url, { headers, child } = {}) {
	let last = 'no answer';
	for (let i = 0; i < 200; i++) {
		if (child && child.exitCode !== null) {
			throw new Error(`${child.spawnfile} ended with ${child.exitCode}: ${child.text}`);
		}
		try {
			const reply = await fetchOnce(url, { headers });
			if (reply.status === 200) {
				return reply;
			}
			last = `${reply.status} ${reply.body}`;
		} catch (e) {
			last = e.message;
		}
		await new Promise((yes) => setTimeout(yes, 50));
	}
	throw new Error(`${url} does not answer: ${last}\n${child?.text ?? ''}`);
}

/* ---- nginx, as target and as contestant ---- */

export async function nginx(name, http, { program = 'nginx', connections = 20000 } = {}) {
	const conf = join(dir, `${name}.conf`);
	writeFileSync(conf, `
daemon off; master_process off; pid ${dir}/${name}.pid; error_log stderr crit;
worker_rlimit_nofile 20000;
events { worker_connections ${connections}; }
http {
	access_log off; client_body_temp_path ${dir}/${name}-body; proxy_temp_path ${dir}/${name}-proxy;
	fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
	sendfile on; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 600s; client_max_body_size 0;
	client_body_buffer_size 128k; open_file_cache max=100; default_type application/octet-stream;
	${http}
}`);
	return await start(program, ['-c', conf, '-p', dir]);
}

/* Files of these names and sizes behind one worker. */
export async function startTarget(sizes, locations = () => '') {
	const files = join(dir, 'files');
	mkdirSync(files);
	for (const [name, size] of Object.entries(sizes)) {
		writeFileSync(join(files, name), Buffer.alloc(size, 'x'));
	}
	const port = await freePort();
	/* A copy of the program: nginx as contestant must not share its pages. */
	const program = join(dir, 'target-nginx');
	copyFileSync((await run('sh', ['-c', 'command -v nginx'], 10)).trim(), program);
	const child = await nginx('target', `server {
		listen 127.0.0.1:${port}; root ${files};
		${locations(port)}
		location / { }
	}`, { program });
	await reachable(`http://127.0.0.1:${port}/${Object.keys(sizes)[0]}`, { child });
	return { port, pid: child.pid };
}

/* ---- load ---- */

const DONE = `
function done(summary, latency)
	local e = summary.errors
	io.write(string.format('\\nfigures {"requests":%d,"micros":%d,"bad":%d,"errors":%d,"p50":%d,"p99":%d,"p999":%d}\\n',
		summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
		latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
`;
let scripts = 0;

/* Loads the URL with one thread of wrk; script: Lua that goes before. Times in ms. */
export async function wrk(url, { connections, seconds, headers = {}, script = '' }) {
	const file = join(dir, `wrk-${++scripts}.lua`);
	writeFileSync(file, script + DONE);
	const fields = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
	const text = await run('wrk', ['-t1', `-c${connections}`, `-d${seconds}s`, '-s', file, ...fields, url], seconds + 30);
	const f = JSON.parse(/^figures (.*)$/m.exec(text)[1]);
	if (f.requests === 0 || f.bad > 0) {
		const what = f.requests === 0 ? `no answer in ${seconds} s` : `${f.bad} of ${f.requests} answers were errors`;
		throw new Error(`${url}: ${what}\n${text}`);
	}
	return {
		requests: f.requests, errors: f.errors, rate: (f.requests * 1e6) / f.micros,
		p50: f.p50 / 1e3, p99: f.p99 / 1e3, p999: f.p999 / 1e3,
	};
}

function percentile(sorted, percent) {
	return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))];
}

/* h2load prints no percentiles: they come from its log (start, status, microseconds). */
export async function h2load(url, { connections, streams, seconds }) {
	const log = join(dir, 'h2load.log');
	rmSync(log, { force: true });
	const text = await run('h2load', ['-t1', `-c${connections}`, `-m${streams}`, `-D${seconds}`, `--log-file=${log}`,
		url], seconds + 30);
	if (!/^Application protocol: h2$/m.test(text)) {
		throw new Error(`${url}: not over HTTP/2\n${text}`);
	}
	const [, succeeded, failed, errored, late] =
		/(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/.exec(text).map(Number);
	const ok = Number(/status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx/.exec(text)?.[1] ?? 0);
	if (ok === 0 || failed + errored + late > 0) {
		throw new Error(`${url}: not all answers were 2xx\n${text}`);
	}
	const rate = Number(/, ([\d.]+) req\/s/.exec(text)[1]);
	const times = readFileSync(log, 'utf8').trimEnd().split('\n').map((l) => Number(l.split('\t')[2]) / 1e3);
	times.sort((a, b) => a - b);
	return {
		requests: succeeded, errors: 0, rate,
		p50: percentile(times, 50), p99: percentile(times, 99), p999: percentile(times, 99.9),
	};
}

/* What load(contestant) says, with the CPU per request and the peak memory of the contestant's processes. */
export async function measure(contestant, load) {
	const before = cpuMicros(contestant.pids);
	const figures = await load(contestant);
	const cpu = (cpuMicros(contestant.pids) - before) / figures.requests;
	return { ...figures, cpu, peak: memory(contestant.pids, 'VmHWM') };
}

/* All contestants in turn, several rounds: their medians. */
export async function inTurn(title, contestants, rounds, one) {
	const results = new Map(contestants.map((c) => [c, []]));
	for (let round = 0; round < rounds; round++) {
		for (const c of contestants) {
			process.stderr.write(`  ${title}: round ${round + 1} of ${rounds}, ${c.name}\n`);
			results.get(c).push(await one(c));
		}
	}
	return contestants.map((c) => ({ name: c.name, ...medians(results.get(c)) }));
}

/* ---- tables ---- */

export function median(list) {
	const sorted = [...list].sort((a, b) => a - b);
	const half = Math.floor(sorted.length / 2);
	return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
export const medians = (rows) => Object.fromEntries(Object.keys(rows[0]).map((k) => [k, median(rows.map((r) => r[k]))]));

export function print(title, rows, columns) {
	const lines = [columns.map((c) => c[0]), ...rows.map((r) => columns.map((c) => String(c[1](r))))];
	const width = columns.map((_, i) => Math.max(3, ...lines.map((l) => l[i].length)));
	console.log(`\n${title}\n`);
	lines.forEach((l, n) => {
		console.log(`| ${l.map((cell, i) => (i ? cell.padStart(width[i]) : cell.padEnd(width[i]))).join(' | ')} |`);
		if (n === 0) {
			console.log(`|${width.map((w, i) => (i ? `${'-'.repeat(w + 1)}:` : '-'.repeat(w + 2))).join('|')}|`);
		}
	});
}
