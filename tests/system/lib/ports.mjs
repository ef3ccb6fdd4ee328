/*
 * ports - a port that is free now, for tests that need to know it before the server starts,
 * and one where nobody listens
 */
import net from 'node:net';
import { once } from 'node:events';

/* A port that is only free now may be taken by a test beside this one. */
export const CLOSED_PORT = 1;

export async function freePort() {
	const server = net.createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address();
	server.close();
	await once(server, 'close');
	return port;
}
