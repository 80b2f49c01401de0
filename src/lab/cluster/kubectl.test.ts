import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RELEASE } from '../kubernetes/release.ts';
import { matchingKubectl } from './kubectl.ts';
import type { EngineRecord } from './record.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hostport-kubectl-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** A kubectl in a directory of this test. */
function put(directory: string, mode = 0o755): string {
  const path = join(root, directory, 'kubectl');
  mkdirSync(join(root, directory), { recursive: true });
  writeFileSync(path, '', { mode });
  return path;
}

const found = (engine?: EngineRecord) =>
  matchingKubectl(
    { name: 'kind', ...(engine && { engine }) },
    { env: { XDG_CACHE_HOME: join(root, 'cache') }, stateRoot: join(root, 'clusters') },
  );
const kubernetes = (): EngineRecord => ({
  kind: 'kubernetes',
  version: 'v1.37.0',
  directory: join(root, 'release'),
});
const OWN = `cache/hostport/kubernetes/${RELEASE.version}`;

describe('the kubectl of the release of a cluster', () => {
  test.each<[string, () => EngineRecord | undefined, string]>([
    ['of Kubernetes', kubernetes, 'release'],
    ['of the own engine: the release whose API it serves', () => ({ kind: 'own' }), OWN],
    ['of an older record', () => undefined, OWN],
  ])('%s', async (_, engine, directory) => {
    const program = put(directory);
    // Twice: another shell, or another release in its place.
    for (let time = 0; time < 2; time++) {
      const bin = await found(engine());
      expect(bin).toBe(join(root, 'clusters/kind/bin'));
      expect(readdirSync(bin!)).toEqual(['kubectl']);
      expect(readlinkSync(join(bin!, 'kubectl'))).toBe(program);
    }
  });

  test('of another release is not taken', async () => {
    put(OWN);
    expect(await found(kubernetes())).toBeUndefined();
    put('release');
    rmSync(join(root, OWN), { recursive: true });
    expect(await found()).toBeUndefined();
  });

  test('is none that cannot be run', async () => {
    put('release', 0o644);
    expect(await found(kubernetes())).toBeUndefined();
  });

  test('takes the place of what a killed process of the same number has left', async () => {
    const program = put('release');
    const bin = join(root, 'clusters/kind/bin');
    mkdirSync(bin, { recursive: true });
    symlinkSync('/nowhere', join(bin, `.kubectl-${process.pid}`));
    expect(await found(kubernetes())).toBe(bin);
    expect(readdirSync(bin)).toEqual(['kubectl']);
    expect(readlinkSync(join(bin, 'kubectl'))).toBe(program);
  });

  test('is left out where its directory cannot be made', async () => {
    put('release');
    mkdirSync(join(root, 'clusters/kind'), { recursive: true });
    writeFileSync(join(root, 'clusters/kind/bin'), '');
    expect(await found(kubernetes())).toBeUndefined();
  });
});
