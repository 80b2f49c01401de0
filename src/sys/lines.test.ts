import { expect, test } from 'bun:test';
import { linesOf } from './lines.ts';

async function* stream(...chunks: string[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk, 'latin1');
}

const collect = (chunks: string[], maxBytes = 10) => Array.fromAsync(linesOf(stream(...chunks), maxBytes));
const latin1 = (text: string) => Buffer.from(text, 'utf8').toString('latin1');

test.each<[string, string[], string[]]>([
  ['in one chunk', ['a\nb\n'], ['a', 'b']],
  ['in several chunks', ['a', 'b\nc', '\n', 'd\n'], ['ab', 'c', 'd']],
  ['a character in two chunks', [latin1('ä\n').slice(0, 1), latin1('ä\n').slice(1)], ['ä']],
  ['empty ones', ['\n\n'], ['', '']],
  ['of nothing', [], []],
  ['what is left without an end', ['a\nb'], ['a']],
  ['as long as may be', ['0123456789\n0123456789\n'], ['0123456789', '0123456789']],
])('lines %s', async (_, chunks, want) => expect(await collect(chunks)).toEqual(want));

test('a line that is too long is an error as soon as it is', async () => {
  expect(collect(['01234', '567890'])).rejects.toThrow('a line has more than 10 bytes');
});
