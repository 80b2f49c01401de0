/** A native plugin has in it what it has loaded when it was built: that is the same in every build, and nothing of the process that loaded it. */
import { expect, test } from 'bun:test';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildNative, HOST } from '../scripts/native/build.ts';

const root = join(import.meta.dir, '..');
const BUILD_MS = 300_000;

test(
  'two builds have the same bytes',
  async () => {
    const work = await mkdtemp(join(tmpdir(), 'hostport-image-'));
    try {
      const built: Buffer[] = [];
      for (const directory of ['one', 'another-directory']) {
        const out = join(work, directory);
        const entry = 'src/lab/cilium/cni/native.ts';
        await buildNative(root, out, [{ name: 'cilium-cni', entry, architectures: [HOST] }]);
        built.push(await readFile(join(out, HOST, 'cilium-cni')));
      }
      expect(built[0]!.equals(built[1]!)).toBe(true);
      for (const words of [work, process.env.PATH!]) expect(built[0]!.includes(words)).toBe(false);
    } finally {
      await rm(work, { recursive: true });
    }
  },
  BUILD_MS,
);
