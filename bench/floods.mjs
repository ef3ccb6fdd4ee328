/*
 * floods - what one attacking connection does to the others: their p99, with the attack on their
 * gateway and with the same attack on another one
 *
 * A steady client sends at a fixed rate over TLS, far below saturation, while one attacker does
 * its worst, now to the client's gateway, now to another one: every half second in turn, so that
 * whatever else goes on is the same for both, and what differs is whose connections they are. The
 * client's gateway has one core, the other gateway the other one; the attacker takes mostly what
 * the client leaves there. For root the client and its gateway go before whatever else the machine
 * does.
 *
 *	bench/floods [--seconds 30] [--only WORDS]
 *
 * The interval of the ratio holds 95 of 100 ratios that the same slices give when they are drawn
 * again, with repetition. Exit code 1 when a request of the steady client failed.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FLOODS } from '../tests/system/lib/floods.mjs';
import { makeCertificate, startPosthouse } from './contestants.mjs';
import { cleanUp, cpuMicros, dir, fetchOnce, machine, memory, print, root, run, start, startTarget } from './lib.mjs';
import { readOptions } from './options.mjs';

const options = readOptions('bench/floods', 'what one attacking connection does to the others', {
	only: { text: 'WORDS', doc: 'the attacks whose name has these words in it' },
	seconds: { default: 30, min: 4, doc: 'of load with each attack' },
});
const { seconds: SECONDS } = options;
const CLIENTS = 16;
const RATE = 100;   /* a second and client */
const SLICE = 500;  /* ms that one of the gateways is attacked, then the other */
const SETTLE = 50;  /* ms of a slice that belong to the change */
const DRAWS = 1000;
const ATTACKS = [
	'requests, nothing else', ...Object.keys(FLOODS), 'windows that open a byte at a time', 'HTTP/1: heads that never end',
	'HTTP/1: heads of many lines', 'HTTP/1: chunks of a byte', 'TLS: handshakes',
];

/* Who is measured goes before all others, if we may; the attacker before the rest of the machine. */
const isRoot = process.getuid() === 0;
const FIRST = isRoot ? ['chrt', '-r', '1'] : ['env'];

/* ---- the steady client ---- */

/* Its requests: when they were sent (Unix time, ms), their status, how long they took (ms). */
async function steady(url) {
	const log = join(dir, 'steady.log');
	rmSync(log, { force: true }); /* h2load would add to it */
	const text = await run(FIRST[0], [...FIRST.slice(1), 'h2load', '--h1', '-t1', `-c${CLIENTS}`, `-D${SECONDS}`, '--warm-up-time=1', `--rps=${RATE}`,
		`--log-file=${log}`, url], SECONDS + 30);
	const rows = readFileSync(log, 'utf8').trim().split('\n').map((line) => {
		const [sent, status, took] = line.split('\t').map(Number);
		return { sent: sent / 1000, status, took: took / 1000 };
	});
	if (rows.length < CLIENTS * RATE * SECONDS / 2) {
		throw new Error(`the steady client was held up: ${rows.length} answers\n${text}`);
	}
	return rows;
}

/* ---- figures ---- */

const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * p) - 1)];

function of(slices, p) {
	return percentile(Float64Array.from(slices.flat()).sort(), p);
}

/* [own, other]: the times of each slice in which the client's gateway was attacked, or the other one. */
function inSlices(rows) {
	const slices = new Map();
	for (const { sent, took } of rows.filter((r) => r.sent % SLICE >= SETTLE)) {
		const n = Math.floor(sent / SLICE);
		slices.set(n, [...slices.get(n) ?? [], took]);
	}
	return [0, 1].map((side) => [...slices].filter(([n]) => n % 2 === side).map(([, times]) => times));
}

const drawn = (list) => list.map(() => list[Math.floor(Math.random() * list.length)]);

function interval(own, other) {
	const ratios = Array.from({ length: DRAWS }, () => of(drawn(own), 0.99) / of(drawn(other), 0.99)).sort((a, b) => a - b);
	return [percentile(ratios, 0.025), percentile(ratios, 0.975)];
}

