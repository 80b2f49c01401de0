/** Files that are mounted into a node: what its report says about them, and that its runtime still notices a change. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output, realExec } from '../../sys/exec.ts';
import { waitFor } from '../../sys/wait.ts';

const root = mkdtempSync(join(tmpdir(), 'hostport-mounted-'));
const confDir = join(root, 'net.d');
const mounted = join(confDir, '000-net.conflist');
const outside = join(root, 'outside.conflist');
/** A process that stands in a mount namespace of the test's own. */
let resident: Bun.Subprocess;

const inside = (argv: string[]) =>
  output(realExec, ['nsenter', `--mount=/proc/${resident.pid}/ns/mnt`, ...argv]);

/** Runs a line of this program's code in the namespace, and reads what it prints. */
async function evaluate(code: string): Promise<unknown> {
  const imports = [
    `import { readMountsOf } from ${JSON.stringify(join(import.meta.dir, '../../node/report/mounts.ts'))};`,
    `import { replaceFile, rewriteFileAction, writeFileAction } from ${JSON.stringify(join(import.meta.dir, '../../node/apply/files.ts'))};`,
    `import { Backups } from ${JSON.stringify(join(import.meta.dir, '../../node/apply/backup.ts'))};`,
    "import { watch } from 'node:fs';",
    `const context = { backups: new Backups(new Date(), ${JSON.stringify(join(root, 'backup'))}) };`,
  ];
  return JSON.parse(await inside([process.execPath, '-e', [...imports, code].join('\n')]));
}

beforeAll(async () => {
  mkdirSync(confDir);
  for (const path of [mounted, outside]) writeFileSync(path, '{}');
  resident = Bun.spawn(['unshare', '--mount', '--propagation', 'private', 'sleep', '60']);
  const own = () => readFileSync(`/proc/${resident.pid}/cmdline`, 'utf8').startsWith('sleep');
  await waitFor('a mount namespace', own, { timeoutMs: 5000 });
  await inside(['mount', '--bind', '-o', 'ro', outside, mounted]);
});
afterAll(async () => {
  resident.kill();
  await resident.exited;
  rmSync(root, { recursive: true });
});

test('the report shows what lies on a mount of its own, from where, and that it cannot be written', async () => {
  const none = join(root, 'none/bin');
  const seen = await evaluate(
    `console.log(JSON.stringify(readMountsOf(${JSON.stringify([confDir, none])})))`,
  );
  expect(seen).toEqual([
    {
      path: confDir,
      point: expect.any(String),
      origin: expect.stringContaining('net.d'),
      source: expect.any(String),
      readOnly: false,
    },
    {
      path: mounted,
      point: mounted,
      origin: expect.stringMatching(/outside\.conflist$/),
      source: expect.any(String),
      readOnly: true,
    },
    {
      path: none,
      point: expect.any(String),
      origin: expect.any(String),
      source: expect.any(String),
      readOnly: false,
    },
  ]);
});

test('a rewrite notifies watchers of the directory, and leaves nothing behind', async () => {
  const before = readFileSync(outside, 'utf8');
  const events = await evaluate(`
    const changed = Promise.withResolvers();
    const watcher = watch(${JSON.stringify(confDir)}, (event, name) => changed.resolve(name));
    await rewriteFileAction({ do: 'rewrite-file', path: ${JSON.stringify(mounted)} }, context);
    console.log(JSON.stringify(await changed.promise));
    watcher.close();
  `);
  expect(events).toEqual(expect.stringMatching(/^\.hostport\..*\.tmp$/));
  expect(readdirSync(confDir)).toEqual(['000-net.conflist']);
  expect(readFileSync(outside, 'utf8')).toBe(before);
});

test('a file that is mounted to be written is written in place, with its mode and owner', async () => {
  const path = join(confDir, '010-net.conflist');
  const origin = join(root, 'writable.conflist');
  writeFileSync(path, '');
  writeFileSync(origin, 'old');
  await inside(['mount', '--bind', origin, path]);
  await evaluate(`
    await writeFileAction({ do: 'write-file', path: ${JSON.stringify(path)}, content: 'new', mode: '0600' }, context);
    console.log('null');
  `);
  expect(readFileSync(origin, 'utf8')).toBe('new');
  expect(statSync(origin).mode & 0o777).toBe(0o600);
  await evaluate(`
    await replaceFile(${JSON.stringify(path)}, () => [Buffer.from('old')], 0o640, { uid: 1234, gid: 1235 });
    console.log('null');
  `);
  expect(readFileSync(origin, 'utf8')).toBe('old');
  const { mode, uid, gid } = statSync(origin);
  expect({ mode: mode & 0o777, uid, gid }).toEqual({ mode: 0o640, uid: 1234, gid: 1235 });
  expect(existsSync(path)).toBe(true);
  expect(readdirSync(confDir).sort()).toEqual(['000-net.conflist', '010-net.conflist']);
});
