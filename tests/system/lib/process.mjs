/*
 * process - a child process whose lines are events
 */
import { spawn, execFile } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createInterface } from 'node:readline';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { track, untrack, within } from './check.mjs';

export const BIN = resolve(process.env.POSTHOUSE_BIN ?? 'build/posthouse');

/* Whatever ends a test file ends what it has started. */
const alive = new Set();
process.once('SIGTERM', () => process.exit(143));
process.once('exit', () => {
	for (const child of alive) {
		child.signal_('SIGKILL');
	}
});

export class Child extends EventEmitter {
	/* `bin` is another program than the one under test. */
	constructor(name, args, { env = {}, cwd, bin = BIN } = {}) {
		super();
		this.name = name;
		this.lines = [];
		if (args) {
			this.process = spawn(bin, args, {
				cwd,
				env: { ...cleanEnvironment(), ...env },
				stdio: ['ignore', 'pipe', 'pipe'],
			});
			this.begin(this.process.pid, once(this.process, 'exit'));
			for (const stream of [this.process.stdout, this.process.stderr]) {
				createInterface({ input: stream }).on('line', (line) => {
					this.lines.push(line);
					this.emit('line', line);
				});
			}
		}
	}

	begin(pid, end) {
		this.pid = pid;
		alive.add(this);
		track(this);
		this.exited = end.then(([code, signal]) => {
			this.code = code;
			this.signal = signal;
			alive.delete(this);
			untrack(this);
			this.emit('exit');
			return { code, signal };
		});
	}

	get isRunning() {
		return this.process.exitCode === null && this.process.signalCode === null;
	}

	/* The first line that matches, already seen or to come; fails when the process ends first. */
	async line(pattern, { from = 0, ms } = {}) {
		const seen = this.lines.slice(from).find((l) => pattern.test(l));
		if (seen !== undefined) {
			return seen;
		}
		let onLine;
		let onExit;
		const found = new Promise((yes, no) => {
			onLine = (l) => pattern.test(l) && yes(l);
			onExit = () => no(new Error(`${this.name} ended before ${pattern}\n${this.story()}`));
			this.on('line', onLine);
			this.on('exit', onExit);
		});
		try {
			return await within(found, `${this.name} says ${pattern}`, ms);
		} finally {
			this.off('line', onLine);
			this.off('exit', onExit);
		}
	}

	signal_(name) {
		if (this.isRunning) {
			process.kill(this.pid, name);
		}
	}

	/* SIGTERM, and the orderly end that must follow it. */
	async stop() {
		this.signal_('SIGTERM');
		try {
			return await within(this.exited, `${this.name} ends after SIGTERM`);
		} catch (error) {
			this.signal_('SIGKILL');
			await this.exited;
			throw error;
		}
	}

	async kill() {
		this.signal_('SIGKILL');
		await within(this.exited, `${this.name} ends after SIGKILL`);
	}

	freeze() {
		this.signal_('SIGSTOP');
	}

	thaw() {
		this.signal_('SIGCONT');
	}

	story() {
		const state = this.isRunning ? 'runs' : `ended ${this.code ?? this.signal}`;
		return `--- ${this.name} (${state})\n${this.lines.slice(-40).join('\n')}`;
	}
}

/*
 * What a process started in its place: no child of ours, but it writes where that one wrote.
 * How it ended nobody can tell; a sanitizer's finding is in the output.
 */
export class Heir extends Child {
	constructor(former, pid) {
		super(former.name);
		this.lines = former.lines;
		former.on('line', (line) => this.emit('line', line));
		this.begin(pid, this.end(pid));
	}

	async end(pid) {
		while (await isAlive(pid)) {
			await pause(20);
		}
		return [this.lines.some((l) => /Sanitizer|runtime error/.test(l)) ? 99 : 0, null];
	}

	get isRunning() {
		return this.code === undefined;
	}
}

/* SIGUSR2: resolves with the heir when it is ready. Needs fixed ports. */
export async function takeOver(former) {
	const from = former.lines.length;
	former.signal_('SIGUSR2');
	const pid = Number(/pid"?[=:]"?(\d+)/.exec(await former.line(/is to take over/, { from }))[1]);
	await former.line(/(^|\s)ready /, { from });
	return new Heir(former, pid);
}

/* Whether there is such a process, and no zombie. */
async function isAlive(pid) {
	const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
	return /^\d+ \(.*\) [^ZX]/s.test(stat);
}

/* A command that ends by itself. Never throws for an exit code: the test judges it. */
export async function run(args, { env = {}, cwd, input } = {}) {
	const child = execFile(BIN, args, {
		cwd,
		env: { ...cleanEnvironment(), ...env },
		maxBuffer: 16 << 20,
	});
	child.stdin.on('error', () => {});
	child.stdin.end(input ?? '');
	const chunks = { stdout: '', stderr: '' };
	for (const name of ['stdout', 'stderr']) {
		child[name].on('data', (data) => {
			chunks[name] += data;
		});
	}
	const [code, signal] = await within(once(child, 'close'), `posthouse ${args.join(' ')}`);
	return { code, signal, ...chunks };
}

export const execute = promisify(execFile);

/* No configuration or proxy of the caller reaches the processes under test. */
function cleanEnvironment() {
	return Object.fromEntries(Object.entries(process.env).filter(([key]) =>
		!/^(POSTHOUSE|KONG)_/.test(key) && !/^(https?|all|no)_proxy$/i.test(key) &&
		key !== 'NODE_TEST_CONTEXT'));
}
