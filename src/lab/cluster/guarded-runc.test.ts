import { afterAll, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { guardedRunc } from './guarded-runc.ts';
import { MACHINE_WIDE } from './node-spec.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-runc-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const script = join(scratch, 'guarded');
writeFileSync(script, guardedRunc(), { mode: 0o755 });
// In the place of runc: says what it was called with.
writeFileSync(join(scratch, 'runc'), '#!/bin/sh\necho "$@"\n', { mode: 0o755 });
const config = join(scratch, 'config.json');
const CREATE = ['--root', '/run/r', '--log', 'l', 'create', '--bundle', scratch, '--pid-file', 'p', 'id'];

function run(argv: readonly string[], spec: unknown): { code: number; printed: string; spec: unknown } {
  writeFileSync(config, JSON.stringify(spec));
  const ran = Bun.spawnSync([script, ...argv], { env: { PATH: `${scratch}:${process.env.PATH}` } });
  const printed = `${ran.stdout}${ran.stderr}`.trim();
  return { code: ran.exitCode, printed, spec: JSON.parse(readFileSync(config, 'utf8')) };
}

const TEXT = '{"linux":{},"readonlyPaths":[]}';
const PRIVILEGED = { process: { env: [`A=${TEXT}`] }, linux: { resources: {} }, annotations: { a: TEXT } };

test('a container that would have nothing read-only has the settings of the machine so', () => {
  expect(run(CREATE, PRIVILEGED)).toEqual({
    code: 0,
    printed: CREATE.join(' '),
    spec: { ...PRIVILEGED, linux: { readonlyPaths: [...MACHINE_WIDE], resources: {} } },
  });
});

test.each<[string, readonly string[], unknown]>([
  ['a container with read-only paths', CREATE, { linux: { readonlyPaths: ['/proc/sys'] } }],
  ['another call', ['--root', '/run/r', 'state', 'id'], PRIVILEGED],
])('%s is as it was', (_, argv, spec) => {
  expect(run(argv, spec)).toEqual({ code: 0, printed: argv.join(' '), spec });
});

test('a specification of another form is refused', () => {
  const { code, printed } = run(CREATE, { process: {} });
  expect(code).toBe(1);
  expect(printed).toContain("cannot make the machine's settings read-only");
});
