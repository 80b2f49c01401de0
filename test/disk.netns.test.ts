import { afterAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { shellLine } from '../src/util/shell-line.ts';

// Full and read-only file systems: small ones, in a mount namespace of each case's own, so that the machine's own are not touched.

const PROGRAM = join(import.meta.dir, '../bin/hostport');
const BUNDLE = join(import.meta.dir, 'fixtures/bundles/begin');
const STATE = '/var/lib/hostport';
const RUN = '/run/hostport';
const NAME = `disk-${process.pid}`;

const scratch = mkdtempSync(join(tmpdir(), 'hostport-disk-'));
const mounted = join(scratch, 'mounted');
mkdirSync(mounted);
// Mount points; as the program makes them.
for (const path of [STATE, RUN]) if (!existsSync(path)) mkdirSync(path);
afterAll(() => rmSync(scratch, { recursive: true }));

type Disk = 'full' | 'read-only' | 'small';

/** Runs the program where a small file system of this kind is mounted at `path`. */
async function on(disk: Disk, path: string, words: readonly string[]) {
  const size = disk === 'small' ? '1M' : '64k';
  const script = [
    shellLine([
      'mount',
      '-t',
      'tmpfs',
      '-o',
      `size=${size}${disk === 'read-only' ? ',ro' : ''}`,
      'tmpfs',
      path,
    ]),
    // What is on the machine is no part of a case.
    ...(path === STATE ? [] : [shellLine(['mount', '-t', 'tmpfs', 'tmpfs', STATE])]),
    // dd ends with an error when it is full, which is what it is for.
    ...(disk === 'full' ? [`dd if=/dev/zero of=${path}/fill bs=4k 2>/dev/null`] : []),
    `exec ${shellLine([PROGRAM, ...words])}`,
  ].join('\n');
  const child = Bun.spawn(['unshare', '-m', 'sh', '-c', script], {
    env: { PATH: process.env.PATH ?? '', HOME: scratch },
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'pipe',
  });
  const said = await new Response(child.stderr).text();
  return { status: await child.exited, lines: said.trimEnd().split('\n') };
}

const create = ['create', 'cluster', '--name', NAME, '--kubeconfig'];
const elsewhere = join(scratch, 'kubeconfig');

describe('what cannot be written is one error with the path and what to do, before anything is started', () => {
  test.each<[Disk, string, readonly string[], number, string]>([
    [
      'full',
      STATE,
      [...create, elsewhere],
      1,
      `cannot write ${STATE}/clusters: the disk is full; free space on its file system, then try again`,
    ],
    [
      'small',
      STATE,
      [...create, elsewhere],
      1,
      `cannot create a cluster in ${STATE}/clusters: its file system has 1 MiB left, and 1 node takes 16 MiB; free space there, or mount a larger file system there`,
    ],
    [
      'read-only',
      STATE,
      [...create, elsewhere],
      1,
      `cannot create ${STATE}/clusters: the file system is read-only; mount it for writing, then try again`,
    ],
    [
      'read-only',
      RUN,
      [...create, elsewhere],
      1,
      `cannot create ${RUN}/clusters: the file system is read-only; mount it for writing, then try again`,
    ],
    [
      'read-only',
      mounted,
      [...create, join(mounted, 'config')],
      2,
      `cannot use kubeconfig ${mounted}/config: the file system is read-only; name another file with --kubeconfig`,
    ],
    [
      'full',
      mounted,
      [...create, join(mounted, 'config')],
      2,
      `cannot use kubeconfig ${mounted}/config: the disk is full; name another file with --kubeconfig`,
    ],
    [
      'read-only',
      RUN,
      ['tour'],
      1,
      `cannot create ${RUN}/tour: the file system is read-only; mount it for writing, then try again`,
    ],
    [
      'read-only',
      mounted,
      ['doctor', '--from', BUNDLE, '--save', join(mounted, 'bundle')],
      2,
      `cannot write the bundle ${mounted}/bundle: the file system is read-only; name a directory that can be created`,
    ],
    ...['bundle', 'bundle.tar.gz'].map((name): [Disk, string, readonly string[], number, string] => [
      'full',
      mounted,
      ['doctor', '--from', BUNDLE, '--save', join(mounted, name)],
      2,
      `cannot write the bundle ${mounted}/${name}: the disk is full`,
    ]),
  ])('%s, %s: %j', async (disk, path, words, status, message) => {
    const got = await on(disk, path, words);
    const lines = got.lines.filter((line) => !line.startsWith('Creating cluster '));
    expect(lines).toEqual([`error: ${message}`]);
    expect(got.status).toBe(status);
  });
});

describe('output that cannot be written is one error', () => {
  test.each([
    ['faults', 1],
    ['faults -o json', 1],
    ['version -o json', 1],
    ['completion bash', 1],
    ['get clusters -o json', 1],
    ['ps', 1],
    ['agent install --dry-run=client', 1],
    ['break --help', 1],
    // A command that gives a verdict: 2 is inconclusive.
    [`doctor --from ${BUNDLE}`, 2],
    [`doctor --from ${BUNDLE} -o ndjson`, 2],
  ] as const)('%s > /dev/full', async (words, status) => {
    const child = Bun.spawn(['sh', '-c', `exec ${PROGRAM} ${words} > /dev/full`], { stderr: 'pipe' });
    expect(await new Response(child.stderr).text()).toBe(
      'error: cannot write the output: the disk is full; free space on its file system, then try again\n',
    );
    expect(await child.exited).toBe(status);
  });
});
