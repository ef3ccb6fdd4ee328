/*
 * train - real traffic for a binary that counts which way its branches go
 *
 * `make release` builds Posthouse to write down what it executes, runs this, and builds it again
 * with what was learned: gcc then knows which way is the usual one and what belongs together.
 * The scenes are those of the benchmarks, a few seconds each. What is not in them is compiled as
 * in any other build, so a scene that is missing costs speed, never correctness.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import { makeCertificate, startPosthouse, startRelay } from './contestants.mjs';
import { cleanUp, h2load, wrk } from './lib.mjs';

const SECONDS = 2;
const CONNECTIONS = 64;

const load = (url, headers = {}) => wrk(url, { connections: CONNECTIONS, seconds: SECONDS, headers });

/* Not nginx, as in the benchmarks: Debian starts it, and who installs this wants no other server. */
async function startTarget() {
	const bodies = { '1k': Buffer.alloc(1024, 'x'), '100k': Buffer.alloc(100 << 10, 'x') };
	const server = createServer((request, reply) => {
		reply.setHeader('Content-Type', 'application/octet-stream');
		reply.end(bodies[request.url.split('/').pop()]);
	});
	server.keepAliveTimeout = 60_000;
	server.listen(0, '127.0.0.1').unref();
	await once(server, 'listening');
	return server.address();
}

/* What was counted is written when the process ends, so it must end by itself. */
async function end(child) {
	if (child.exitCode === null && child.signalCode === null) {
		child.kill('SIGTERM');
		await once(child, 'exit');
	}
	if (child.exitCode !== 0) {
		throw new Error(`${child.spawnfile} ended with ${child.exitCode ?? child.signalCode}: ${child.text}`);
	}
}

async function scene(title, starting, work) {
	process.stderr.write(`  train: ${title}\n`);
	const c = await starting;
	await work(c);
	for (const child of [c.connector, c.child]) {
		await (child && end(child));
	}
}

async function main() {
	makeCertificate();
	const target = await startTarget();
	await scene('plain', startPosthouse(target), async (c) => {
		await load(`${c.base}/1k`);
		await load(`${c.base}/100k`);
		await load(`${c.base}/1k`, { Connection: 'close' });
		await load(`${c.tls}/1k`);
		await h2load(`${c.tls}/1k`, { connections: 16, streams: 16, seconds: SECONDS });
	});
	await scene('four plugins', startPosthouse(target, { withPlugins: true }), (c) => load(`${c.base}/1k`, c.headers));
	await scene('many routes', startPosthouse(target, { routes: 1000 }), (c) => load(`${c.base}/r500/1k`));
	await scene('relay', startRelay(target), (c) => load(`${c.base}/1k`));
}

try {
	await main();
} finally {
	await cleanUp();
}
