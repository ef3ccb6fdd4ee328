/*
 * hostile - messages that no HTTP/1 recipient may take, by the class of attack
 *
 * REFUSED: [name, function of the path that gives the bytes, statuses allowed (400 alone
 * where none are given)]. BAD_ANSWERS: [name, bytes, 'end' where the peer closes behind them].
 */
export const post = (headers, body) => (path) => `POST ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n${body}`;
export const get = (headers) => (path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n\r\n`;
export const chunked = (body) => post('Transfer-Encoding: chunked', body);
export const long = (n) => 'x'.repeat(n);

export const REFUSED = [
	/* 1: framing told twice */
	['Content-Length and Transfer-Encoding', post('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n')],
	['Transfer-Encoding and Content-Length', post('Transfer-Encoding: chunked\r\nContent-Length: 5', '0\r\n\r\n')],
	['Content-Length twice, equal', post('Content-Length: 5\r\nContent-Length: 5', 'Hello')],
	['Content-Length twice, different', post('Content-Length: 5\r\nContent-Length: 6', 'Hello')],
	['Transfer-Encoding twice', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', '0\r\n\r\n')],
	['Transfer-Encoding: identity, chunked in two lines', post('Transfer-Encoding: identity\r\nTransfer-Encoding: chunked', '0\r\n\r\n'), [400, 501]],
	...[',chunked', 'chunked,', 'xchunked', 'chunkedx', 'chunked chunked', 'chunked, chunked', '"chunked"', 'chunked;a=b',
		'\xa0chunked', 'chunked\xa0', '\x85chunked', 'chunked\x85', '\xffchunked', 'chunked\x00', '\x0bchunked', 'chunked\x0c',
		'', 'identity', 'gzip, chunked', 'chunked, gzip', 'chunked, identity', 'cow'].map((coding) =>
		[`Transfer-Encoding: ${JSON.stringify(coding)}`, post(`Transfer-Encoding: ${coding}`, '0\r\n\r\n'), [400, 501]]),
	['Transfer-Encoding in HTTP/1.0', (path) => `POST ${path} HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],

	/* 2: Content-Length */
	...['', '+10', '-48', '010', '0x10', '1_0', '1Z', '5, 5', '5,6', '5;5', ' ', '1 0', '1.0', '1e1', '\xb25', '18446744073709551616',
		'9223372036854775808', '99999999999999999999999', '4294967296999999999999'].map((value) =>
		[`Content-Length: ${JSON.stringify(value)}`, post(`Content-Length: ${value}`, 'Hello'), [400, 413]]),

	/* 3: chunks */
	...['', '0x5', '+5', '-5', '5_', '5g', ' 5', '\t5', 'g', ';a', '5 5', '5\r', '10000000000000000', 'ffffffffffffffff',
		'fffffffffffffffff', '0000000000000000000000000000000005'].map((size) =>
		[`chunk size ${JSON.stringify(size)}`, chunked(`${size}\r\nHello\r\n0\r\n\r\n`), [400, 413]]),
	['CR in a chunk extension', chunked('5;a\rb\r\nHello\r\n0\r\n\r\n')],
	['LF in a chunk extension', chunked('5;a\nb\r\nHello\r\n0\r\n\r\n')],
	['NUL in a chunk extension', chunked('5;a\0b\r\nHello\r\n0\r\n\r\n')],
	['bare LF after a chunk size', chunked('5\nHello\r\n0\r\n\r\n')],
	['bare LF after a chunk', chunked('5\r\nHello\n0\r\n\r\n')],
	['bare CR after a chunk', chunked('5\r\nHello\r0\r\n\r\n')],
	['bytes after a chunk', chunked('5\r\nHelloXX\r\n0\r\n\r\n')],
	['XX after the end of a chunk', chunked('5\r\nHello\r\nXX0\r\n\r\n')],
	['an empty line before the last chunk', chunked('5\r\nHello\r\n\r\n0\r\n\r\n')],
	['a trailer without colon', chunked('0\r\nX-Trailer\r\n\r\n')],
	['a trailer with blank before the colon', chunked('0\r\nX-Trailer : 1\r\n\r\n')],
	['a trailer that frames: Content-Length', chunked('0\r\nContent-Length: 5\r\n\r\n')],
	['a trailer that frames: Transfer-Encoding', chunked('0\r\nTransfer-Encoding: chunked\r\n\r\n')],
	['a bare LF in the trailer', chunked('0\r\nX-T: 1\n\r\n')],
	['an endless chunk extension', chunked(`5;${long(100_000)}\r\nHello\r\n0\r\n\r\n`), [400, 413, 431]],
	['endless trailers', chunked(`0\r\n${'X-T: 1\r\n'.repeat(20_000)}\r\n`), [400, 413, 431]],

	/* 4: header names */
	['an empty header name', get(': value')],
	['blank before the colon', get('X-A : 1')],
	['tab before the colon', get('X-A\t: 1')],
	['blank before Content-Length\'s colon', post('Content-Length : 5', 'Hello')],
	['a blank on the first header line', (path) => `GET ${path} HTTP/1.1\r\n Host: x\r\n\r\n`],
	...['\0', '\r', '\n', '\x80', '\xa0', '\x7f', '(', ',', '/', ';', '@', '[', '{', '"'].map((byte) =>
		[`${JSON.stringify(byte)} in a header name`, get(`X-${byte}A: 1`)]),
	['no colon', get('X-A')],
	['a name over 64 KiB', get(`${long(65_541)}: 1`), [400, 431]],
	['a value over 64 KiB', get(`X-A: ${long(70_000)}`), [400, 431]],
	['2000 headers', get(Array.from({ length: 2000 }, (_, i) => `X-${i}: 1`).join('\r\n')), [400, 431]],

	/* 5: header values and line ends */
	['NUL in a value', get('X-A: a\0b')],
	['bare CR in a value', get('X-A: a\rb')],
	['bare LF in a value', get('X-A: a\nX-B: b')],
	['a control character in a value', get('X-A: a\x01b')],
	['obs-fold with a blank', get('X-A: a\r\n b')],
	['obs-fold with a tab', get('X-A: a\r\n\tb')],
	['obs-fold in Transfer-Encoding', post('Transfer-Encoding:\r\n chunked', '0\r\n\r\n')],
	['LF only line ends', (path) => `GET ${path} HTTP/1.1\nHost: x\n\n`],
	['LF after the request line', (path) => `GET ${path} HTTP/1.1\nHost: x\r\n\r\n`],
	['LF LF at the end of the head', (path) => `GET ${path} HTTP/1.1\r\nHost: x\n\n`],
	['CR CR LF', get('X-A: a\r')],

	/* 6: the request line */
	...['HTTP/1.32', 'HTTP/\r1.1', 'HTTP/1.1x', 'HTTP/01.1', 'HTTP/1', 'HTTP/1.', 'http/1.1', 'HTTPS/1.1', 'XTTP/1.1', 'HTTP/+1.1',
		'HTTP/1.1 HTTP/1.1', 'HTTP/9.9', 'HTTP/2.0', 'HTTP/1.\0', ''].map((version) =>
		[`version ${JSON.stringify(version)}`, (path) => `GET ${path} ${version}\r\nHost: x\r\n\r\n`, [400, 505]]),
	...['', 'G\0T', 'G(T', 'GET/', 'G\x80T', 'GET\t', ' GET', 'GET\r', long(10_000)].map((method) =>
		[`method ${JSON.stringify(method.slice(0, 12))}`, (path) => `${method} ${path} HTTP/1.1\r\nHost: x\r\n\r\n`, [400, 405, 414, 431, 501]]),
	['two blanks after the method', (path) => `GET  ${path} HTTP/1.1\r\nHost: x\r\n\r\n`],
	['two blanks before the version', (path) => `GET ${path}  HTTP/1.1\r\nHost: x\r\n\r\n`],
	['a tab for a blank', (path) => `GET\t${path} HTTP/1.1\r\nHost: x\r\n\r\n`],
	...['\0', '\x01', '\x7f', '\x80', '\xff'].map((byte) =>
		[`${JSON.stringify(byte)} in the target`, (path) => `GET ${path}${byte} HTTP/1.1\r\nHost: x\r\n\r\n`]),
	['a fragment in the target', (path) => `GET ${path}#a HTTP/1.1\r\nHost: x\r\n\r\n`],
	['no slash in the target', () => 'GET relay/T1/web/x HTTP/1.1\r\nHost: x\r\n\r\n'],
	['a target over the limit', (path) => `GET ${path}${long(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, [400, 414, 431]],
	['no Host', (path) => `GET ${path} HTTP/1.1\r\nX-A: 1\r\n\r\n`],
	['Host twice', get('Host: y')],
	['Host twice, equal', get('Host: x')],
	...['a\0.b', 'a b', 'a/b', 'a@b', 'a,b', 'a:b:c', 'a:99999999', '[::1', 'a\\b', 'a?b', 'a#b', '\xe9'].map((host) =>
		[`Host: ${JSON.stringify(host)}`, (path) => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`]),
	['absolute form that differs from Host', (path) => `GET http://other${path} HTTP/1.1\r\nHost: x\r\n\r\n`],
	['CONNECT', () => 'CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n', [400, 405, 501]],
	['an HTTP/2 preface', () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 505]],
	['TLS on a plain port', () => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n'],
];

