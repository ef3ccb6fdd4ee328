/*
 * Changes through the Admin API while requests go through many routes: acceptance check 40.
 *
 * Every answer is judged by what it may say: a request that begins after a change was
 * acknowledged sees that change or a later one, and none sees what was not written yet. How
 * long requests take meanwhile is measured by bench/gateway.
 */
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before } from 'node:test';
import { check, SANITIZED, until } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { load } from './lib/load.mjs';
import { run } from './lib/process.mjs';

const ROUTES = SANITIZED ? 500 : 3000;
const ROUNDS = SANITIZED ? 5 : 10;
/* Requests that have to end between two changes, so that changes and requests are mixed. */
const BETWEEN = 8;

/* Even routes are of service `a`, odd ones of `b`; /moved and /told change. */
function kong(a, b) {
	const routes = (parity) => Array.from({ length: ROUTES / 2 }, (_, i) => 2 * i + parity)
		.map((i) => `  - {name: r${i}, paths: [/r${i}], strip_path: false}`);
	return ['_format_version: "3.0"', 'services:',
		`- name: a\n  url: ${a.url}\n  routes:`, ...routes(0),
		`- name: b\n  url: ${b.url}\n  routes:`, ...routes(1),
		`- {name: moved, url: "${a.url}/v0", routes: [{name: moved, paths: [/moved]}]}`,
		`- name: told\n  url: ${a.url}\n  routes:`,
		'  - name: told\n    paths: [/told]\n    plugins:',
		'    - {name: request-transformer, instance_name: teller, config: {add: {headers: ["v:0"]}}}',
		'- {name: switched, url: "http://pair/", routes: [{name: switched, paths: [/switched]}]}',
		`upstreams:\n- {name: pair, targets: [{target: "127.0.0.1:${a.port}"}]}`,
		'consumers:\n- {username: jane, keyauth_credentials: [{key: first}]}', ''].join('\n');
}

let gw, a, b, agent;

before(async () => {
	[a, b] = [await Echo.start(), await Echo.start()];
	gw = await Gateway.start();
	agent = new http.Agent({ keepAlive: true });
	const { code, stderr } = await run(['gateway', 'load', '-', '--config', gw.file], { input: kong(a, b) });
	assert.equal(code, 0, stderr);
	await until(async () => (await gw.get(`/r${ROUTES - 1}`)).status === 200, 'the routes arrive');
	/* Loops follow one by one; what is answered is in force on all of them, with all that was before. */
	await gw.make('/consumers', { username: 'last' });
});

after(async () => {
	agent?.destroy();
	await gw?.close();
	await a?.close();
	await b?.close();
});

const get = (path, headers = {}) => gw.send('GET', path, { agent, headers });

/* A route that nobody changes, another one each time: 997 is prime to their number. */
let turn = 0;
async function unchanged() {
	const i = turn++ * 997 % ROUTES;
	const { status, text, json } = await get(`/r${i}?x=${i}`);
	const port = [a, b][i % 2].port;
	return status === 200 && json.port === port && json.url === `/r${i}?x=${i}`
		? undefined : `/r${i} at ${port}: ${status} ${text}`;
}

/*
 * What is changed from version to version. `write(v)` writes one and is acknowledged;
 * `read()` says which one a request saw.
 */
class Versioned {
	constructor(name, write, read) {
		this.written = this.acknowledged = 0;
		Object.assign(this, { name, write, read });
	}

	async change() {
		await this.write(++this.written);
		this.acknowledged = this.written;
	}

	async ask() {
		const least = this.acknowledged;
		const { status, text, version } = await this.read();
		return status === 200 && version >= least && version <= this.written
			? undefined : `${this.name}: version ${version}, not ${least} to ${this.written}: ${status} ${text}`;
	}
}

const moved = new Versioned('the path of a service',
	(v) => gw.make('/services/moved', { path: `/v${v}` }, 'PATCH'),
	async () => {
		const { status, text, json } = await get('/moved');
		return { status, text, version: Number(/^\/v(\d+)$/.exec(json.url)?.[1]) };
	});

const told = new Versioned('the configuration of a plugin',
	(v) => gw.make('/plugins/teller', { config: { add: { headers: [`v:${v}`] } } }, 'PATCH'),
	async () => {
		const { status, text, json } = await get('/told');
		return { status, text, version: Number(json.headers?.v) };
	});

/* The target of an upstream is a, then b, …; one more is there while they change places. */
async function switchTargets(v) {
	const [from, to] = v % 2 ? [a, b] : [b, a];
	await gw.make('/upstreams/pair/targets', { target: `127.0.0.1:${to.port}` });
	assert.equal((await get('/switched')).status, 200);
	await gw.make(`/upstreams/pair/targets/127.0.0.1:${from.port}`, undefined, 'DELETE');
	for (let i = 0; i < 4; i++) {
		assert.equal((await get('/switched')).json.port, to.port, 'the target that is left');
	}
}

async function switched() {
	const { status, text } = await get('/switched');
	return status === 200 ? undefined : `/switched: ${status} ${text}`;
}

/* A route, a plugin and a credential come and go; each is in force once it is acknowledged. */
async function comeAndGo(v) {
	const path = `/new${v}`;
	assert.equal((await get(path)).status, 404);
	const { id } = await gw.make('/services/a/routes', { name: `new${v}`, paths: [path] });
	assert.equal((await get(path)).status, 200, 'a route');
	await gw.make(`/routes/${id}/plugins`, { name: 'key-auth' });
	assert.equal((await get(path)).status, 401, 'a plugin');
	const key = await gw.make('/consumers/jane/key-auth', { key: `key${v}` });
	assert.equal((await get(path, { apikey: `key${v}` })).status, 200, 'a credential');
	await gw.make(`/consumers/jane/key-auth/${key.id}`, undefined, 'DELETE');
	assert.equal((await get(path, { apikey: `key${v}` })).status, 401, 'a credential that is gone');
	assert.equal((await get(path, { apikey: 'first' })).status, 200, 'one that stays');
	await gw.make(`/routes/${id}`, undefined, 'DELETE');
	assert.equal((await get(path)).status, 404, 'a route that is gone');
}

check(`check 40: changes among ${ROUTES} routes under load: none fails, each is in force when it is acknowledged`, async () => {
	const kinds = [unchanged, unchanged, () => moved.ask(), () => told.ask(), switched];
	let asked = 0;
	const traffic = load(() => kinds[asked++ % kinds.length](), 4);
	for (let v = 1; v <= ROUNDS; v++) {
		for (const change of [() => moved.change(), () => told.change(), () => switchTargets(v), () => comeAndGo(v)]) {
			const least = traffic.n + BETWEEN;
			await change();
			await until(() => traffic.n >= least, 'requests end meanwhile');
			assert.deepEqual(traffic.failed, []);
		}
	}
	const { failed } = await traffic.stop();
	assert.deepEqual(failed, []);
	assert.equal(moved.acknowledged, ROUNDS);
	assert.equal(told.acknowledged, ROUNDS);
	for (let i = 0; i < ROUTES; i++) {
		assert.equal(await unchanged(), undefined);
	}
});
