/*
 * floods - what one attacking connection does to the others: their p99, without and with it
 *
 * A steady client sends at a fixed rate over TLS, far below saturation, while one attacker after
 * the other does its worst to the same loop. The gateway has one core, everything else the other;
 * the attacker mostly what the client leaves there. For root all of it goes before
 * whatever else the machine does. "no attack" is an attacker that burns
 * its CPU and sends nothing. Each figure is the median of rounds, which go around all attacks.
 *
 *	bench/floods [--seconds 5] [--rounds 5] [--only WORDS]
 *
 * Exit code 1 when a request of the steady client failed.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FLOODS } from '../tests/system/lib/floods.mjs';
import { makeCertificate, startPosthouse } from './contestants.mjs';
import { cleanUp, cpuMicros, dir, inTurn, machine, memory, print, root, run, start, startTarget } from './lib.mjs';
import { readOptions } from './options.mjs';

const options = readOptions('bench/floods', 'what one attacking connection does to the others', {
	only: { text: 'WORDS', doc: 'the attacks whose name has these words in it' },
	seconds: { default: 5, doc: 'of load a round and attack' },
	rounds: { default: 5, doc: 'rounds, of which the median is told' },
});
const { seconds: SECONDS, rounds: ROUNDS } = options;
const CLIENTS = 8;
const RATE = 100; /* a second and client */
const ATTACKS = [
	'requests, nothing else', ...Object.keys(FLOODS), 'windows that open a byte at a time', 'HTTP/1: heads that never end',
	'HTTP/1: heads of many lines', 'HTTP/1: chunks of a byte', 'TLS: handshakes',
];
const QUIET = 'no attack';

/* Who is measured goes before all others, if we may; the attacker before the rest of the machine. */
const isRoot = process.getuid() === 0;
const FIRST = isRoot ? ['chrt', '-r', '1'] : ['env'];

const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * p) - 1)] / 1000;

async function steady(url) {
	const log = join(dir, 'steady.log');
	rmSync(log, { force: true }); /* h2load would add to it */
	const text = await run(FIRST[0], [...FIRST.slice(1), 'h2load', '--h1', '-t1', `-c${CLIENTS}`, `-D${SECONDS}`, '--warm-up-time=1', `--rps=${RATE}`,
		`--log-file=${log}`, url], SECONDS + 30);
	const rows = readFileSync(log, 'utf8').trim().split('\n').map((l) => l.split('\t').map(Number));
	const times = rows.map((r) => r[2]).sort((a, b) => a - b);
	const failed = rows.filter((r) => r[1] !== 200).length;
	if (times.length < CLIENTS * RATE * SECONDS / 2) {
		throw new Error(`the steady client was held up: ${times.length} answers\n${text}`);
	}
	return { p50: percentile(times, 0.5), p99: percentile(times, 0.99), failed };
}

async function beside(name, gateway) {
	const child = await start('nice', ['-n8', process.execPath, join(root, 'bench/flood-attack.mjs'), name, gateway.tls, '/1k'],
		{ ready: /attacks/ });
	const before = cpuMicros(gateway.pids);
	const began = performance.now();
	const figures = await steady(`${gateway.tls}/1k`);
	const cpu = (cpuMicros(gateway.pids) - before) / 10 / (performance.now() - began);
	const ended = new Promise((yes) => child.once('close', yes));
	child.kill('SIGTERM');
	await ended;
	const { connections, bytes } = JSON.parse(/{.*}/.exec(child.text)[0]);
	return { ...figures, cpu, connections, mib: bytes / 2 ** 20, peak: memory(gateway.pids, 'VmHWM') };
}

async function main() {
	makeCertificate();
	const target = await startTarget({ '1k': 1024 });
	const gateway = await startPosthouse(target);
	await run('taskset', ['-a', '-p', '-c', '0', String(gateway.pids[0])], 10);
	for (const pid of isRoot ? [target.pid, ...gateway.pids] : []) {
		await run('chrt', ['-a', '-r', '-p', '1', String(pid)], 10);
	}
	const attacks = [QUIET, ...ATTACKS.filter((a) => a.includes(options.only ?? ''))].map((name) => ({ name }));
	const rows = await inTurn('floods', attacks, ROUNDS, (a) => beside(a.name, gateway));
	const quiet = rows[0].p99;
	print(`${machine()}; a steady client of ${CLIENTS * RATE} requests/s over TLS, one attacker beside it`, rows, [
		['', (r) => r.name], ['p50 ms', (r) => r.p50.toFixed(2)], ['p99 ms', (r) => r.p99.toFixed(2)],
		['p99 %', (r) => (100 * (r.p99 / quiet - 1)).toFixed(0)], ['failed', (r) => r.failed], ['CPU %', (r) => r.cpu.toFixed(0)],
		['connections/s', (r) => (r.connections / (SECONDS + 1)).toFixed(1)], ['MiB/s', (r) => (r.mib / (SECONDS + 1)).toFixed(2)],
		['peak MiB', (r) => r.peak.toFixed(0)],
	]);
	return rows.some((r) => r.failed > 0) ? 1 : 0;
}

try {
	process.exitCode = await main();
} finally {
	await cleanUp();
}
