import { afterAll, expect, test } from 'bun:test';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../../sys/wait.ts';
import { readCiliumAgents } from './cilium-agents.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-agents-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test('the kernel shows which directory a process watches', async () => {
  // A process of that name, as its program's file has it.
  const program = join(scratch, 'cilium-agent');
  copyFileSync('/bin/sleep', program);
  const other = join(scratch, 'other');
  mkdirSync(other);
  const idle = Bun.spawn([program, '60']);
  const found = () => readCiliumAgents(scratch).filter(({ pid }) => pid === idle.pid);
  try {
    await waitFor('the process', () => found().length === 1, { timeoutMs: 5000 });
    expect(found()).toEqual([{ pid: idle.pid, watches: false }]);
  } finally {
    idle.kill();
    await idle.exited;
  }
  // This process's own descriptors under another name: what it watches is known.
  const watcher = watch(other, () => {});
  try {
    const proc = join(scratch, 'proc');
    mkdirSync(join(proc, '7/fdinfo'), { recursive: true });
    writeFileSync(join(proc, '7/comm'), 'cilium-agent\n');
    const { readdirSync, readFileSync } = await import('node:fs');
    for (const fd of readdirSync('/proc/self/fdinfo')) {
      const text = await readFileOrNothing(() => readFileSync(join('/proc/self/fdinfo', fd), 'utf8'));
      writeFileSync(join(proc, '7/fdinfo', fd), text);
    }
    expect(readCiliumAgents(other, proc)).toEqual([{ pid: 7, watches: true }]);
    expect(readCiliumAgents(proc, proc)).toEqual([{ pid: 7, watches: false }]);
    expect(readCiliumAgents(join(scratch, 'none'), proc)).toEqual([{ pid: 7, watches: false }]);
  } finally {
    watcher.close();
  }
});

async function readFileOrNothing(read: () => string): Promise<string> {
  try {
    return read();
  } catch {
    // The descriptor by which the directory was listed is closed.
    return '';
  }
}
