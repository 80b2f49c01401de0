import { afterAll, expect, test } from 'bun:test';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Exec } from '../../../sys/exec.ts';
import { InputError } from '../../../util/errors.ts';
import { checkContainerd, PROGRAMS, readRelease } from './release.ts';

const root = mkdtempSync(join(tmpdir(), 'hostport-release-'));
afterAll(() => rmSync(root, { recursive: true }));

const X86 = 62;
const ARM64 = 183;

/** The beginning of an ELF file of 64 bits, little-endian, for a machine. */
function elf(machine: number): Buffer {
  const head = Buffer.alloc(64);
  head.write('\x7fELF\x02\x01\x01', 'latin1');
  head.writeUInt16LE(machine, 18);
  return head;
}

let made = 0;
/** A directory with all programs, changed by `change`. */
function release(change: (directory: string) => void = () => {}): string {
  const directory = join(root, String(made++));
  mkdirSync(directory);
  for (const name of PROGRAMS) writeFileSync(join(directory, name), elf(X86), { mode: 0o755 });
  change(directory);
  return directory;
}

/** Programs that say a version: the first that fits a name, else v1.36.1. */
function host(versions: Record<string, string> = {}, containerd = '1.6.20~ds1') {
  const exec: Exec = {
    async run(argv) {
      expect(argv[1]).toBe('--version');
      const name = basename(argv[0]!);
      const said =
        name === 'containerd'
          ? `containerd github.com/containerd/containerd ${containerd} ${containerd}-1+b1`
          : `Kubernetes ${versions[name] ?? versions.all ?? 'v1.36.1'}`;
      return { code: 0, stdout: `${said}\n`, stderr: '' };
    },
  };
  return { exec, elfMachine: X86 };
}

const write = (name: string, content: string | Buffer) => (directory: string) =>
  writeFileSync(join(directory, name), content);

const REFUSED: {
  name: string;
  directory: string;
  versions?: Record<string, string>;
  says: string;
}[] = [
  { name: 'no directory', directory: join(root, 'none'), says: 'no such file or directory' },
  {
    name: 'a file instead of a directory',
    directory: join(release(write('a', '')), 'a'),
    says: 'it is not a directory',
  },
  {
    name: 'programs missing',
    directory: release((directory) => {
      rmSync(join(directory, 'kube-proxy'));
      rmSync(join(directory, 'kubelet'));
    }),
    says: 'it has no kubelet, no kube-proxy; want kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy of one release',
  },
  {
    name: 'a link to nowhere',
    directory: release((directory) => {
      rmSync(join(directory, 'kubelet'));
      symlinkSync('gone', join(directory, 'kubelet'));
    }),
    says: 'it has no kubelet; want kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy of one release',
  },
  {
    name: 'a directory for a program',
    directory: release((directory) => {
      rmSync(join(directory, 'kubelet'));
      mkdirSync(join(directory, 'kubelet'));
    }),
    says: 'its kubelet is not a file',
  },
  {
    name: 'a program that may not be executed',
    directory: release((directory) => chmodSync(join(directory, 'kube-scheduler'), 0o644)),
    says: 'its kube-scheduler is not executable; set its mode with chmod +x',
  },
  {
    name: 'a program of another machine',
    directory: release(write('kube-apiserver', elf(ARM64))),
    says: 'its kube-apiserver is for arm64, this machine is x86-64',
  },
  {
    name: 'half a download',
    directory: release(write('kube-proxy', elf(X86).subarray(0, 10))),
    says: 'its kube-proxy is not a program; the download may be incomplete',
  },
  {
    name: 'an empty file',
    directory: release(write('kube-proxy', '')),
    says: 'its kube-proxy is not a program; the download may be incomplete',
  },
  {
    name: 'programs of two releases',
    directory: release(),
    versions: { kubelet: 'v1.35.0' },
    says: 'its kubelet is v1.35.0 and its kube-apiserver v1.36.1; want programs of one release',
  },
  {
    name: 'other programs of these names',
    directory: release(),
    versions: { all: 'in Action, 2nd edition' },
    says: 'its kube-apiserver does not name a version of Kubernetes: "Kubernetes in Action, 2nd edition"',
  },
  {
    name: 'a release that is too old',
    directory: release(),
    versions: { all: 'v1.32.9' },
    says: 'it is v1.32.9; want one from v1.33 to v1.37',
  },
  {
    name: 'a release that is too new',
    directory: release(),
    versions: { all: 'v1.38.0-alpha.1' },
    says: 'it is v1.38.0-alpha.1; want one from v1.33 to v1.37',
  },
];
for (const { name, directory, versions, says } of REFUSED) {
  test(`refuses ${name}`, async () => {
    const refusal = await readRelease(directory, host(versions)).catch((error) => error);
    expect(refusal).toBeInstanceOf(InputError);
    expect(refusal.message).toBe(`cannot run Kubernetes from ${directory}: ${says}`);
  });
}

test.each([
  ['v1.33.0', '1.6.20~ds1', undefined],
  ['v1.36.1', 'v1.7.0', undefined],
  ['v1.37.2', '2.1.4', undefined],
  ['v1.37.2', 'v2.0.0-rc.1', undefined],
  ['v1.37.2', '1.6.20~ds1', '2.3.7'],
])('takes %s on a machine with containerd %s, in nodes with %p', async (version, containerd, given) => {
  const directory = release();
  const machine = host({ all: version }, containerd);
  const found = await readRelease(directory, machine);
  expect(found).toMatchObject({ version, directory });
  expect(found.programs.kubelet).toBe(join(directory, 'kubelet'));
  expect(await checkContainerd(found, given, machine.exec)).toBeUndefined();
});

test.each([
  ['1.6.20~ds1', undefined, '1.6.20~ds1'],
  ['2.3.7', '1.7.2', '1.7.2'],
])('refuses 1.37 on a machine with containerd %s, in nodes with %p', async (containerd, given, named) => {
  const { exec } = host({}, containerd);
  const refusal = await checkContainerd({ version: 'v1.37.0', directory: '/k' }, given, exec).catch(
    (error) => error,
  );
  expect(refusal).toBeInstanceOf(InputError);
  expect(refusal.message).toBe(
    `cannot run Kubernetes from /k: v1.37.0 needs containerd 2 or newer, and this machine has ${named}; give one with --containerd, or choose Kubernetes 1.36 or older`,
  );
});

test('of links to one executable, which acts by its name, the executable is what a node gets', async () => {
  const directory = release((made) => {
    writeFileSync(join(made, 'kube'), elf(X86), { mode: 0o755 });
    for (const name of PROGRAMS) {
      rmSync(join(made, name));
      symlinkSync('kube', join(made, name));
    }
  });
  const { programs } = await readRelease(directory, host());
  expect(new Set(Object.values(programs))).toEqual(new Set([join(directory, 'kube')]));
});
