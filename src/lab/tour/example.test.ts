import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ClusterConfig } from '../cluster/config/types.ts';
import {
  currentManifests,
  exampleWithBackend,
  mountsExample,
  prepareExample,
  takeBackExample,
} from './example.ts';

let root: string;
let paths: { cni: string; empty: string; note: string; tour: string };
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hostport-example-'));
  paths = {
    cni: join(root, 'cni'),
    empty: join(root, 'empty'),
    note: join(root, 'note'),
    tour: join(root, 'tour'),
  };
});
afterEach(() => rmSync(root, { recursive: true }));

const nobody = async () => [];
const prepare = () => prepareExample('/example', paths, nobody);

/** Every file and directory below the empty directory, sorted. */
function inEmpty(): string[] {
  return existsSync(paths.empty)
    ? readdirSync(paths.empty, { recursive: true }).map(String).toSorted()
    : ['(gone)'];
}

function put(...files: string[]): void {
  for (const file of files) {
    mkdirSync(dirname(join(paths.empty, file)), { recursive: true });
    writeFileSync(join(paths.empty, file), file);
  }
}

async function thrownBy(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'nothing',
    (error) => error.message,
  );
}

describe("the how-to's preparation", () => {
  test('creates the link and the directory, and removes both with what nodes put there; twice is fine', async () => {
    const undo = await prepare();
    expect(readlinkSync(paths.cni)).toBe('/example/kind/cni');
    expect(inEmpty()).toEqual([]);
    put('bin/cilium-cni', 'bin/loopback', 'bin/portmap');
    put('bin/.0a1b2c3d4e5f.tmp', 'bin/.cilium-cni.0a1b2c3d4e5f.tmp', 'bin/.portmap.123.tmp');
    await undo();
    expect(readdirSync(root)).toEqual([]);
    await undo();
  });

  test("gives a link back to where it led, but not one that is somebody else's by now", async () => {
    symlinkSync('/other', paths.cni);
    const undo = await prepare();
    expect(readlinkSync(paths.cni)).toBe('/example/kind/cni');
    await undo();
    expect(readlinkSync(paths.cni)).toBe('/other');
    const again = await prepare();
    rmSync(paths.cni);
    symlinkSync('/third', paths.cni);
    await again();
    expect(readlinkSync(paths.cni)).toBe('/third');
  });

  test('empties what an earlier cluster left, and keeps a directory that was there', async () => {
    put('bin/cilium-cni', 'bin/loopback');
    const undo = await prepare();
    expect(inEmpty()).toEqual([]);
    await undo();
    expect(inEmpty()).toEqual([]);
  });

  test('is undone by another process, which knows it by what was recorded', async () => {
    symlinkSync('/other', paths.cni);
    await prepare();
    put('bin/cilium-cni');
    mkdirSync(join(paths.tour, 'kind/cni'), { recursive: true });
    writeFileSync(join(paths.tour, 'kubeconfig'), 'of the tour');
    await takeBackExample(undefined, paths, nobody);
    expect(readlinkSync(paths.cni)).toBe('/other');
    expect(readdirSync(root)).toEqual(['cni']);
    await takeBackExample(undefined, paths, nobody);
  });

  test('that nobody undid is still known to be ours at the next', async () => {
    symlinkSync('/other', paths.cni);
    await prepare();
    const undo = await prepareExample('/another', paths, nobody);
    expect(readlinkSync(paths.cni)).toBe('/another/kind/cni');
    await undo();
    expect(readlinkSync(paths.cni)).toBe('/other');
    expect(inEmpty()).toEqual(['(gone)']);
  });

  test('goes with the plugin that a failure had put aside', async () => {
    await prepare();
    put('bin/portmap', 'portmap.aside');
    await takeBackExample(undefined, paths, nobody);
    expect(inEmpty()).toEqual(['(gone)']);
  });

  test('stays while a cluster has a part of it mounted', async () => {
    await prepare();
    mkdirSync(paths.tour);
    for (const busy of [paths.cni, paths.empty]) {
      await takeBackExample(undefined, paths, async (path) => (path === busy ? ['other'] : []));
      expect([
        existsSync(paths.note),
        existsSync(paths.tour),
        existsSync(paths.empty),
        readlinkSync(paths.cni),
      ]).toEqual([true, true, true, '/example/kind/cni']);
    }
  });

  test('goes with the cluster that is being deleted, and stays for others', async () => {
    await prepare();
    await takeBackExample('one', paths, async () => ['one', 'other']);
    expect(existsSync(paths.empty)).toBe(true);
    await takeBackExample('one', paths, async () => ['one']);
    expect(readdirSync(root)).toEqual([]);
  });

  test.each(['', '{', '{"link":7}'])('is not undone by an invalid note: %j', async (note) => {
    await prepare();
    writeFileSync(paths.note, note);
    await takeBackExample(undefined, paths, nobody);
    expect(existsSync(paths.empty)).toBe(true);
    await prepare();
  });

  test('without a record of it nothing is undone; nor is a directory removed that somebody created in its place', async () => {
    mkdirSync(paths.empty);
    symlinkSync('/example/kind/cni', paths.cni);
    await takeBackExample(undefined, paths, nobody);
    expect(readdirSync(root).toSorted()).toEqual(['cni', 'empty']);
    rmSync(paths.cni);
    rmSync(paths.empty, { recursive: true });
    const undo = await prepare();
    // The new one is there before the old one goes, so that it has another inode.
    mkdirSync(`${paths.empty}.new`);
    rmSync(paths.empty, { recursive: true });
    renameSync(`${paths.empty}.new`, paths.empty);
    await undo();
    expect(readdirSync(root)).toEqual(['empty']);
  });

  test.each([
    ['the link', '/r/cni', true],
    ['what is behind the link', '/r/cni/cilium.yaml', true],
    ['the directory', '/r/empty', true],
    ['another that begins like it', '/r/empty2', false],
    ['what they are in', '/r', false],
  ])('a cluster mounts it: %s', (_, hostPath, expected) => {
    const config = { nodes: [{ extraMounts: [] }, { extraMounts: [{ hostPath }] }] };
    const at = { cni: '/r/cni', empty: '/r/empty', note: '/r/note', tour: '/r/tour' };
    expect(mountsExample(config as unknown as ClusterConfig, at)).toBe(expected);
  });

  test("never removes what is a user's", async () => {
    const undo = await prepare();
    put('bin/cilium-cni', 'bin/mine', 'notes');
    await undo();
    expect(inEmpty()).toEqual(['bin', 'bin/mine', 'notes']);
  });

  for (const [what, files, named] of [
    ['a file', ['notes'], 'notes'],
    ['a plugin of their own', ['bin/cilium-cni', 'bin/bridge'], 'bin/bridge'],
  ] as const) {
    test(`refuses a directory with ${what} of somebody in it, and changes nothing`, async () => {
      put(...files);
      const before = inEmpty();
      expect(await thrownBy(prepare())).toBe(
        `cannot prepare ${paths.empty}: the how-to needs it empty, but it holds ${named}; move that away`,
      );
      expect(inEmpty()).toEqual(before);
      expect(existsSync(paths.cni)).toBe(false);
    });
  }

  test('refuses a directory that nodes have mounted', async () => {
    put('bin/cilium-cni');
    const busy = prepareExample('/example', paths, async (path) => (path === paths.empty ? ['other'] : []));
    expect(await thrownBy(busy)).toContain('but nodes of other have it mounted');
    expect(inEmpty()).toEqual(['bin', 'bin/cilium-cni']);
  });

  test('refuses to replace what is not a link', async () => {
    mkdirSync(paths.cni);
    expect(await thrownBy(prepare())).toContain('but something else is there');
  });
});