export const head = (headers, status = 'HTTP/1.1 200 OK') => `${status}\r\n${headers}\r\n\r\n`;

/* What a target may not answer: the client gets 502, the connection is not used again. */
export const BAD_ANSWERS = [
	['Content-Length and Transfer-Encoding', `${head('Content-Length: 5\r\nTransfer-Encoding: chunked')}0\r\n\r\n`],
	['Content-Length twice, different', `${head('Content-Length: 5\r\nContent-Length: 6')}Hello!`],
	['Content-Length as a list', `${head('Content-Length: 5, 6')}Hello!`],
	['Content-Length signed', `${head('Content-Length: +5')}Hello`],
	['Content-Length empty', `${head('Content-Length: ')}Hello`],
	['Content-Length too large', `${head('Content-Length: 99999999999999999999')}Hello`],
	['an unknown coding', `${head('Transfer-Encoding: cow')}Hello`],
	['chunked not last', `${head('Transfer-Encoding: chunked, gzip')}0\r\n\r\n`],
	['a bad chunk size', `${head('Transfer-Encoding: chunked')}0x5\r\nHello\r\n0\r\n\r\n`],
	['bytes after a chunk', `${head('Transfer-Encoding: chunked')}5\r\nHelloXX\r\n0\r\n\r\n`],
	['a bare LF in the head', 'HTTP/1.1 200 OK\nContent-Length: 5\n\nHello'],
	['a bare CR in a value', `${head('X-A: a\rX-B: b\r\nContent-Length: 5')}Hello`],
	['NUL in a value', `${head('X-A: a\0b\r\nContent-Length: 5')}Hello`],
	['an empty name', `${head(': a\r\nContent-Length: 5')}Hello`],
	['blank before the colon', `${head('Content-Length : 5')}Hello`],
	['obs-fold', `${head('X-A: a\r\n b\r\nContent-Length: 5')}Hello`],
	['no colon', `${head('X-A\r\nContent-Length: 5')}Hello`],
	['a status line of another protocol', 'ICY 200 OK\r\nContent-Length: 5\r\n\r\nHello'],
	['a bad version', `${head('Content-Length: 5', 'HTTP/2.0 200 OK')}Hello`],
	['a short status', `${head('Content-Length: 5', 'HTTP/1.1 20 OK')}Hello`],
	['a long status', `${head('Content-Length: 5', 'HTTP/1.1 2000 OK')}Hello`],
	['status 099', `${head('Content-Length: 5', 'HTTP/1.1 099 OK')}Hello`],
	['an endless head', `HTTP/1.1 200 OK\r\n${'X-A: 1\r\n'.repeat(50_000)}`],
	['101 without being asked', head('Upgrade: x\r\nConnection: upgrade', 'HTTP/1.1 101 Switching Protocols')],
	['endless interim answers', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(10_000)],
	['a body cut short', `${head('Content-Length: 50')}Hello`, 'end'],
	['a chunked body cut short', `${head('Transfer-Encoding: chunked')}5\r\nHello\r\n`, 'end'],
	['a head cut short', 'HTTP/1.1 200 OK\r\nContent-Le', 'end'],
	['no answer at all', '', 'end'],
];
