/*
 * contestants - Posthouse, and the proxies that it is measured beside, as alike as they can be set
 *
 * Each has one thread, plain HTTP/1.1 on one port and TLS with HTTP/2 and HTTP/1.1 on another,
 * keeps connections to the target alive and writes no access log. Each call starts a fresh one.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BIN, dir, fetchOnce, freePort, nginx, reachable, root, start } from './lib.mjs';

const CERT = join(dir, 'cert.pem');
const KEY = join(dir, 'key.pem');
let instances = 0;

export function makeCertificate() {
	execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
		'-keyout', KEY, '-out', CERT, '-days', '7', '-subj', '/CN=localhost',
		'-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'], { stdio: 'pipe', timeout: 60_000 });
	/* HAProxy wants both in one file. h2o reads them before it becomes "nobody". */
	writeFileSync(join(dir, 'both.pem'), Buffer.concat([readFileSync(CERT), readFileSync(KEY)]));
}

/* Starts with two free ports and waits until both answer as the target does. */
async function contestant(name, target, launch, { path = '/1k', headers } = {}) {
	const [port, tlsPort] = [await freePort(), await freePort()];
	const id = `${name.split(' ')[0]}-${++instances}`;
	const child = await launch({ id, port, tlsPort, target: target.port });
	const [base, tls] = [`http://127.0.0.1:${port}`, `https://127.0.0.1:${tlsPort}`];
	for (const url of [base, tls]) {
		const reply = await reachable(url + path, { headers, child });
		if (reply.body.length !== 1024) {
			throw new Error(`${name} answers ${url}${path} with ${reply.body.length} bytes instead of 1024`);
		}
	}
	return { name, base, tls, child, pids: [child.pid] };
}

/* nginx and HAProxy reserve memory for as many connections as they may have. */
const MANY = 12000;

export const startNginx = (target, connections = MANY) => contestant('nginx', target, ({ id, port, tlsPort, target: to }) => nginx(id, `
	upstream target { server 127.0.0.1:${to}; keepalive 256; keepalive_requests 100000000; }
	proxy_max_temp_file_size 0;
	server {
		listen 127.0.0.1:${port};
		listen 127.0.0.1:${tlsPort} ssl http2;
		ssl_certificate ${CERT}; ssl_certificate_key ${KEY};
		location / { proxy_pass http://target; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}`, { connections }));

export const startHaproxy = (target, connections = MANY) => contestant('HAProxy', target, ({ id, port, tlsPort, target: to }) => {
	const conf = join(dir, `${id}.cfg`);
	/* Connections to the target are few, so that MANY of clients fit below the limit of files. */
	writeFileSync(conf, `
global
	nbthread 1
	maxconn ${connections}
	no strict-limits
defaults
	mode http
	http-reuse always
	timeout connect 10s
	timeout client 600s
	timeout server 600s
	timeout http-keep-alive 600s
frontend in
	bind 127.0.0.1:${port}
	bind 127.0.0.1:${tlsPort} ssl crt ${join(dir, 'both.pem')} alpn h2,http/1.1
	maxconn ${connections}
	default_backend target
backend target
	server target 127.0.0.1:${to} pool-max-conn 512
`);
	return start('haproxy', ['-db', '-q', '-f', conf]);
});

export const startH2o = (target) => contestant('h2o', target, ({ id, port, tlsPort, target: to }) => {
	const conf = join(dir, `${id}.yaml`);
	writeFileSync(conf, `
num-threads: 1
max-connections: ${MANY}
error-log: ${join(dir, `${id}.log`)}
listen:
  host: 127.0.0.1
  port: ${port}
listen:
  host: 127.0.0.1
  port: ${tlsPort}
  ssl:
    certificate-file: ${CERT}
    key-file: ${KEY}
    ocsp-update-interval: 0
hosts:
  default:
    paths:
      "/":
        proxy.reverse.url: http://127.0.0.1:${to}/
        proxy.timeout.keepalive: 60000
`);
	return start('h2o', ['-m', 'worker', '-c', conf]);
});

export const startCaddy = (target) => contestant('Caddy', target, ({ id, port, tlsPort, target: to }) => {
	const conf = join(dir, `${id}.caddyfile`);
	const proxy = `reverse_proxy 127.0.0.1:${to} {
		transport http {
			keepalive 60s
			keepalive_idle_conns 512
			keepalive_idle_conns_per_host 512
		}
	}`;
	writeFileSync(conf, `{
	admin off
	auto_https off
	log {
		level ERROR
	}
}
http://127.0.0.1:${port} {
	bind 127.0.0.1
	${proxy}
}
https://127.0.0.1:${tlsPort} {
	bind 127.0.0.1
	tls ${CERT} ${KEY}
	${proxy}
}
`);
	return start('caddy', ['run', '--adapter', 'caddyfile', '--config', conf], {
		env: { GOMAXPROCS: '1', HOME: dir, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir },
	});
});

/* ---- the floor ---- */

