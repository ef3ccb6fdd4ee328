/*
 * check - one named test with a deadline; on failure it shows what the processes said
 *
 * Nothing here sleeps for a guessed time: a test awaits promises, lines and events,
 * or asks again (`until`) where a fact can only be asked for. Every wait has a
 * deadline, and sanitizer builds get a longer one.
 */
import test from 'node:test';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

/* ASan makes everything a few times slower; the run script says so. */
export const SLOWNESS = Number(process.env.POSTHOUSE_TEST_SLOWNESS ?? 1);
export const SANITIZED = SLOWNESS > 1;
const DEADLINE_MS = 20_000 * SLOWNESS;

const running = new Set();

/* A process or server that tells its last lines when a test fails, and is stopped at the end. */
export function track(thing) {
	running.add(thing);
	return thing;
}

export function untrack(thing) {
	running.delete(thing);
}

export function check(name, options, fn) {
	if (typeof options === 'function') {
		[options, fn] = [{}, options];
	}
	const timeout = (options.timeout ?? 60_000) * SLOWNESS;
	return test(name, { ...options, timeout }, async (t) => {
		try {
			await fn(t);
		} catch (error) {
			for (const thing of running) {
				t.diagnostic(thing.story());
			}
			throw error;
		}
	});
}

/* Rejects when the promise takes longer: the message names what was awaited. */
export async function within(promise, what, ms = DEADLINE_MS) {
	let timer;
	const late = new Promise((_, reject) => {
		const error = new Error(`not within ${ms} ms: ${what}`);
		timer = setTimeout(() => reject(error), ms);
	});
	try {
		return await Promise.race([promise, late]);
	} finally {
		clearTimeout(timer);
	}
}

/* Asks until the answer is truthy; returns it. For facts that announce themselves nowhere. */
export async function until(ask, what, ms = DEADLINE_MS) {
	const end = Date.now() + ms;
	let last;
	for (;;) {
		try {
			last = await ask();
			if (last) {
				return last;
			}
		} catch (error) {
			last = error;
		}
		if (Date.now() > end) {
			throw new Error(`not within ${ms} ms: ${what} (last: ${last})`);
		}
		await pause(20);
	}
}

/* Resolves when the count stands still; its last value. */
export async function standstill(count, what = 'nothing more is taken') {
	let last;
	let same = 0;
	await until(() => {
		const n = count();
		same = n === last ? same + 1 : 0;
		last = n;
		return same === 10;
	}, what);
	return last;
}

export function event(emitter, name, what, ms = DEADLINE_MS) {
	return within(once(emitter, name), what ?? name, ms);
}

/* A promise with its handles outside. */
export function deferred() {
	let resolve;
	let reject;
	const promise = new Promise((yes, no) => {
		[resolve, reject] = [yes, no];
	});
	return { promise, resolve, reject };
}

/* Values that arrive; the test takes them in order and waits where there is none yet. */
export class Mailbox {
	constructor(what) {
		this.what = what;
		this.items = [];
		this.waiting = [];
	}

	put(item) {
		const waiter = this.waiting.shift();
		if (waiter) {
			waiter.resolve(item);
		} else {
			this.items.push(item);
		}
	}

	async take(ms) {
		if (this.items.length > 0) {
			return this.items.shift();
		}
		const waiter = deferred();
		this.waiting.push(waiter);
		try {
			return await within(waiter.promise, this.what, ms);
		} finally {
			this.waiting = this.waiting.filter((w) => w !== waiter);
		}
	}

	get length() {
		return this.items.length;
	}
}
