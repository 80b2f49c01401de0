import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realExec } from '../../sys/exec.ts';
import { placeTree } from './place.ts';

let root: string;
let target: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hostport-place-'));
  target = join(root, 'target');
});
afterEach(() => rmSync(root, { recursive: true }));

/** An archive of `a`, `d/b` and `z`, in a directory of mode 0750. */
async function archive(): Promise<Uint8Array> {
  const source = join(root, 'source');
  mkdirSync(join(source, 'd'), { recursive: true });
  for (const name of ['a', 'd/b', 'z']) writeFileSync(join(source, name), `new ${name}`);
  chmodSync(source, 0o750);
  const { stdoutBytes } = await realExec.run(['tar', '-C', source, '-cf', '-', '.'], { binary: true });
  rmSync(source, { recursive: true });
  return stdoutBytes!;
}

const files = () =>
  readdirSync(target, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map(({ parentPath, name }) => `${join(parentPath, name).slice(target.length + 1)}`)
    .sort();
const read = (name: string) => readFileSync(join(target, name), 'utf8');

describe('a tree', () => {
  test('at a new path', async () => {
    await placeTree(realExec, await archive(), target);
    expect(files()).toEqual(['a', 'd/b', 'z']);
    expect(statSync(target).mode & 0o777).toBe(0o750);
    expect(readdirSync(root)).toEqual(['target']);
  });

  test('into a directory that is there: over files of its names, beside others, with its mode', async () => {
    mkdirSync(join(target, 'd'), { recursive: true });
    for (const name of ['a', 'd/b', 'd/c']) writeFileSync(join(target, name), 'old');
    chmodSync(target, 0o755);
    await placeTree(realExec, await archive(), target);
    expect(files()).toEqual(['a', 'd/b', 'd/c', 'z']);
    expect(['a', 'd/b', 'd/c'].map(read)).toEqual(['new a', 'new d/b', 'old']);
    expect(statSync(target).mode & 0o777).toBe(0o750);
  });

  test.each<[string, string, () => void, string]>([
    ['a file over a directory', 'z', () => mkdirSync(join(target, 'z')), 'it is a directory'],
    [
      'a file over a directory below',
      'd/b',
      () => mkdirSync(join(target, 'd/b'), { recursive: true }),
      'it is a directory',
    ],
    ['a directory over a file', 'd', () => writeFileSync(join(target, 'd'), 'old'), 'it is not a directory'],
    [
      'a directory over a link',
      'd',
      () => symlinkSync('/nowhere', join(target, 'd')),
      'it is not a directory',
    ],
  ])('%s is refused before anything is replaced', async (_, name, put, why) => {
    mkdirSync(target);
    chmodSync(target, 0o755);
    writeFileSync(join(target, 'a'), 'old');
    put();
    const before = files();
    await expect(placeTree(realExec, await archive(), target)).rejects.toThrow(
      `cannot write ${join(target, name)}: ${why}, and what would replace it is of another kind; remove it first`,
    );
    expect(files()).toEqual(before);
    expect(read('a')).toBe('old');
    expect(statSync(target).mode & 0o777).toBe(0o755);
  });
});
