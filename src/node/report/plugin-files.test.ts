import { afterEach, beforeEach, expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realExec } from '../../sys/exec.ts';
import { readProcFile } from '../../sys/processes.ts';
import { waitFor } from '../../sys/wait.ts';
import { readPluginFiles } from './plugin-files.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-plugins-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function plugin(path: string, body: string, mode = 0o755): void {
  mkdirSync(join(directory, path, '..'), { recursive: true });
  writeFileSync(join(directory, path), `#!/bin/sh\n${body}\n`, { mode });
}

const read = (named: string[], directories = ['a']) =>
  readPluginFiles(
    realExec,
    directories.map((name) => join(directory, name)),
    new Set(named),
  );

test('what is named says its versions, what is not named is never run', async () => {
  plugin(
    'a/named',
    'test "$CNI_COMMAND" = VERSION && echo \'{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}\'',
  );
  plugin('a/other', `touch ${directory}/was-run`);
  plugin('a/unrunnable', 'exit 0', 0o644);
  expect(await read(['named', 'unrunnable'])).toEqual([
    expect.objectContaining({
      name: 'named',
      mode: '0755',
      format: { kind: 'script', interpreter: '/bin/sh' },
      versions: { value: ['0.4.0', '1.0.0'] },
    }),
    expect.not.objectContaining({ versions: expect.anything() }),
    expect.objectContaining({ mode: '0644', versions: { unknown: expect.stringContaining('EACCES') } }),
  ]);
  expect(existsSync(join(directory, 'was-run'))).toBe(false);
});

test.each([
  ['fails', 'echo no >&2; exit 3', 'exit status 3 (printed 3 bytes of text)'],
  ['says no JSON', 'echo hello', 'VERSION'],
  ['says another document', 'echo \'{"supportedVersions":[1]}\'', 'VERSION'],
  ['hangs', 'exec sleep 60', 'no answer within'],
  ['prints without end', 'exec yes', 'printed more than'],
])('a plugin that %s leaves its versions unknown', async (_, body, why) => {
  plugin('a/p', body);
  const [file] = await read(['p']);
  expect(file!.versions).toEqual({ unknown: expect.stringContaining(why) });
});

test('what a plugin starts and leaves when it is asked is ended, however it is asked', async () => {
  const answer = `echo '{"supportedVersions":["1.0.0"]}'`;
  // Each call waits for the child of its own: by then it is there to be ended.
  const leave = `own=${directory}/left.$$; setsid sh -c 'echo $$ > "$0"; exec sleep 86' $own >/dev/null 2>&1 </dev/null & while ! test -s $own; do :; done`;
  plugin('a/p', `${leave}; ${answer}`);
  for (let look = 0; look < 2; look++) {
    const [file] = await read(['p']);
    expect(file!.versions).toEqual({ value: ['1.0.0'] });
  }
  const left = readdirSync(directory)
    .filter((name) => name.startsWith('left.'))
    .map((name) => Number(readFileSync(join(directory, name), 'utf8')));
  expect(left.length).toBeGreaterThanOrEqual(2);
  const isThere = (pid: number) => /^State:\s+[^ZX]/m.test(readProcFile(`/proc/${pid}/status`));
  await waitFor('them to end', () => !left.some(isThere), { timeoutMs: 10_000 });
});

test('of two with one name the first is asked; a link that leads nowhere is as good as missing', async () => {
  plugin('a/p', 'echo \'{"supportedVersions":["1.0.0"]}\'');
  plugin('b/p', `touch ${directory}/was-run`);
  symlinkSync('/nowhere', join(directory, 'b/q'));
  const files = await read(['p', 'q'], ['a', 'b', 'none']);
  expect(files.map(({ name, versions }) => [name, versions])).toEqual([
    ['p', { value: ['1.0.0'] }],
    ['p', undefined],
  ]);
  expect(existsSync(join(directory, 'was-run'))).toBe(false);
});

test('what may not be read is reported as unreadable, not as a non-executable file', async () => {
  plugin('a/p', 'exit 0', 0o111);
  const denied = Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' });
  const files = await readPluginFiles(realExec, [join(directory, 'a')], new Set(), () => {
    throw denied;
  });
  expect(files.map(({ format }) => format)).toEqual([{ kind: 'unreadable' }]);
});

test('a link is reported with its target, and no content of a file that is not a plugin', async () => {
  writeFileSync(join(directory, 'secret'), '#!S3CRET\ntoken: S3CRET\n', { mode: 0o755 });
  mkdirSync(join(directory, 'a'));
  symlinkSync('../secret', join(directory, 'a/linked'));
  plugin('a/talks', 'echo \'{"supportedVersions":["S3CRET"]}\'');
  plugin('a/fails', 'echo "user: x\nword: S3CRET" >&2; exit 1');
  plugin('a/prints', 'cat ../secret; echo "token: S3CRET"');
  plugin('a/hangs', 'echo "user: S3CRET"; exec sleep 60');
  plugin('a/quiet', 'exit 1');
  const files = await read(['linked', 'talks', 'fails', 'prints', 'hangs', 'quiet']);
  expect(files.find(({ name }) => name === 'linked')).toMatchObject({
    name: 'linked',
    target: '../secret',
    mode: '0755',
    size: 23,
    format: { kind: 'script', interpreter: '' },
  });
  expect(files.map(({ versions }) => versions)).toEqual([
    { unknown: 'VERSION: exit status 1 (printed 21 bytes of YAML-like text)' },
    { unknown: 'VERSION: no answer within 3000 ms, killed' },
    { unknown: expect.stringContaining('could not start: ENOENT') },
    { unknown: 'VERSION: answer: not JSON (14 characters)' },
    { unknown: 'VERSION: exit status 1 (printed nothing)' },
    { unknown: 'VERSION: answer: no list of versions (33 bytes of JSON-like text)' },
  ]);
  expect(JSON.stringify(files)).not.toContain('S3CRET');
});

test('a directory that is not there has no plugins, and one that cannot be read is an error', async () => {
  expect(await read(['portmap'], ['none', 'none/below'])).toEqual([]);
  writeFileSync(join(directory, 'file'), '');
  await expect(read(['portmap'], ['file'])).rejects.toThrow('ENOTDIR');
});
