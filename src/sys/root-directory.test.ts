import { expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output, realExec } from './exec.ts';
import { openDirectory } from './root-directory.ts';

test('an open directory is found where its path leads nowhere, also by programs', async () => {
  const root = mkdtempSync(join(tmpdir(), 'hostport-open-'));
  const directory = join(root, 'a');
  try {
    await output(realExec, ['mkdir', directory]);
    writeFileSync(join(directory, 'file'), 'content');
    const open = openDirectory(directory)!;
    renameSync(directory, join(root, 'b'));
    expect(readFileSync(join(open(), 'file'), 'utf8')).toBe('content');
    expect(await output(realExec, ['cat', join(open(), 'file')])).toBe('content');
  } finally {
    rmSync(root, { recursive: true });
  }
});

test.each(['/nowhere', '/etc/passwd'])('%s is no directory', (path) => {
  expect(openDirectory(path)).toBeUndefined();
});
