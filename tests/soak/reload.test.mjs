/*
 * 10,000 reloads of kong.yml under load: by SIGHUP and by POST /config, good and bad in turn
 *
 * What leaks with a configuration shows as a slope: the bound on the whole run is 65 bytes a reload.
 * RELOADS=n makes it shorter.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { check, event } from '../system/lib/check.mjs';
import { Echo, Gateway } from '../system/lib/gateway.mjs';
import { getter, kong, load } from '../system/lib/load.mjs';

const RELOADS = Number(process.env.RELOADS ?? 10_000);
const WARM = Math.floor(RELOADS / 5);
const EVERY = 50;
const GROWTH_MAX = 512 << 10;

/* Bytes of the process's own: neither the program's file nor what is mapped. */
async function anonymous(pid) {
	const status = await readFile(`/proc/${pid}/status`, 'utf8');
	return Number(/RssAnon:\s+(\d+)/.exec(status)[1]) * 1024;
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

async function byHangup(gw, text, isGood) {
	await writeFile(`${gw.kong}.new`, text);
	await rename(`${gw.kong}.new`, gw.kong);
	const said = event(gw.child, 'line', 'the reload is told');
	gw.child.signal_('SIGHUP');
	const [line] = await said;
	assert.match(line, isGood ? /configuration reloaded/ : /configuration not reloaded.*kong\.yml:\d+: /);
}

async function byPost(gw, text, isGood) {
	const { status, text: answer } = await gw.admin('POST', '/config', { config: text });
	assert.equal(status, isGood ? 201 : 400, answer);
}

check(`${RELOADS} reloads: no request fails, and memory does not grow`, { timeout: 3_600_000 }, async (t) => {
	const echo = await Echo.start({ answer: (_, reply) => reply.end('{}') });
	/* One heap: glibc gives each thread one of its own, 6 MiB once a worker has had its first large task, whenever that is. */
	const gw = await Gateway.start({ env: { MALLOC_ARENA_MAX: '1' } });
	await gw.stop();
	gw.kong = join(gw.dir, 'kong.yml');
	await writeFile(gw.kong, kong(echo.url, '/v0'));
	await gw.configure({ gateway: { declarative: gw.kong } });
	await gw.launch();
	const agent = new http.Agent({ keepAlive: true });
	const traffic = load(getter(gw, '/load', agent), 1);
	const samples = [];
	for (let i = 1; i <= RELOADS; i++) {
		const isGood = i % 2 === 1;
		const text = isGood ? kong(echo.url, `/v${i}`) : `${kong(echo.url, '/bad')}- {name: nobody}\n`;
		await (i % 4 < 2 ? byPost : byHangup)(gw, text, isGood);
		echo.requests.length = 0;
		echo.hits.items.length = 0;
		gw.child.lines.length = 0;
		if (i > WARM && i % EVERY === 0) {
			samples.push(await anonymous(gw.child.pid));
		}
		if (i % 1000 === 0) {
			t.diagnostic(`${i} reloads, ${traffic.n} requests, ${await anonymous(gw.child.pid) >> 10} KiB`);
		}
	}
	const last = RELOADS - (RELOADS % 2 === 1 ? 0 : 1);
	assert.equal((await gw.get(`/v${last}`)).status, 200);
	assert.equal((await gw.get(`/v${last - 2}`)).status, 404);
	assert.equal((await gw.get('/bad')).status, 404);
	const { n, failed } = await traffic.stop();
	agent.destroy();
	await gw.close();
	await echo.close();
	assert.ok(n > RELOADS / 10, `${n} requests`);
	assert.deepEqual(failed, []);
	const tenth = Math.ceil(samples.length / 10);
	const grown = median(samples.slice(-tenth)) - median(samples.slice(0, tenth));
	t.diagnostic(`grown by ${grown >> 10} KiB in ${RELOADS - WARM} reloads`);
	assert.ok(grown < GROWTH_MAX, `grown by ${grown >> 10} KiB: ${samples.map((s) => s >> 10)}`);
});
