import { RootTree } from '../../../src/lab/images/root-tree.ts';
import type { Architecture } from './debian-lock.ts';
import type { PackageFiles } from './package-files.ts';

/** The packages with the tools that the agent runs; the lock has those and the ones with their libraries. */
export const WANTED_PACKAGES = ['conntrack', 'iproute2', 'iptables', 'libc6', 'nftables'];

/** Debian's directory of an architecture's libraries. */
const LIBRARIES: Readonly<Record<Architecture, string>> = {
  amd64: '/usr/lib/x86_64-linux-gnu',
  arm64: '/usr/lib/aarch64-linux-gnu',
};

/** The libraries and the loader of the program itself: those of the C library. */
const OF_THE_PROGRAM = ['libc.so.6', 'libdl.so.2', 'libm.so.6', 'libpthread.so.0'];

function iptablesNames(...variants: readonly string[]): string[] {
  return ['iptables', 'ip6tables'].flatMap((name) =>
    variants.flatMap((variant) => ['', '-save', '-restore'].map((verb) => `${name}${variant}${verb}`)),
  );
}

/** The tools, each with the names that it is run by: of iptables' plain names, the program of nf_tables. */
const TOOLS: readonly (readonly [program: string, names: readonly string[]])[] = [
  ['/usr/sbin/xtables-nft-multi', iptablesNames('', '-nft')],
  ['/usr/sbin/xtables-legacy-multi', iptablesNames('-legacy')],
  ['/usr/sbin/nft', []],
  ['/usr/sbin/conntrack', []],
  ['/usr/bin/ip', []],
];

/** What is in the tools' layer, and of which packages. */
export interface ToolsLayer {
  tree: RootTree;
  packages: Set<string>;
}

/** The bottom layer of the agent's image: a root without a shell, the tools, and all libraries that they and the program need. */
export function toolsLayer(files: PackageFiles, architecture: Architecture): ToolsLayer {
  const directory = LIBRARIES[architecture];
  const packages = new Set<string>();
  const take = (path: string) => {
    const file = files.find(path);
    if (file === undefined) throw new Error(`${path} is in none of the packages`);
    packages.add(file.package);
    return file;
  };
  const tree = emptyRoot();
  const programs = TOOLS.map(([path, names]) => {
    const file = take(path);
    tree.file([path, ...names.map((name) => `/usr/sbin/${name}`)], 0o755, file.content);
    return file.content;
  });
  // iptables loads its matches and targets by their names as it reads a rule.
  const extensions = files.in(`${directory}/xtables`).map((path) => [path, take(path)] as const);
  const roots = [...programs, ...extensions.map(([, { content }]) => content)];
  const libraries = [
    ...files.librariesOf(roots, directory),
    ...OF_THE_PROGRAM.map((name) => `${directory}/${name}`),
  ].map((path) => [path, take(path)] as const);
  // One file under all its names.
  for (const [file, places] of Map.groupBy([...extensions, ...new Map(libraries)], ([, file]) => file)) {
    const paths = places.map(([path]) => path);
    tree.file(paths, file.mode & 0o111 ? 0o755 : 0o644, file.content);
  }
  for (const name of packages) {
    const licence = files.find(`/usr/share/doc/${name}/copyright`);
    if (licence === undefined) throw new Error(`${name} has no copyright file`);
    tree.file([`/usr/share/doc/${name}/copyright`], 0o644, licence.content);
  }
  return { tree, packages };
}

function emptyRoot(): RootTree {
  return new RootTree()
    .mergedUsr()
    .file(
      ['/etc/passwd'],
      0o644,
      'root:x:0:0:root:/:/nonexistent\nnobody:x:65534:65534:nobody:/:/nonexistent\n',
    )
    .file(['/etc/group'], 0o644, 'root:x:0:\nnobody:x:65534:\n')
    .file(['/etc/nsswitch.conf'], 0o644, 'passwd: files\ngroup: files\nhosts: files dns\n')
    .directory('/tmp', 0o1777)
    .directory('/var')
    .directory('/run')
    .directory('/proc')
    .directory('/sys')
    .directory('/dev');
}
