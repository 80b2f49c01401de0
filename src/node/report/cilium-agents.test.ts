import { afterAll, expect, test } from 'bun:test';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  watch,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../../sys/wait.ts';
import { readCiliumAgents } from './cilium-agents.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-agents-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const NODE = 'net:[4026531840]';

/** A /proc of this process and one other, with these descriptors. */
function procWith(
  about: { comm?: string; exe?: string; uid?: number; network?: string },
  fdinfo: Record<string, string> = {},
): string {
  const { comm = 'cilium-agent', exe = '/usr/bin/cilium-agent', uid = 0, network = NODE } = about;
  const proc = mkdtempSync(join(scratch, 'proc-'));
  mkdirSync(join(proc, 'self/ns'), { recursive: true });
  symlinkSync(NODE, join(proc, 'self/ns/net'));
  for (const part of ['ns', 'fdinfo']) mkdirSync(join(proc, '7', part), { recursive: true });
  symlinkSync(network, join(proc, '7/ns/net'));
  symlinkSync(exe, join(proc, '7/exe'));
  writeFileSync(join(proc, '7/comm'), `${comm}\n`);
  writeFileSync(join(proc, '7/status'), `Name:\t${comm}\nUid:\t${uid}\t${uid}\t${uid}\t${uid}\n`);
  for (const [fd, text] of Object.entries(fdinfo)) writeFileSync(join(proc, '7/fdinfo', fd), text);
  return proc;
}

test.skipIf(process.getuid?.() !== 0)('a process that runs the program is seen', async () => {
  const program = join(scratch, 'cilium-agent');
  copyFileSync('/bin/sleep', program);
  const idle = Bun.spawn([program, '60']);
  const found = () => readCiliumAgents(scratch).filter(({ pid }) => pid === idle.pid);
  try {
    await waitFor('the process', () => found().length === 1, { timeoutMs: 5000 });
    expect(found()).toEqual([{ pid: idle.pid, watches: false }]);
  } finally {
    idle.kill();
    await idle.exited;
  }
});

test('the kernel shows which directory a process watches', () => {
  const other = join(scratch, 'other');
  mkdirSync(other);
  const watcher = watch(other, () => {});
  try {
    // This process's own descriptors under another name: what it watches is known.
    const own = Object.fromEntries(
      readdirSync('/proc/self/fdinfo').map((fd) => [fd, readOrNothing(join('/proc/self/fdinfo', fd))]),
    );
    const proc = procWith({}, own);
    expect(readCiliumAgents(other, proc)).toEqual([{ pid: 7, watches: true }]);
    expect(readCiliumAgents(proc, proc)).toEqual([{ pid: 7, watches: false }]);
    expect(readCiliumAgents(join(scratch, 'none'), proc)).toEqual([{ pid: 7, watches: false }]);
  } finally {
    watcher.close();
  }
});

test.each<[string, Parameters<typeof procWith>[0], boolean]>([
  ['the agent', {}, true],
  ['the agent, after its file was replaced', { exe: '/usr/bin/cilium-agent (deleted)' }, true],
  ['another program under its name', { exe: '/usr/bin/python3' }, false],
  ['its program under another name', { comm: 'sh' }, false],
  ['its program, of another user', { uid: 1000 }, false],
  ['its program, on a network of its own', { network: 'net:[4026532999]' }, false],
])('%s', (_, about, isSeen) => {
  expect(readCiliumAgents(scratch, procWith(about))).toEqual(isSeen ? [{ pid: 7, watches: false }] : []);
});

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The descriptor by which the directory was listed is closed.
    return '';
  }
}
