/* Two gateways on one database: what one changes, the other does. */
import assert from 'node:assert/strict';
import { afterEach } from 'node:test';
import { check, SLOWNESS, until } from './lib/check.mjs';
import { Echo, Gateway } from './lib/gateway.mjs';
import { execute } from './lib/process.mjs';
import { ENGINE } from './lib/server.mjs';

const PG = process.env.POSTHOUSE_TEST_PG;

const things = [];
afterEach(async () => {
	while (things.length > 0) {
		await things.pop().close();
	}
});

/* Two on one database, and a service with the route /r. */
async function startTwo(gateway = {}) {
	const echo = await Echo.start();
	things.push(echo);
	const one = await Gateway.start({ gateway });
	things.push(one);
	const two = await Gateway.start({ gateway, database: one.database });
	things.push(two);
	const { route } = await one.route({ url: echo.url }, { paths: ['/r'] });
	return { one, two, route };
}

const answers = (gw, path, status) => async () => (await gw.get(path)).status === status;

/* Changes the route through one of them until the other has each of the changes; its loops follow one by one. */
async function followsEach(one, two, route, n) {
	for (let i = 0; i < n; i++) {
		await one.make(`/routes/${route.id}`, { paths: [`/p${i}`] }, 'PATCH');
		await until(answers(two, `/p${i}`, 200), `change ${i} arrives`);
		await until(answers(two, `/p${i - 1}`, 404), `what was before ${i} is gone`);
	}
}

check('each does what was changed through the other', async () => {
	const { one, two, route } = await startTwo({ db_update_frequency: '100ms' });
	await until(answers(two, '/r', 200), 'the route arrives');
	await followsEach(one, two, route, 3);
	await followsEach(two, one, route, 3);
	await two.make(`/routes/${route.id}`, undefined, 'DELETE');
	await until(answers(one, '/p2', 404), 'the removal arrives');
});

/* The database is asked once a minute only: whatever arrives sooner was told. */
const noPolls = { db_update_frequency: '1h' };

check('PostgreSQL tells changes at once', { skip: ENGINE !== 'postgres' && 'nobody tells' }, async () => {
	const { one, two, route } = await startTwo(noPolls);
	await until(answers(two, '/r', 200), 'the route arrives');
	const begin = performance.now();
	await followsEach(one, two, route, 5);
	const each = (performance.now() - begin) / 5;
	assert.ok(each < 1000 * SLOWNESS, `a change took ${each} ms`);
});

check('who listens comes back after the connection broke', { skip: ENGINE !== 'postgres' && 'nobody listens' }, async () => {
	const { one, two, route } = await startTwo(noPolls);
	const name = new URL(one.database.replace(/^[^/]*\/\/[^/]*/, 'http://x')).pathname.slice(1);
	const of = `FROM pg_stat_activity WHERE datname = '${name}' AND query = 'LISTEN posthouse_gateway'`;
	const psql = async (sql) => (await execute('psql', ['-qXAt', '-v', 'ON_ERROR_STOP=1', '-c', sql, PG])).stdout.trim();
	const listeners = () => psql(`SELECT coalesce(string_agg(pid::text, ',' ORDER BY pid), '') ${of}`);
	await until(answers(two, '/r', 200), 'the route arrives');
	const before = await until(async () => /^\d+,\d+$/.exec(await listeners())?.[0], 'both listen');
	await psql(`SELECT pg_terminate_backend(pid) ${of}`);
	/* Told by nobody, unless the other is back already: found when it is. */
	await one.make(`/routes/${route.id}`, { paths: ['/meanwhile'] }, 'PATCH');
	await until(answers(two, '/meanwhile', 200), 'what was changed meanwhile');
	await until(async () => {
		const now = (await listeners()).split(',');
		return now.length === 2 && !now.some((pid) => before.split(',').includes(pid));
	}, 'both listen again');
	await followsEach(one, two, route, 2);
});