/* Bytes passed on unread: see copy.c. Plain HTTP/1 with connections that are kept, of a few KiB. */
export async function startCopier(target) {
	const [program, port] = [join(dir, 'copy'), await freePort()];
	execFileSync('cc', ['-O2', '-o', program, join(root, 'bench/copy.c')], { stdio: 'pipe', timeout: 60_000 });
	const child = await start(program, [String(port), String(target.port)]);
	const base = `http://127.0.0.1:${port}`;
	await reachable(`${base}/1k`, { child });
	return { name: 'bytes copied', base, child, pids: [child.pid] };
}

/* ---- Posthouse ---- */

export const KEY_HEADER = { apikey: 'bench' };

const plugins = (log) => ({
	plugins: [
		{ name: 'key-auth' },
		/* Counted for every request, never reached. */
		{ name: 'rate-limiting', config: { policy: 'local', hour: 1_000_000_000 } },
		{ name: 'prometheus' },
		{ name: 'file-log', config: { path: log } },
	],
	consumers: [{ username: 'bench', keyauth_credentials: [{ key: KEY_HEADER.apikey }] }],
});

const routesOf = (n) => (n === 0
	? [{ name: 'all', paths: ['/'] }]
	: Array.from({ length: n }, (_, i) => ({ name: `r${i}`, paths: [`/r${i}/`] })));

/*
 * One loop. routes: 0 for one that takes everything, else so many, /r0/ and so on.
 * withPlugins: the four that a public API has at least. roles: all, instead of the gateway alone.
 */
export async function startPosthouse(target, { name = 'Posthouse', routes = 0, withPlugins = false, allRoles = false } = {}) {
	const folder = join(dir, `posthouse-${++instances}`);
	const log = join(folder, 'access.log');
	mkdirSync(folder);
	const [admin, listen] = [await freePort(), ['127.0.0.1:0']];
	const headers = withPlugins ? KEY_HEADER : {};
	const made = await contestant(name, target, ({ port, tlsPort, target: to }) => {
		const config = join(folder, 'posthouse.yaml');
		writeFileSync(config, JSON.stringify({
			data: folder, loops: 1, log_level: 'warn',
			gateway: {
				listen: [`127.0.0.1:${port}`, { address: `127.0.0.1:${tlsPort}`, http2: true, tls: { cert: CERT, key: KEY } }],
				admin: [{ listen: `127.0.0.1:${admin}` }],
			},
			status: { listen },
			...(allRoles ? { relay: { listen, bodies: `file:${folder}` }, identity: { listen } } : {}),
		}));
		const entities = join(folder, 'kong.json');
		writeFileSync(entities, JSON.stringify({
			_format_version: '3.0',
			services: [{ name: 'target', url: `http://127.0.0.1:${to}`, routes: routesOf(routes) }],
			...(withPlugins ? plugins(log) : {}),
		}));
		execFileSync(BIN, ['gateway', 'load', entities, '--config', config], { stdio: 'pipe', timeout: 600_000 });
		return start(BIN, ['serve', ...(allRoles ? [] : ['gateway']), '--config', config], { ready: /ready .*\n/ });
	}, { path: routes > 0 ? `/r${routes - 1}/1k` : '/1k', headers });
	if (withPlugins) {
		await provePlugins(made, headers);
	}
	const status = /status=(\S+)/.exec(made.child.text)[1];
	return { ...made, admin: `http://127.0.0.1:${admin}`, status, headers, log };
}

/* A benchmark of plugins that do nothing would be a fast one. */
async function provePlugins({ base, name }, headers) {
	const [refused, taken] = [await fetchOnce(`${base}/1k`), await fetchOnce(`${base}/1k`, { headers })];
	if (refused.status !== 401 || taken.headers['x-ratelimit-limit-hour'] !== '1000000000') {
		throw new Error(`${name}: the plugins do not run: ${refused.status}, ${JSON.stringify(taken.headers)}`);
	}
}

/* The relay, and a connector for the target. */
export async function startRelay(target, loops = 1) {
	const data = join(dir, `relay-${++instances}`);
	mkdirSync(data);
	const config = join(data, 'posthouse.yaml');
	const listen = ['127.0.0.1:0'];
	writeFileSync(config, JSON.stringify({
		data, loops, log_level: 'warn',
		relay: { listen, bodies: `file:${data}`, connections_max: 65536, max_request_body_size: '1GiB', max_response_body_size: '1GiB' },
		identity: { listen }, status: { listen },
	}));
	const server = await start(BIN, ['serve', '--config', config], { ready: /ready .*\n/ });
	const base = /relay=(\S+?)[ ,\n]/.exec(server.text)[1];
	const { secret } = JSON.parse(execFileSync(BIN, ['tenant', 'add', 'bench', '--json', '--config', config]));
	const connector = await start(BIN, ['connect', '--server', base, '--tenant', 'bench', '--secret', secret,
		'--target', `web=http://127.0.0.1:${target.port}/`], { ready: /ready/ });
	await reachable(`${base}/relay/bench/web/1k`);
	return {
		base: `${base}/relay/bench/web`, relay: base, secret, child: server, connector, pids: [server.pid, connector.pid],
	};
}
