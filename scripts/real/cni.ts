import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheRoot } from '../../src/lab/engine/kubernetes/release-cache.ts';
import { type GoModule, readGoModule } from './go-module.ts';
import { digestOf, goProgram, runGo } from './go-program.ts';
import type { Part } from './part.ts';

const PLUGINS = 'github.com/containernetworking/plugins';
const CNI = 'github.com/containernetworking/cni';
const ECHO = `${PLUGINS}/pkg/testutils/echo`;
const FAMILY = 'cni-plugins';

/** The reference plugins that a chain with portmap needs, by their places in the module. */
const REFERENCE: Readonly<Record<string, string>> = {
  portmap: 'meta/portmap',
  ptp: 'main/ptp',
  'host-local': 'ipam/host-local',
};

/** What is put into the reference's specs, so that they run on either backend, and how often it is there. */
const CHANGES: readonly (readonly [file: string, from: string, to: string, times: number])[] = [
  [
    'portmap_integ_test.go',
    'ipt.List("nat", dnatChainName)',
    'rulesOf(ipt, dnatChainName, runtimeConfig.ContainerID)',
    2,
  ],
  ['portmap_integ_test.go', '"type": "portmap",', '"type": "portmap",` + backendOption() + `', 1],
  ['portmap_suite_test.go', `gexec.Build("${ECHO}/server")`, 'builtBefore("echo-server")', 1],
  ['portmap_suite_test.go', `gexec.Build("${ECHO}/client")`, 'builtBefore("echo-client")', 1],
];

/** The current reference plugins, portmap's own specs as one executable, and cnitool. */
export async function cniParts(root: string, cache = cacheRoot()): Promise<Part[]> {
  const directory = join(root, 'cni');
  const module = await readGoModule(directory, PLUGINS);
  const version = `${PLUGINS}/pkg/utils/buildversion.BuildVersion=${module.version}`;
  const plugins = Object.entries(REFERENCE).map(([name, path]) =>
    goProgram(
      {
        ...{ name: `reference-${name}`, names: [name], module, family: FAMILY },
        package: `${PLUGINS}/plugins/${path}`,
        command: ['build', '-trimpath'],
        linker: ['-s', '-w', `-X ${version}`],
        cost: 'seconds',
      },
      cache,
    ),
  );
  const cnitool = goProgram(
    {
      ...{ name: 'cnitool', module: await readGoModule(directory, CNI), family: 'cnitool' },
      package: `${CNI}/cnitool`,
      command: ['build', '-trimpath'],
      linker: ['-s', '-w'],
      cost: 'seconds',
    },
    cache,
  );
  return [...plugins, cnitool, specs(module, cache)];
}

/** The specs, and the programs that they start as client and server. */
function specs(module: GoModule, cache: string): Part {
  const directory = join(cache, FAMILY, module.version);
  return {
    name: 'portmap-specs',
    version: module.version,
    directory,
    files: ['portmap-specs', 'echo-server', 'echo-client'],
    digest: digestOf(module.digest, CHANGES),
    cost: 'half a minute of one processor',
    async build(context) {
      const go = await context.go(module.goMod);
      const sources = join(directory, '.specs');
      const build = (name: string, ...words: string[]) =>
        runGo(
          go,
          [...words.slice(0, -1), '-o', join(directory, `.${name}.new`), words.at(-1)!],
          {
            ...module,
            directory: sources,
          },
          context,
        );
      await context.progress.step("Building portmap's specs", async () => {
        const said = await runGo(go, ['mod', 'download', '-json', PLUGINS], module, context);
        const { Dir: published } = JSON.parse(said) as { Dir: string };
        await copySpecs(join(published, 'plugins/meta/portmap'), module.directory, sources);
        await build('portmap-specs', 'test', '-c', '-vet=off', '-trimpath', './portmap');
        for (const side of ['server', 'client']) {
          await build(`echo-${side}`, 'build', '-trimpath', `${ECHO}/${side}`);
        }
        for (const name of ['portmap-specs', 'echo-server', 'echo-client']) {
          await rename(join(directory, `.${name}.new`), join(directory, name));
        }
        await rm(sources, { recursive: true });
      });
    },
  };
}

/** A module with the published package and what it asks of ours. Files of Go's cache cannot be replaced by an overlay. */
async function copySpecs(published: string, own: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true });
  await mkdir(join(to, 'portmap'), { recursive: true });
  for (const name of ['go.mod', 'go.sum']) await cp(join(own, name), join(to, name));
  await cp(join(own, 'specs/backend_test.go'), join(to, 'portmap/backend_test.go'));
  for (const name of (await readdir(published)).filter((each) => each.endsWith('.go'))) {
    let text = await readFile(join(published, name), 'utf8');
    for (const [file, from, into, times] of CHANGES) {
      if (file !== name) continue;
      const parts = text.split(from);
      if (parts.length !== times + 1) {
        throw new Error(`cannot adapt ${name}: ${from} is there ${parts.length - 1} times, not ${times}`);
      }
      text = parts.join(into);
    }
    await writeFile(join(to, 'portmap', name), text);
  }
}