test('the how-to with another backend differs in that one key', async () => {
  const example = join(import.meta.dir, '../../../examples/kind-cilium-portmap');
  const variant = await exampleWithBackend(example, 'nftables', join(root, 'variant'));
  const [theirs, ours] = [example, variant].map((directory) => join(directory, 'kind/cni'));
  expect(readdirSync(ours!).toSorted()).toEqual(readdirSync(theirs!).toSorted());
  const read = (directory: string) => readFileSync(join(directory, '000-cilium-portmap.conflist'), 'utf8');
  const expected = JSON.parse(read(theirs!));
  expected.plugins.at(-1).backend = 'nftables';
  expect(JSON.parse(read(ours!))).toEqual(expected);
});

test("the how-to's manifests for an API server of today differ in the version of the Deployment", async () => {
  const example = join(import.meta.dir, '../../../examples/kind-cilium-portmap');
  const ours = await currentManifests(example, join(root, 'variant'));
  const theirs = join(example, 'manifests');
  const names = readdirSync(theirs, { recursive: true }).map(String).toSorted();
  expect(readdirSync(ours, { recursive: true }).map(String).toSorted()).toEqual(names);
  const read = (directory: string, name: string) => readFileSync(join(directory, name), 'utf8');
  for (const name of names.filter((path) => path.endsWith('.yaml'))) {
    expect(read(ours, name)).toBe(read(theirs, name).replace('extensions/v1beta1', 'apps/v1'));
  }
  expect(read(ours, 'deploy/echo.yaml')).toStartWith('apiVersion: apps/v1\n');
});
