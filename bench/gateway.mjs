/*
 * gateway - what a proxied request costs, beside the proxies people use today
 *
 * nginx, HAProxy, h2o, Caddy and Posthouse, one thread each, in turn in front of the same
 * target under the same load, several rounds: medians. Then what plugins, many routes and
 * changes of them cost Posthouse, what a connection costs that does nothing, and a server
 * that does nothing. CPU is the scheduler's run time of all proxy processes, kernel work
 * included: the portable figure. Everything is on loopback, and stops by itself.
 *
 *	make bench                                          with the relay's
 *	bench/gateway --only h1,tls --seconds 1 --rounds 1  a quick look
 *
 * Exit code 1 when a scenario failed: an answer was not 2xx, a connection was lost.
 */
import { statSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import {
	makeCertificate, startCaddy, startCopier, startH2o, startHaproxy, startNginx, startPosthouse,
} from './contestants.mjs';
import {
	cleanUp, cpuMicros, fetchOnce, h2load, inTurn, machine, measure, median, medians, memory, print, share, startTarget,
	stop, wrk,
} from './lib.mjs';
import { readOptions } from './options.mjs';

const SCENARIOS = ['h1', 'h1-100k', 'tls', 'h2', 'close', 'plugins', 'routes', 'changes', 'idle', 'rest'];
const options = readOptions('bench/gateway', 'what a proxied request costs, beside nginx, HAProxy, h2o and Caddy', {
	only: { choices: SCENARIOS, doc: 'scenarios' },
	seconds: { default: 6, doc: 'of load a round' },
	rounds: { default: 3, doc: 'rounds, of which the median is told' },
	idle: { default: 10_000, doc: 'connections that do nothing' },
	routes: { default: 10_000, doc: 'where routes are many' },
	minutes: { default: 60, doc: 'after which it gives up' },
});
const { seconds: SECONDS, rounds: ROUNDS, idle: IDLE, routes: ROUTES, minutes: MINUTES } = options;

const CONNECTIONS = 64;
const CHANGES_PER_SECOND = 20;

const proxies = [startNginx, startHaproxy, startH2o, startCaddy, startPosthouse];

/* Starts them, does the work, stops them: each scenario has fresh processes. */
async function withAll(starters, work) {
	const all = [];
	try {
		for (const starter of starters) {
			all.push(await starter());
		}
		return await work(all);
	} finally {
		await Promise.all(all.map((c) => stop(c.child)));
	}
}

/* ---- tables ---- */

const ms = (n) => n.toFixed(2);
const LATENCY = [
	['p50 ms', (r) => ms(r.p50)],
	['p99 ms', (r) => ms(r.p99)],
	['p99.9 ms', (r) => ms(r.p999)],
];

/* The first row is what the others are compared with. */
function printLoad(title, rows) {
	const [first] = rows;
	const columns = [
		['', (r) => r.name],
		['req/s', (r) => Math.round(r.rate)],
		[`of ${first.name}`, (r) => (r.rate / first.rate).toFixed(2)],
		...LATENCY,
		['CPU µs/req', (r) => r.cpu.toFixed(1)],
		[`of ${first.name}`, (r) => (r.cpu / first.cpu).toFixed(2)],
		['peak MiB', (r) => r.peak.toFixed(1)],
	];
	/* A connection that broke is no answer: seldom, but never hidden. */
	if (rows.some((r) => r.errors > 0)) {
		columns.push(['socket errors', (r) => r.errors]);
	}
	print(title, rows, columns);
}

async function compare(title, starters, load) {
	return await withAll(starters, async (all) => {
		const rows = await inTurn(title, all, ROUNDS, (c) => measure(c, load));
		printLoad(title, rows);
		return rows;
	});
}

const compareProxies = (target, title, load) => compare(title, proxies.map((p) => () => p(target)), load);

/* ---- routes ---- */

/* Each request to the next route, in an order that visits them all and is not the table's. */
const walk = (n) => `
local n, at, made = ${n}, 0, {}
function init(args)
	for i = 0, n - 1 do made[i] = wrk.format("GET", "/r" .. i .. "/1k") end
end
function request()
	at = (at + 7919) % n
	return made[at]
end
`;

async function routes(target) {
	const many = ROUTES.toLocaleString('en');
	const rows = await compare(`routes: requests over all routes, ${CONNECTIONS} keep-alive connections, 1 KiB`, [
		async () => ({ ...(await startPosthouse(target, { name: '1 route', routes: 1 })), routes: 1 }),
		async () => ({ ...(await startPosthouse(target, { name: `${many} routes`, routes: ROUTES })), routes: ROUTES }),
	], (c) => wrk(c.base, { connections: CONNECTIONS, seconds: SECONDS, script: walk(c.routes) }));
	console.log(`\nA request costs ${(rows[1].cpu / rows[0].cpu).toFixed(2)} times the CPU with ${many} routes.`);
}

/* ---- changes ---- */

/*
 * Changes a route so many times a second, as far as the Admin API keeps up, until stopped; or only
 * reads it as often: the client of the Admin API takes its share of the cores in both cases.
 */
async function startAsking(posthouse, changing) {
	const made = await fetchOnce(`${posthouse.admin}/services/target/routes/changing`, {
		method: 'PUT', headers: { 'content-type': 'application/json' }, body: '{"paths":["/changing/0"]}',
	});
	if (made.status !== 200) {
		throw new Error(`cannot make a route: ${made.status} ${made.body}`);
	}
	let [running, done] = [true, 0];
	const begin = performance.now();
	const loop = (async () => {
		for (let next = begin; running; next = Math.max(next + 1000 / CHANGES_PER_SECOND, performance.now())) {
			await new Promise((yes) => setTimeout(yes, next - performance.now()));
			const reply = await fetchOnce(`${posthouse.admin}/routes/changing`, changing ? {
				method: 'PATCH', headers: { 'content-type': 'application/json' }, body: `{"paths":["/changing/${done}"]}`,
			} : {});
			if (reply.status !== 200) {
				throw new Error(`cannot read or change a route: ${reply.status} ${reply.body}`);
			}
			done++;
		}
	})();
	loop.catch(() => {});
	return async () => {
		running = false;
		await loop;
		return (done * 1000) / (performance.now() - begin);
	};
}

/* A short load while a route is read and one while it changes, in either order. */
async function changesPair(c, n, changingFirst) {
	const load = () => measure(c, () => wrk(c.base, { connections: CONNECTIONS, seconds: 1, script: walk(n) }));
	const pair = {};
	for (const changing of [changingFirst, !changingFirst]) {
		const settle = await startAsking(c, changing);
		pair[changing ? 'changing' : 'reading'] = { ...await load(), asked: await settle() };
	}
	return pair;
}

/*
 * A machine is not the same from one minute to the next, and a few slow moments decide a p99: so
 * both are measured in many short turns, side by side, and the ratio is the median of theirs.
 */
async function changes(target) {
	const many = ROUTES.toLocaleString('en');
	const title = `changes: a route read or changed ${CHANGES_PER_SECOND} times a second by the Admin API, ${CONNECTIONS} connections, 1 KiB`;
	await withAll([
		() => startPosthouse(target, { name: '1 route', routes: 1 }),
		() => startPosthouse(target, { name: `${many} routes`, routes: ROUTES }),
	], async (both) => {
		const rows = [];
		for (const [k, c] of both.entries()) {
			const n = k === 0 ? 1 : ROUTES;
			const pairs = [];
			for (let i = 0; i < ROUNDS * SECONDS; i++) {
				process.stderr.write(`  changes: turn ${i + 1} of ${ROUNDS * SECONDS}, ${c.name}\n`);
				pairs.push(await changesPair(c, n, i % 2 === 1));
			}
			rows.push({ name: `${c.name}, read`, ratio: 1, ...medians(pairs.map((p) => p.reading)) });
			rows.push({
				name: `${c.name}, changed`, ratio: median(pairs.map((p) => p.changing.p99 / p.reading.p99)),
				...medians(pairs.map((p) => p.changing)),
			});
		}
		print(title, rows, [
			['', (r) => r.name],
			['a second', (r) => r.asked.toFixed(1)],
			['req/s', (r) => Math.round(r.rate)],
			...LATENCY,
			['p99 of read', (r) => r.ratio.toFixed(2)],
			['CPU µs/req', (r) => r.cpu.toFixed(1)],
			['peak MiB', (r) => r.peak.toFixed(1)],
		]);
	});
}

/* ---- plugins ---- */

async function plugins(target) {
	const rows = await compare(`plugins: nginx, and Posthouse plain and with four plugins, ${CONNECTIONS} keep-alive connections, 1 KiB`, [
		() => startNginx(target),
		() => startPosthouse(target, { name: 'plain' }),
		() => startPosthouse(target, { name: 'four plugins', withPlugins: true }),
	], async (c) => {
		const logged = () => (c.log && statSync(c.log, { throwIfNoEntry: false })?.size) ?? 0;
		const before = logged();
		const figures = await wrk(`${c.base}/1k`, { connections: CONNECTIONS, seconds: SECONDS, headers: c.headers });
		if (c.name === 'four plugins' && logged() === before) {
			throw new Error('file-log wrote nothing');
		}
		return figures;
	});
	const [, plain, four] = rows;
	console.log(`\nkey-auth, rate-limiting, prometheus and file-log take ${(100 * (1 - four.rate / plain.rate)).toFixed(1)} % ` +
		`of the requests per second and add ${(100 * (four.cpu / plain.cpu - 1)).toFixed(1)} % of CPU per request.`);
}

/* ---- idle ---- */

/* Opens a connection, has one request served on it, and leaves it open. */
function served(port) {
	return new Promise((yes, no) => {
		let text = '';
		const socket = connect(port, '127.0.0.1', () => socket.write('GET /1k HTTP/1.1\r\nHost: bench\r\n\r\n'));
		const fail = (e) => no(e instanceof Error ? e : new Error('the proxy closed a connection'));
		socket.setTimeout(30_000, () => socket.destroy(new Error('no answer')));
		socket.on('error', fail);
		socket.once('close', fail);
		socket.on('data', (data) => {
			text += data.toString('latin1');
			const head = text.indexOf('\r\n\r\n');
			if (head >= 0 && text.length >= head + 4 + 1024) {
				if (!text.startsWith('HTTP/1.1 200')) {
					fail(new Error(text.slice(0, 80)));
				}
				text = '';
				socket.setTimeout(0);
				yes(socket);
			}
		});
	});
}

async function openServed(base, n) {
	const sockets = [];
	for (let i = 0; i < n; i += 100) {
		sockets.push(...await Promise.all(Array.from({ length: Math.min(100, n - i) }, () => served(new URL(base).port))));
	}
	return sockets;
}

async function idleOnce(starter) {
	return await withAll([starter], async ([c]) => {
		/* What the first connections need once is not theirs. */
		const first = await openServed(c.base, 100);
		const [anon, rss] = [share(c.pids, 'Pss_Anon'), memory(c.pids, 'VmRSS')];
		const sockets = await openServed(c.base, IDLE);
		const figures = {
			anon: ((share(c.pids, 'Pss_Anon') - anon) * 1024) / IDLE,
			rss: ((memory(c.pids, 'VmRSS') - rss) * 1024) / IDLE,
			total: share(c.pids, 'Pss'),
		};
		const lost = sockets.filter((s) => s.destroyed || s.readableEnded).length;
		[...first, ...sockets].forEach((s) => s.destroy());
		if (lost > 0) {
			throw new Error(`${c.name} closed ${lost} of ${IDLE} connections`);
		}
		return figures;
	});
}

async function idle(target) {
	const starters = [['nginx', startNginx], ['HAProxy', startHaproxy], ['Posthouse', startPosthouse]]
		.map(([name, starter]) => ({ name, start: () => starter(target) }));
	/* Memory does not depend on the hour: once is enough. */
	const rows = await inTurn('idle', starters, 1, (s) => idleOnce(s.start));
	print(`idle: ${IDLE.toLocaleString('en')} idle keep-alive connections, each served once`, rows, [
		['', (r) => r.name],
		['anonymous KiB each', (r) => r.anon.toFixed(2)],
		['of nginx', (r) => (r.anon / rows[0].anon).toFixed(2)],
		['resident KiB each', (r) => r.rss.toFixed(2)],
		['PSS in all, MiB', (r) => r.total.toFixed(1)],
	]);
}

/* ---- rest ---- */

/* One at a time: two of a kind would share their code's pages, and each count half of them. */
async function restOnce(starter) {
	return await withAll([starter], async ([c]) => {
		const sleep = (seconds) => new Promise((yes) => setTimeout(yes, 1000 * seconds));
		await sleep(1);
		const before = cpuMicros(c.pids);
		await sleep(SECONDS);
		return {
			pss: share(c.pids, 'Pss'), anon: share(c.pids, 'Pss_Anon'), rss: memory(c.pids, 'VmRSS'),
			cpu: (cpuMicros(c.pids) - before) / SECONDS,
		};
	});
}

async function rest(target) {
	const starters = Object.entries({
		nginx: (t) => startNginx(t, 1024), HAProxy: (t) => startHaproxy(t, 1024), h2o: startH2o, Caddy: startCaddy,
		'Posthouse, gateway': startPosthouse,
		'Posthouse, all roles': (t) => startPosthouse(t, { allRoles: true }),
	}).map(([name, starter]) => ({ name, start: () => starter(target) }));
	const rows = await inTurn('rest', starters, ROUNDS, (s) => restOnce(s.start));
	print('rest: started, asked twice, then nothing to do', rows, [
		['', (r) => r.name],
		['PSS MiB', (r) => r.pss.toFixed(1)],
		['of nginx', (r) => (r.pss / rows[0].pss).toFixed(2)],
		['anonymous MiB', (r) => r.anon.toFixed(1)],
		['resident MiB', (r) => r.rss.toFixed(1)],
		['CPU µs/s', (r) => r.cpu.toFixed(0)],
	]);
}

/* ---- */

const keepAlive = { connections: CONNECTIONS, seconds: SECONDS };
const scenarios = {
	/* The floor too: what of these figures is the kernel's. */
	h1: (t) => compare(`h1: HTTP/1.1, ${CONNECTIONS} keep-alive connections, 1 KiB`,
		[...proxies, startCopier].map((p) => () => p(t)), (c) => wrk(`${c.base}/1k`, keepAlive)),
	'h1-100k': (t) => compareProxies(t, `h1-100k: HTTP/1.1, ${CONNECTIONS} keep-alive connections, 100 KiB`,
		(c) => wrk(`${c.base}/100k`, keepAlive)),
	tls: (t) => compareProxies(t, `tls: HTTP/1.1 over TLS, ${CONNECTIONS} keep-alive connections, 1 KiB`,
		(c) => wrk(`${c.tls}/1k`, keepAlive)),
	h2: (t) => compareProxies(t, 'h2: HTTP/2 over TLS, 16 connections of 16 streams, 1 KiB',
		(c) => h2load(`${c.tls}/1k`, { connections: 16, streams: 16, seconds: SECONDS })),
	close: (t) => compareProxies(t, `close: HTTP/1.1, a connection per request, ${CONNECTIONS} at a time, 1 KiB`,
		(c) => wrk(`${c.base}/1k`, { ...keepAlive, headers: { Connection: 'close' } })),
	plugins, routes, changes, idle, rest,
};

async function main() {
	console.log(`Posthouse gateway benchmark: ${machine()}, ${ROUNDS} rounds of ${SECONDS} s, medians; ` +
		'client, proxies and target share the cores.');
	makeCertificate();
	const target = await startTarget({ '1k': 1024, '100k': 100 << 10 });
	for (const name of options.only) {
		try {
			await scenarios[name](target);
		} catch (e) {
			/* What was measured before is worth having, and what comes after. */
			console.error(`\n${name} FAILED: ${e.stack}`);
			process.exitCode = 1;
		}
	}
}

const late = setTimeout(() => {
	console.error(`bench/gateway: not done after ${MINUTES} minutes`);
	cleanUp().finally(() => process.exit(1));
}, MINUTES * 60_000);
try {
	await main();
} finally {
	clearTimeout(late);
	await cleanUp();
}
