/*
 * prometheus - the judge of /metrics: promtool, and a server that scrapes
 *
 *	assert.deepEqual(await complaints(text), KONG_NAMES);
 *	const prometheus = await Prometheus.start({ admin: gw.adminUrl });
 *	await prometheus.query('sum(kong_http_requests_total)');
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './ports.mjs';
import { Child, execute } from './process.mjs';

/* Dashboards for Kong ask for these names, so they stay as they are. */
export const KONG_NAMES = [
	'kong_bandwidth_bytes counter metrics should have "_total" suffix',
	'kong_kong_latency_ms metric names should not contain abbreviated units',
	'kong_nginx_connections_total non-counter metrics should not have "_total" suffix',
	'kong_nginx_requests_total non-counter metrics should not have "_total" suffix',
	'kong_request_latency_ms metric names should not contain abbreviated units',
	'kong_upstream_latency_ms metric names should not contain abbreviated units',
];

/* What `promtool check metrics` says, a line each, sorted. */
export async function complaints(text) {
	const running = execute('promtool', ['check', 'metrics']);
	running.child.stdin.end(text);
	const { stdout, stderr } = await running.catch((error) => error);
	return `${stdout}${stderr}`.split('\n').filter((line) => line !== '').sort();
}

export class Prometheus {
	/* `targets` are URLs by the name of their job. */
	static async start(targets) {
		const p = new Prometheus();
		p.dir = await mkdtemp(join(tmpdir(), 'prometheus-'));
		const config = {
			global: { scrape_interval: '1s', scrape_timeout: '1s' },
			scrape_configs: Object.entries(targets).map(([name, url]) => ({
				job_name: name, static_configs: [{ targets: [new URL(url).host] }],
			})),
		};
		/* JSON is YAML. */
		await writeFile(join(p.dir, 'prometheus.yml'), JSON.stringify(config));
		const address = `127.0.0.1:${await freePort()}`;
		p.url = `http://${address}`;
		p.child = new Child('prometheus', [`--config.file=${join(p.dir, 'prometheus.yml')}`,
			`--storage.tsdb.path=${join(p.dir, 'data')}`, `--web.listen-address=${address}`], { bin: 'prometheus' });
		await p.child.line(/Server is ready/);
		return p;
	}

	async ask(path) {
		const reply = await fetch(`${this.url}/api/v1/${path}`);
		return (await reply.json()).data;
	}

	/* [{ job, health, lastError }] */
	async targets() {
		return (await this.ask('targets')).activeTargets.map(({ labels, health, lastError }) =>
			({ job: labels.job, health, lastError }));
	}

	/* The number that a query has, undefined when there is none yet. */
	async query(text) {
		const { result } = await this.ask(`query?query=${encodeURIComponent(text)}`);
		return result.length === 0 ? undefined : Number(result[0].value[1]);
	}

	async close() {
		await this.child.stop();
		await rm(this.dir, { recursive: true, force: true });
	}
}
