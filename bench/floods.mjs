/*
 * floods - what one attacking connection does to the others: their p99, with the attack on their
 * gateway and with the same attack on another one
 *
 * A steady client sends at a fixed rate over TLS, far below saturation, while one attacker after
 * the other does its worst. The client's gateway has one core, the other gateway the other one;
 * the attacker takes mostly what the client leaves there. For root the client and its gateway go
 * before whatever else the machine does. Each figure is the median of rounds, which go around all
 * attacks; the ratio is the median of theirs.
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

/* The steady client at its gateway while `attacked` has the attack. */
async function beside(name, gateway, attacked) {
	const child = await start('nice', ['-n8', process.execPath, join(root, 'bench/flood-attack.mjs'), name, attacked.tls, '/1k'],
		{ ready: /attacks/ });
	const before = cpuMicros(gateway.pids);
	const began = performance.now();
	const figures = await steady(`${gateway.tls}/1k`);
	const cpu = (cpuMicros(gateway.pids) - before) / 10 / (performance.now() - began);
	const ended = new Promise((yes) => child.once('close', yes));
	child.kill('SIGTERM');
	await ended;
	const { connections, bytes } = JSON.parse(/{.*}/.exec(child.text)[0]);
	return { ...figures, cpu, connections, mib: bytes / 2 ** 20 };
}

/*
 * Whatever works on the machine makes others wait: so each attack is made on another gateway too,
 * on the other core, and what counts is the difference that it makes whose connections they are.
 */
async function pair(name, gateway, other, turn) {
	const result = {};
	for (const victim of turn % 2 ? [other, gateway] : [gateway, other]) {
		const figures = await beside(name, gateway, victim);
		if (victim === other) {
			result.elsewhere = figures.p99;
		} else {
			Object.assign(result, figures);
		}
	}
	return { ...result, ratio: result.p99 / result.elsewhere, peak: memory(gateway.pids, 'VmHWM') };
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
	const attacks = ATTACKS.filter((a) => a.includes(options.only ?? '')).map((name) => ({ name }));
	let turn = 0;
	const rows = await inTurn('floods', attacks, ROUNDS, (a) => pair(a.name, gateway, other, turn++));
	print(`${machine()}; a steady client of ${CLIENTS * RATE} requests/s over TLS, one attacker of its gateway, or of another one`, rows, [
		['', (r) => r.name], ['p50 ms', (r) => r.p50.toFixed(2)], ['p99 ms', (r) => r.p99.toFixed(2)],
		['of another', (r) => r.elsewhere.toFixed(2)], ['ratio', (r) => r.ratio.toFixed(2)],
		['failed', (r) => r.failed], ['CPU %', (r) => r.cpu.toFixed(0)],
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
