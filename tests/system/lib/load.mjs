/*
 * load - requests without a pause, beside what a test does meanwhile
 *
 *	const traffic = load(getter(gw, '/s', agent), 4);
 *	…
 *	const { n, failed } = await traffic.stop();
 */
import { within } from './check.mjs';

/* `ask()` in so many workers until stop(), which tells how often and what failed: what it threw, or returned. */
export function load(ask, workers = 4) {
	const failed = [];
	let isOn = true;
	let n = 0;
	const ends = Array.from({ length: workers }, async () => {
		while (isOn) {
			try {
				const problem = await ask();
				if (problem) {
					failed.push(problem);
				}
			} catch (error) {
				failed.push(`${error.code ?? ''} ${error.message}`);
			}
			n++;
		}
	});
	return {
		get n() {
			return n;
		},
		get failed() {
			return failed;
		},
		async stop() {
			isOn = false;
			await within(Promise.all(ends), 'the load ends');
			return { n, failed };
		},
	};
}

/* GET through the gateway; what it should not have answered. */
export function getter(gw, path, agent) {
	return async () => {
		const { status, text } = await gw.send('GET', path, { agent });
		return status === 200 ? undefined : `${status} ${text}`;
	};
}

/* A kong.yml, large enough that one lost generation can be seen: /load, `path`, and as many routes more. */
export function kong(url, path, routes = 200) {
	const lines = ['_format_version: "3.0"', 'services:', '- name: s', `  url: ${url}`, '  routes:',
		'  - {name: load, paths: [/load]}', `  - {name: which, paths: [${path}]}`];
	for (let i = 0; i < routes; i++) {
		lines.push(`  - {name: r${i}, paths: [/r${i}], plugins: [{name: correlation-id}]}`);
	}
	return `${lines.join('\n')}\n`;
}
