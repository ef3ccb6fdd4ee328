/*
 * gateway - a `posthouse serve gateway` of its own, and an upstream that says what reached it
 *
 *	const gw = await Gateway.start({ gateway: { trusted_ips: '127.0.0.1' } });
 *	const echo = await Echo.start();
 *	await gw.route({ url: echo.url }, { paths: ['/r'] });
 *	const { status, json } = await gw.get('/r/x');	json: { method, url, headers, raw, body }
 *	await gw.close();
 *
 * `gw.proxy` and `gw.adminUrl` are URLs; with several listeners `gw.proxies` has all.
 * A change through the Admin API is in force when it is answered.
 */
import http from 'node:http';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Mailbox, within } from './check.mjs';
import { request } from './client.mjs';
import { Child, takeOver } from './process.mjs';
import { RawConnection } from './raw.mjs';
import { newDatabase } from './server.mjs';

const DEFAULTS = { listen: ['127.0.0.1:0'], admin: [{ listen: '127.0.0.1:0' }] };

export class Gateway {
	/* Sections as of the configuration, `env`, and the `database` of another one. */
	static async start({ env = {}, database, ...sections } = {}) {
		const gw = new Gateway();
		gw.dir = await mkdtemp(join(tmpdir(), 'posthouse-gateway-'));
		gw.file = join(gw.dir, 'posthouse.yaml');
		gw.env = env;
		gw.sections = sections;
		gw.database = database ?? await newDatabase(gw.dir);
		await gw.configure();
		await gw.launch();
		return gw;
	}

	/* Writes the configuration (JSON is YAML); SIGHUP or a new launch reads it. */
	async configure(changes = {}) {
		for (const [section, values] of Object.entries(changes)) {
			this.sections[section] = { ...this.sections[section], ...values };
		}
		await writeFile(this.file, JSON.stringify({
			database: this.database, data: this.dir, database_connections: 4,
			status: { listen: '127.0.0.1:0' }, ...this.sections,
			gateway: { ...DEFAULTS, ...this.sections.gateway },
		}, null, 2));
	}

	async launch() {
		this.child = new Child('gateway', ['serve', 'gateway', '--config', this.file], { env: this.env });
		const line = await this.child.line(/(^|\s)ready /);
		const urls = (name) => (new RegExp(`\\b${name}=(\\S*?)"?(?:\\s|$)`).exec(line)?.[1] ?? '').split(',');
		this.proxies = urls('gateway');
		[this.proxy] = this.proxies;
		[this.adminUrl] = urls('admin');
		[this.status] = urls('status');
	}

	async restart(changes) {
		await this.stop();
		await this.configure(changes);
		await this.launch();
	}

	/* { status, json, text, headers } of a call of the Admin API; `body` goes as JSON, a string as a form. */
	async admin(method, path, body, { type, headers = {} } = {}) {
		if (body === undefined) {
			return await request(this.adminUrl, path, { method, headers });
		}
		const isText = typeof body === 'string';
		return await request(this.adminUrl, path, {
			method,
			headers: {
				'Content-Type': type ?? (isText ? 'application/x-www-form-urlencoded' : 'application/json'),
				...headers,
			},
			body: isText ? body : JSON.stringify(body),
		});
	}

	/* The same; any other status fails the test. */
	async want(status, method, path, ...more) {
		const reply = await this.admin(method, path, ...more);
		if (reply.status !== status) {
			throw new Error(`${method} ${path} answered ${reply.status}, not ${status}: ${reply.text}`);
		}
		return reply;
	}

	/* The entity; anything but 2xx fails the test. */
	async make(path, body, method = 'POST') {
		const reply = await this.admin(method, path, body);
		if (reply.status < 200 || reply.status > 299) {
			throw new Error(`${method} ${path} answered ${reply.status}: ${reply.text}`);
		}
		return reply.status === 204 ? undefined : reply.json;
	}

	/* A service with one route. */
	async route(service, route) {
		const s = await this.make('/services', service);
		return { service: s, route: await this.make(`/services/${s.id}/routes`, route) };
	}

	/* Takes every route, service, upstream, consumer and plugin away. */
	async clear() {
		for (const kind of ['plugins', 'routes', 'services', 'upstreams', 'consumers']) {
			for (const { id } of (await this.make(`/${kind}?size=1000`, undefined, 'GET')).data) {
				await this.make(`/${kind}/${id}`, undefined, 'DELETE');
			}
		}
	}

