/*
 * httpserver - tests/programs/serve_http: the HTTP server of the rooms below, without a role
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { within } from './check.mjs';

const BIN = process.env.POSTHOUSE_BIN ?? 'build/posthouse';

export class HttpServer {
	static async start(...args) {
		const s = new HttpServer();
		s.child = spawn(path.join(path.dirname(BIN), 'tests/programs/serve_http'), args.map(String), {
			stdio: ['pipe', 'pipe', 'inherit'],
		});
		const [line] = await within(once(s.child.stdout, 'data'), 'serve_http says its port');
		s.url = `http://127.0.0.1:${String(line).trim()}`;
		return s;
	}

	/* Ends its input: it drains. */
	drain() {
		this.child.stdin.end();
	}

	async close() {
		const ended = this.child.exitCode === null ? once(this.child, 'exit') : [this.child.exitCode];
		this.drain();
		const [code] = await within(ended, 'serve_http ends');
		if (code !== 0) {
			throw new Error(`serve_http ended with ${code}`);
		}
	}
}
