/*
 * certificate - a P-256 key and a certificate that it signs itself, for three days
 *
 *	const { key, cert } = await selfSigned(dir, 'a.test');		PEM
 *	const { key, cert } = await selfSignedFiles(dir, 'a.test');	paths of such files in `dir`
 *
 * The certificate is for the host of that name; `alt` says otherwise (`DNS:a.test,IP:127.0.0.1`). It may sign
 * others, as a root does.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execute } from './process.mjs';

export async function selfSignedFiles(dir, name, { alt = `DNS:${name}` } = {}) {
	const [key, cert] = [join(dir, `${name}.key`), join(dir, `${name}.pem`)];
	await execute('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '3',
		'-subj', `/CN=${name}`, '-addext', `subjectAltName=${alt}`, '-keyout', key, '-out', cert]);
	return { key, cert };
}

export async function selfSigned(dir, name, options) {
	const { key, cert } = await selfSignedFiles(dir, name, options);
	return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') };
}
