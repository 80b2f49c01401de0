import { cpSync, linkSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ensureZig } from '../../scripts/native/zig.ts';
import { Apt } from '../../scripts/release/images/apt.ts';
import { cacheRoot } from '../../src/lab/engine/kubernetes/release-cache.ts';
import { output, realExec } from '../../src/sys/exec.ts';

const DOWNLOAD_MS = 10 * 60_000;
/** Of the machine that this runs on, as uname and musl name it. */
const MACHINE = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
/** What a machine has of the program's environment. */
const ENV = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
  TERM: 'dumb',
  LANG: 'C.UTF-8',
};

/** Another machine, in a root directory: a command line and an environment by which a program runs there, and nowhere else. */
export interface OtherMachine {
  root: string;
  in(argv: readonly string[]): string[];
  env: Record<string, string>;
}

/** In the root "$1": what every machine has, then the rest of the command line. A network without a way out. */
const ENTER =
  'ip link set lo up && mount --rbind /proc "$1/proc" && mount --rbind /dev "$1/dev" && exec chroot "$@"';

function machineIn(root: string, before = ':'): OtherMachine {
  const script = `${before} && ${ENTER}`;
  return {
    root,
    env: ENV,
    in: (argv) => ['unshare', '--mount', '--net', 'sh', '-ec', script, 'sh', root, ...argv],
  };
}

/**
 * A Debian with nothing but what its packages have: no source, no home directory but an empty one. What is in the directory `release` is in /release, and
 * can only be read.
 */
export function debian(root: string, release: string): OtherMachine {
  for (const each of ['usr', 'proc', 'dev', 'tmp', 'root', 'release', 'var/cache/man', 'local'])
    mkdirSync(join(root, each), { recursive: true });
  for (const each of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${each}`, join(root, each));
  cpSync('/etc', join(root, 'etc'), { recursive: true, verbatimSymlinks: true });
  const binds = [
    'mount --bind /usr "$1/usr" && mount -o remount,bind,ro "$1/usr"',
    // What this machine has there is of no package.
    'mount --bind "$1/local" "$1/usr/local"',
    `mount --bind '${release}' "$1/release" && mount -o remount,bind,ro "$1/release"`,
  ];
  return machineIn(root, binds.join(' && '));
}

/** The applets of busybox that install.sh runs, and a shell. */
const APPLETS = 'sh uname mktemp rm cp mv ln mkdir dirname grep head tar gunzip sha256sum'.split(' ');

/** A machine with musl and busybox, like Alpine, without a C++ library. The release is in /release. */
export async function musl(root: string, release: string, scratch: string): Promise<OtherMachine> {
  for (const each of ['bin', 'lib', 'usr/lib', 'proc', 'dev', 'tmp', 'root'])
    mkdirSync(join(root, each), { recursive: true });
  const apt = await Apt.begin(realExec, process.arch === 'arm64' ? 'arm64' : 'amd64', join(scratch, 'apt'));
  const [package_ = ''] = await apt.download(['musl']);
  await output(realExec, ['dpkg-deb', '--extract', package_, join(scratch, 'musl')]);
  cpSync(join(scratch, `musl/lib/${MACHINE}-linux-musl/libc.so`), join(root, `lib/ld-musl-${MACHINE}.so.1`));
  symlinkSync(`ld-musl-${MACHINE}.so.1`, join(root, `lib/libc.musl-${MACHINE}.so.1`));
  cpSync('/bin/busybox', join(root, 'bin/busybox'), { dereference: true });
  for (const each of APPLETS) linkSync(join(root, 'bin/busybox'), join(root, 'bin', each));
  cpSync(release, join(root, 'release'), { recursive: true });
  return machineIn(root);
}

/** A package with GCC's C++ library for musl, as Alpine had it: one that the loader of Debian's musl, 1.2.3, can load. */
const WITH_LIBSTDCXX = `greenlet==3.2.5 \\
  --hash=sha256:5ceb29d1f74c7280befbbfa27b9bf91ba4a07a1a00b2179a5d953fc219b16c42 \\
  --hash=sha256:d7456e67b0be653dfe643bb37d9566cd30939c80f858e2ce6d2d54951f75b14a
`;

/** The functions of GCC 13's library that the one of GCC 10 has not. They end the program in either. */
const SINCE_THEN = `void abort(void);
void _ZSt28__throw_bad_array_new_lengthv(void) { abort(); }
void _ZSt21__glibcxx_assert_failPKciS0_S0_(void) { abort(); }
`;

/** Gives a machine with musl a C++ library, as `apk add libstdc++` does. */
export async function addLibstdcxx({ root }: OtherMachine, scratch: string): Promise<void> {
  const list = join(scratch, 'wheels.txt');
  const wheels = join(scratch, 'wheels');
  writeFileSync(list, WITH_LIBSTDCXX);
  const wanted = [
    ...['--require-hashes', '--no-deps', '--only-binary=:all:', '--requirement', list],
    ...['--platform', `musllinux_1_1_${MACHINE}`, '--python-version', '3.12', '--implementation', 'cp'],
  ];
  const pip = ['pip3', 'download', '--quiet', '--disable-pip-version-check', ...wanted, '--dest', wheels];
  await output(realExec, pip, { timeoutMs: DOWNLOAD_MS });
  for (const wheel of readdirSync(wheels))
    await output(realExec, ['python3', '-m', 'zipfile', '-e', join(wheels, wheel), join(scratch, 'wheel')]);
  const libraries = join(scratch, 'wheel/greenlet.libs');
  for (const name of readdirSync(libraries)) cpSync(join(libraries, name), join(root, 'usr/lib', name));
  const [libstdcxx = ''] = readdirSync(libraries).filter((name) => name.startsWith('libstdc++'));
  const source = join(scratch, 'since-then.c');
  writeFileSync(source, SINCE_THEN);
  const zig = await ensureZig(join(import.meta.dir, '../..'), cacheRoot(), realExec);
  // It has the name that the program asks for, and needs the real one.
  const out = join(root, 'usr/lib/libstdc++.so.6');
  await output(
    realExec,
    [
      ...[zig, 'cc', '-target', `${MACHINE}-linux-musl`, '-O2', '-fno-sanitize=all', '-shared', '-nostdlib'],
      ...['-o', out, source, '-Wl,--no-as-needed', `-L${join(root, 'usr/lib')}`, `-l:${basename(libstdcxx)}`],
    ],
    {
      env: {
        ...process.env,
        ZIG_GLOBAL_CACHE_DIR: join(scratch, 'zig'),
        ZIG_LOCAL_CACHE_DIR: join(scratch, 'zig'),
      },
    },
  );
}