	/* A request through the proxy, its path as it stands: { status, headers, raw, body, text, json }. */
	async send(method, path, options = {}) {
		return await request(options.url ?? this.proxy, path, { method, ...options });
	}

	async get(path, headers = {}) {
		return await this.send('GET', path, { headers });
	}

	async post(path, body, headers = {}) {
		return await this.send('POST', path, { body, headers });
	}

	/* A WebSocket, after 101; nobody says anything in it. */
	async webSocket(path) {
		const raw = await RawConnection.open(this.proxy);
		raw.send(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
		if (!await raw.until(() => raw.text.startsWith('HTTP/1.1 101 '), `${path} becomes a WebSocket`)) {
			throw new Error(`GET ${path} was answered ${raw.text}`);
		}
		return raw;
	}

	/* Resident bytes of the process. */
	async rss() {
		return await this.memory('VmRSS');
	}

	/* The most it has had since forgetPeak(). */
	async peakRss() {
		return await this.memory('VmHWM');
	}

	/* "5" makes the peak what is resident now: proc(5). */
	async forgetPeak() {
		await writeFile(`/proc/${this.child.pid}/clear_refs`, '5');
	}

	async memory(name) {
		const status = await readFile(`/proc/${this.child.pid}/status`, 'utf8');
		return Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)[1]) * 1024;
	}

	/*
	 * SIGUSR2: another process takes over. Resolves with the former's end, while `this`
	 * goes on as the new one, whose output is that of the former. Needs fixed ports.
	 */
	async takeOver() {
		const former = this.child;
		this.child = await takeOver(former);
		return await within(former.exited, 'the former process ends');
	}

	kill() {
		return this.child.kill();
	}

	async stop() {
		const end = await this.child.stop();
		if (end.code !== 0) {
			throw new Error(`gateway ended with ${end.code ?? end.signal}\n${this.child.story()}`);
		}
	}

	async close() {
		try {
			if (this.child.isRunning) {
				await this.stop();
			}
		} finally {
			await rm(this.dir, { recursive: true, force: true });
		}
	}
}

/*
 * Answers what it received as JSON, unless `answer(req, res, body)` is given and answers
 * itself. Every request is kept in `requests` and put into the mailbox `hits`.
 */
export class Echo {
	static async start({ answer, port = 0, host = '127.0.0.1' } = {}) {
		const echo = new Echo();
		echo.requests = [];
		echo.hits = new Mailbox('the upstream is hit');
		echo.answer = answer ?? reply;
		echo.server = http.createServer({ keepAliveTimeout: 60_000 }, (req, res) => {
			echo.serve(req, res).catch((error) => res.destroy(error));
		});
		echo.server.on('clientError', (_, socket) => socket.destroy());
		echo.server.listen(port, host);
		await once(echo.server, 'listening');
		echo.port = echo.server.address().port;
		echo.url = `http://${host}:${echo.port}`;
		return echo;
	}

	async serve(req, res) {
		const chunks = [];
		for await (const chunk of req) {
			chunks.push(chunk);
		}
		const seen = {
			method: req.method, url: req.url, headers: req.headers, raw: pairs(req.rawHeaders),
			body: Buffer.concat(chunks).toString('latin1'), port: this.port,
		};
		this.requests.push(seen);
		this.hits.put(seen);
		await this.answer(req, res, seen);
	}

	/* Answers 101 to who asks for a WebSocket, and nothing after that. */
	takeWebSockets() {
		this.server.on('upgrade', (_, socket) => {
			socket.on('error', () => {}).on('end', () => socket.end()).resume();
			socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
		});
	}

	async close() {
		this.server.closeAllConnections();
		await new Promise((done) => this.server.close(done));
	}
}

function reply(req, res, seen) {
	const text = JSON.stringify(seen);
	res.setHeader('Content-Type', 'application/json');
	res.setHeader('Content-Length', Buffer.byteLength(text));
	res.end(text);
}

function pairs(flat) {
	return flat.flatMap((_, i) => (i % 2 ? [] : [[flat[i], flat[i + 1]]]));
}
