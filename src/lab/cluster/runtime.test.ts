import { afterAll, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Exec } from '../../sys/exec.ts';
import { InputError } from '../../util/errors.ts';
import { containerdConfig } from './node-files.ts';
import { RUNTIME_PROGRAMS, readRuntime, runtimeMounts } from './runtime.ts';

const root = mkdtempSync(join(tmpdir(), 'hostport-runtime-'));
afterAll(() => rmSync(root, { recursive: true }));

const X86 = 62;
const says = (text: string): Exec => ({ run: async () => ({ code: 0, stdout: text, stderr: '' }) });

let made = 0;
function containerd(names: readonly string[] = RUNTIME_PROGRAMS, machine = X86): string {
  const directory = join(root, String(made++));
  mkdirSync(directory);
  const head = Buffer.alloc(64);
  head.write('\x7fELF\x02\x01\x01', 'latin1');
  head.writeUInt16LE(machine, 18);
  for (const name of names) writeFileSync(join(directory, name), head, { mode: 0o755 });
  return directory;
}

test('a containerd 2 is mounted before the one of the machine, and configured in its own version', async () => {
  const directory = containerd();
  const said = says('containerd github.com/containerd/containerd/v2 v2.3.7 \n');
  const runtime = await readRuntime(directory, said, X86);
  expect(runtime).toMatchObject({ version: '2.3.7', directory });
  expect(runtimeMounts(runtime).map(({ hostPath, containerPath }) => [hostPath, containerPath])).toEqual(
    RUNTIME_PROGRAMS.map((name) => [join(directory, name), `/usr/local/bin/${name}`]),
  );
  expect(Bun.TOML.parse(containerdConfig([], runtime))).toMatchObject({
    version: 3,
    plugins: {
      'io.containerd.cri.v1.runtime': { cni: { bin_dirs: ['/opt/cni/bin'], conf_dir: '/etc/cni/net.d' } },
    },
  });
  expect(runtimeMounts(undefined)).toEqual([]);
});

test.each([
  [
    'a missing shim',
    containerd(['containerd', 'ctr']),
    'v2.3.7',
    'it has no containerd-shim-runc-v2; want containerd, containerd-shim-runc-v2, ctr of containerd 2',
  ],
  [
    'one of another machine',
    containerd(RUNTIME_PROGRAMS, 183),
    'v2.3.7',
    'its containerd is for arm64, this machine is x86-64',
  ],
  ['containerd 1', containerd(), '1.7.27', 'it is 1.7.27; want one of version 2'],
  ['something else', containerd(), 'two', 'containerd does not name its version: "containerd x two y"'],
])('refuses %s', async (_, directory, version, problem) => {
  const refusal = await readRuntime(directory, says(`containerd x ${version} y\n`), X86).catch(
    (error) => error,
  );
  expect(refusal).toBeInstanceOf(InputError);
  expect(refusal.message).toBe(`cannot run containerd from ${directory}: ${problem}`);
});
