/*
 * ports - a port that is free now, for tests that need to know it before the server starts
 */
import net from 'node:net';
import { once } from 'node:events';

export async function freePort() {
	const server = net.createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address();
	server.close();
	await once(server, 'close');
	return port;
}
