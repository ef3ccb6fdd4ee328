/*
 * connector - a `posthouse connect` process
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Child } from './process.mjs';

let count = 0;

export class Connector {
	/* Returns once it is connected, unless `wait` is false. */
	static async start(server, { tenant, secret, targets = {}, url = server.relay, env = {},
		settings = {}, wait = true, name = `connector ${++count}` }) {
		const connector = new Connector();
		const file = join(server.dir, `connect-${count}-${Date.now()}.yaml`);
		connector.file = file;
		connector.config = connectorConfig(url, tenant, secret, targets, settings);
		await connector.write();
		connector.child = new Child(name, ['connect', '--config', file], { env });
		if (wait) {
			await connector.connected();
		}
		return connector;
	}

	/* For a reload: changes section connect. */
	async write(changes = {}) {
		Object.assign(this.config.connect, changes);
		await writeFile(this.file, JSON.stringify(this.config, null, 2));
	}

	reload() {
		process.kill(this.child.pid, 'SIGHUP');
	}

	/* Printed at each connection made; `from` is the number of lines to skip. */
	async connected({ from = 0, ms } = {}) {
		return await this.child.line(/(^|\s)ready\b|"ready"/, { from, ms });
	}

	get seenLines() {
		return this.child.lines.length;
	}

	async stop() {
		await this.child.stop();
	}

	async kill() {
		await this.child.kill();
	}

	async close() {
		if (this.child.isRunning) {
			this.child.thaw();
			await this.child.kill();
		}
	}
}

/* A target is a URL, or { url, timeout, options }. */
function connectorConfig(server, tenant, secret, targets, settings) {
	const entries = Object.entries(targets).map(([id, t]) =>
		[id, typeof t === 'string' ? { url: t } : t]);
	return { connect: { server, tenant, secret, targets: Object.fromEntries(entries), ...settings } };
}
