/*
 * options - the command line of a benchmark, and what --help says of it
 *
 *	const options = readOptions('bench/x', 'what it measures', {
 *		rounds: { default: 3, doc: 'median of so many' },	a whole number of at least `min`, else 1
 *		only: { choices: ['a', 'b'], doc: 'scenarios' },	a list of them; default: all
 *		match: { text: 'WORDS', doc: 'attacks named so' },	default: none
 *	});
 *
 * --help ends the program with 0, what is wrong with 2.
 */
import { parseArgs } from 'node:util';

function valueOf(o) {
	if (o.default !== undefined) {
		return 'N';
	}
	return o.choices ? 'NAMES' : o.text;
}

function remark(o) {
	if (o.choices) {
		return `: of ${o.choices.join(',')} (default: all)`;
	}
	return o.default === undefined ? '' : ` (default: ${o.default})`;
}

function help(name, what, table) {
	const all = { ...table, help: { doc: 'this list' } };
	const rows = Object.entries(all).map(([key, o]) => [`--${key} ${valueOf(o) ?? ''}`.trim(), o.doc + remark(o)]);
	const width = Math.max(...rows.map(([left]) => left.length)) + 2;
	return [`${name}: ${what}`, '', ...rows.map(([left, right]) => `  ${left.padEnd(width)}${right}`), ''].join('\n');
}

function read(o, key, text) {
	if (o.choices) {
		const names = text?.split(',') ?? o.choices;
		const unknown = names.filter((n) => !o.choices.includes(n));
		if (unknown.length > 0) {
			throw new Error(`--${key}: no ${unknown.join(', ')}; there are ${o.choices.join(', ')}`);
		}
		return names;
	}
	if (o.default === undefined) {
		return text;
	}
	const n = Number(text ?? o.default);
	const min = o.min ?? 1;
	if (!Number.isInteger(n) || n < min) {
		throw new Error(`--${key} must be a whole number of at least ${min}`);
	}
	return n;
}

export function readOptions(name, what, table) {
	const types = Object.keys(table).map((key) => [key, { type: 'string' }]);
	try {
		const { values } = parseArgs({ options: { ...Object.fromEntries(types), help: { type: 'boolean', short: 'h' } } });
		if (values.help) {
			process.stdout.write(help(name, what, table));
			process.exit(0);
		}
		return Object.fromEntries(Object.entries(table).map(([key, o]) => [key, read(o, key, values[key])]));
	} catch (error) {
		console.error(`${name}: ${error.message}\n${name} --help lists the options`);
		return process.exit(2);
	}
}