/* How many turns of the loop took at most so many seconds, all before the start of this program included. */
async function turns(gateway) {
	const text = (await fetchOnce(`${gateway.status}/metrics`)).body.toString();
	return [...text.matchAll(/^posthouse_loop_turn_seconds_bucket{le="([^"]+)"} (\d+)$/gm)]
		.map(([, le, n]) => ({ le: le === '+Inf' ? Infinity : Number(le), n: Number(n) }));
}

/* The bound, in ms, below which that share of the turns between two looks was. */
function turnBound(before, after, p) {
	const grown = after.map(({ le, n }, i) => ({ le, n: n - before[i].n }));
	return 1000 * grown.find(({ n }) => n >= p * grown.at(-1).n).le;
}

/* ---- an attack ---- */

async function attack(name, gateway, other) {
	process.stderr.write(`  floods: ${name}\n`);
	const child = await start('nice', ['-n8', process.execPath, join(root, 'bench/flood-attack.mjs'), name, '/1k',
		String(SLICE), gateway.tls, other.tls], { ready: /attacks/ });
	const [before, cpuBefore, began] = [await turns(gateway), cpuMicros(gateway.pids), performance.now()];
	const rows = await steady(`${gateway.tls}/1k`);
	const cpu = (cpuMicros(gateway.pids) - cpuBefore) / 10 / (performance.now() - began);
	const after = await turns(gateway);
	const ended = new Promise((yes) => child.once('close', yes));
	child.kill('SIGTERM');
	await ended;
	const [sent] = JSON.parse(/\[{.*}\]/.exec(child.text)[0]);
	const [own, elsewhere] = inSlices(rows);
	return {
		name, cpu, p50: of(own, 0.5), p99: of(own, 0.99), elsewhere: of(elsewhere, 0.99), interval: interval(own, elsewhere),
		turn: turnBound(before, after, 0.999), failed: rows.filter((r) => r.status !== 200).length,
		connections: sent.connections / SECONDS * 2, mib: sent.bytes / 2 ** 20 / SECONDS * 2, peak: memory(gateway.pids, 'VmHWM'),
	};
}

async function startOn(core, target) {
	const gateway = await startPosthouse(target);
	await run('taskset', ['-a', '-p', '-c', String(core), String(gateway.pids[0])], 10);
	return gateway;
}

async function main() {
	makeCertificate();
	const target = await startTarget({ '1k': 1024 });
	const [gateway, other] = [await startOn(0, target), await startOn(1, target)];
	for (const pid of isRoot ? [target.pid, ...gateway.pids] : []) {
		await run('chrt', ['-a', '-r', '-p', '1', String(pid)], 10);
	}
	const rows = [];
	for (const name of ATTACKS.filter((a) => a.includes(options.only ?? ''))) {
		rows.push(await attack(name, gateway, other));
	}
	print(`${machine()}; a steady client of ${CLIENTS * RATE} requests/s over TLS, one attacker of its gateway, or of another one`, rows, [
		['', (r) => r.name], ['p50 ms', (r) => r.p50.toFixed(2)], ['p99 ms', (r) => r.p99.toFixed(2)],
		['of another', (r) => r.elsewhere.toFixed(2)], ['ratio', (r) => (r.p99 / r.elsewhere).toFixed(2)],
		['95 %', (r) => r.interval.map((v) => v.toFixed(2)).join('-')], ['99.9 % of turns ms', (r) => r.turn.toFixed(2)],
		['failed', (r) => r.failed], ['CPU %', (r) => r.cpu.toFixed(0)],
		['connections/s', (r) => r.connections.toFixed(1)], ['MiB/s', (r) => r.mib.toFixed(2)], ['peak MiB', (r) => r.peak.toFixed(0)],
	]);
	return rows.some((r) => r.failed > 0) ? 1 : 0;
}

try {
	process.exitCode = await main();
} finally {
	await cleanUp();
}
