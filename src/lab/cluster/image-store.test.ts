import { afterEach, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ImageStore, keepImage, lockImages } from './image-store.ts';

const never = new AbortController().signal;
const scratches: string[] = [];
afterEach(() => {
  for (const path of scratches.splice(0)) rmSync(path, { recursive: true });
});

/** A store of its own whose users are what was claimed. */
function emptyStore() {
  const root = mkdtempSync(join(tmpdir(), 'hostport-images-'));
  scratches.push(root);
  const used: string[] = [];
  const store: ImageStore = {
    directory: join(root, 'images'),
    lock: join(root, 'run/images.lock'),
    scratch: join(root, 'run/images'),
    inUse: async () => used,
  };
  const claim = async (image: string) => void used.push(image);
  return { store, used, claim, names: () => readdirSync(store.directory).toSorted() };
}

const write = (text: string) => async (directory: string) => writeFileSync(join(directory, 'made'), text);

async function thrownBy(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'nothing',
    (error) => String(error.message),
  );
}

describe('images', () => {
  test('are built once, and whole before they have their name', async () => {
    const { store, claim, names } = emptyStore();
    let builds = 0;
    const build = async (directory: string) => {
      builds++;
      expect(readdirSync(store.scratch)).toEqual([]);
      expect(existsSync(join(store.directory, 'a'))).toBe(false);
      await Bun.sleep(5);
      await write('a')(directory);
    };
    const both = await Promise.all([1, 2].map(() => keepImage(store, 'a', build, claim, never)));
    expect(both).toEqual([join(store.directory, 'a'), join(store.directory, 'a')]);
    expect(builds).toBe(1);
    expect(names()).toEqual(['a']);
    expect(existsSync(store.scratch)).toBe(false);
    expect(existsSync(store.lock)).toBe(false);
  });

  test('that are used stay, others go when the next is kept', async () => {
    const { store, used, claim, names } = emptyStore();
    const nobody = async () => {};
    await keepImage(store, 'used', write('1'), claim, never);
    await keepImage(store, 'unused', write('2'), nobody, never);
    expect(names()).toEqual(['unused', 'used']);
    await keepImage(store, 'third', write('3'), claim, never);
    expect(names()).toEqual(['third', 'used']);
    used.splice(0);
    await keepImage(store, 'third', write('3'), claim, never);
    expect(names()).toEqual(['third']);
  });

  test('are not removed between being chosen and being written down', async () => {
    const { store, claim, names } = emptyStore();
    const slowly = async (image: string) => {
      await Bun.sleep(20);
      await claim(image);
    };
    const chosen = await Promise.all([
      keepImage(store, 'old', write('1'), slowly, never),
      keepImage(store, 'new', write('2'), slowly, never),
    ]);
    expect(chosen.every((image) => existsSync(join(image, 'made')))).toBe(true);
    expect(names()).toEqual(['new', 'old']);
  });

  test('of a build that failed or was killed leave nothing', async () => {
    const { store, claim, names } = emptyStore();
    const failing = async (directory: string) => {
      await write('half')(directory);
      throw new Error('no space');
    };
    expect(await thrownBy(keepImage(store, 'a', failing, claim, never))).toBe('no space');
    expect(names()).toEqual([]);
    // As a process that was killed leaves it, of this version or of one that named it for its process.
    for (const left of ['.building', 'a.4711']) {
      mkdirSync(join(store.directory, left));
      writeFileSync(join(store.directory, left, 'half'), '');
    }
    mkdirSync(store.scratch, { recursive: true });
    writeFileSync(join(store.scratch, 'containerd.sock'), '');
    await keepImage(store, 'a', write('whole'), claim, never);
    expect(names()).toEqual(['a']);
    expect(readdirSync(join(store.directory, 'a'))).toEqual(['made']);
    expect(existsSync(store.scratch)).toBe(false);
  });

  test('are waited for until the signal aborts', async () => {
    const { store, claim } = emptyStore();
    const lock = await lockImages(store, never);
    const stop = new AbortController();
    const waiting = thrownBy(keepImage(store, 'a', write('a'), claim, stop.signal));
    stop.abort(new Error('Ctrl-C'));
    expect(await waiting).toBe('Ctrl-C');
    lock.release();
    expect(await keepImage(store, 'a', write('a'), claim, never)).toBe(join(store.directory, 'a'));
  });
});
