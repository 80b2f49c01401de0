import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Exec } from '../../../src/sys/exec.ts';
import type { TarEntry } from '../../../src/sys/tar.ts';
import type { BuildFacts } from '../../../src/util/version.ts';
import { fileEntry, tarGzip, textEntry } from '../archive.ts';
import { lockedPackage } from '../npm-packages.ts';
import { bundleLibrary, LIBRARIES, type Library, writeTypes } from './library.ts';
import type { PackageRepository } from './repository.ts';

/** What packages of npm are made from. */
export interface PackageInputs {
  exec: Exec;
  root: string;
  facts: BuildFacts;
  /** For files that are on their way into a package. */
  scratch: string;
  /** Where packages are written. */
  out: string;
  /** Texts that every package has. */
  papers: ReadonlyMap<string, string>;
  /** What they are published from, where it is known. */
  repository?: PackageRepository;
}

const NODE = '>=20';

/** Fields that every package has. */
function common({ facts, repository }: PackageInputs) {
  return {
    version: facts.version,
    license: 'Apache-2.0',
    ...(repository !== undefined && { repository }),
  };
}

/** The program for a platform: `@hostport/linux-x64-musl`. */
export async function platformPackageOf(
  inputs: PackageInputs,
  { arch, libc }: { arch: 'x64' | 'arm64'; libc: 'glibc' | 'musl' },
  program: string,
): Promise<void> {
  const name = platformName(arch, libc);
  await pack(
    inputs,
    {
      name,
      ...common(inputs),
      description: `hostport for Linux on ${arch} with ${libc}`,
      os: ['linux'],
      cpu: [arch],
      libc: [libc],
      type: 'module',
      preferUnplugged: true,
      files: ['bin'],
    },
    [fileEntry('package/bin/hostport', program, 0o755)],
  );
}

function platformName(arch: 'x64' | 'arm64', libc: 'glibc' | 'musl'): string {
  return `@hostport/linux-${arch}${libc === 'musl' ? '-musl' : ''}`;
}

/** `hostport`: what finds the program for the machine that it is installed on. */
export async function programPackage(inputs: PackageInputs): Promise<void> {
  const { root, facts } = inputs;
  const platforms = (['x64', 'arm64'] as const).flatMap((arch) =>
    (['glibc', 'musl'] as const).map((libc) => platformName(arch, libc)),
  );
  await pack(
    inputs,
    {
      name: 'hostport',
      ...common(inputs),
      description: 'Finds and fixes broken hostPorts of Kubernetes, on any CNI',
      type: 'module',
      bin: { hostport: 'bin/hostport.js' },
      files: ['bin'],
      engines: { node: NODE },
      optionalDependencies: Object.fromEntries(platforms.map((name) => [name, facts.version])),
    },
    [
      { ...textEntry('package/bin/hostport.js', await launcher(root)), mode: 0o755 } as TarEntry,
      textEntry('package/README.md', readFileSync(join(root, 'docs/npm/hostport.md'), 'utf8')),
    ],
  );
}

async function launcher(root: string): Promise<string> {
  const built = await Bun.build({
    entrypoints: [join(root, 'scripts/release/npm/launcher.ts')],
    target: 'node',
    format: 'esm',
    banner: '#!/usr/bin/env node',
    minify: { whitespace: false, identifiers: false, syntax: true },
  });
  const [script] = built.outputs;
  if (!built.success || script === undefined)
    throw new AggregateError(built.logs, 'cannot bundle the launcher');
  return (await script.text()).replaceAll(/^\/\/ .*$\n/gm, '');
}

/** The libraries, each with its types. */
export async function libraryPackages(inputs: PackageInputs): Promise<void> {
  for (const library of LIBRARIES) await libraryPackage(inputs, library);
}

async function libraryPackage(inputs: PackageInputs, library: Library): Promise<void> {
  const { exec, root, scratch } = inputs;
  const types = join(scratch, 'types', library.name);
  const entry = await writeTypes(exec, root, library, types);
  const declarations = readdirSync(types, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.d.ts'))
    .sort();
  await pack(
    inputs,
    {
      name: library.name,
      ...common(inputs),
      description: library.description,
      type: 'module',
      exports: {
        '.': { types: `./types/${entry}`, default: './index.js' },
        './package.json': './package.json',
      },
      files: ['index.js', 'types'],
      sideEffects: false,
      engines: { node: NODE },
      ...(library.dependencies.length > 0 && {
        dependencies: Object.fromEntries(
          library.dependencies.map((name) => [name, `^${lockedPackage(root, name).version}`]),
        ),
      }),
    },
    [
      textEntry('package/index.js', await bundleLibrary(root, library)),
      textEntry('package/README.md', readFileSync(join(root, library.readme), 'utf8')),
      ...declarations.map((name) =>
        textEntry(`package/types/${name}`, readFileSync(join(types, name), 'utf8')),
      ),
    ],
  );
}

/** Writes a package as `npm pack` names it: `hostport-cni-1.2.3.tgz` of `@hostport/cni`. */
async function pack(
  { facts, out, papers }: PackageInputs,
  manifest: { name: string; version: string; [field: string]: unknown },
  entries: readonly TarEntry[],
): Promise<void> {
  mkdirSync(out, { recursive: true });
  const file = `${manifest.name.replace('@', '').replace('/', '-')}-${facts.version}.tgz`;
  const all = [
    textEntry('package/package.json', `${JSON.stringify(manifest, null, 2)}\n`),
    ...[...papers].map(([name, text]) => textEntry(`package/${name}`, text)),
    ...entries,
  ];
  writeFileSync(join(out, file), await tarGzip(all));
}
