import { chmod, cp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheRoot } from '../../src/lab/engine/kubernetes/release-cache.ts';
import { type GoModule, readGoModule } from './go-module.ts';
import { digestOf, goProgram, runGo } from './go-program.ts';
import type { Part } from './part.ts';

const CILIUM = 'github.com/cilium/cilium';
const FAMILY = 'cilium';

/** What Cilium's image needs of its module besides programs, with the name that it gets. */
const SOURCES: Readonly<Record<string, string>> = {
  bpf: 'bpf',
  chart: 'install/kubernetes/cilium',
  images: 'images',
  definitions: 'pkg/k8s/apis/cilium.io/client/crds',
  'cilium-cni': 'plugins/cilium-cni',
};

/** Cilium: the programs of its images, and what else is in them or installs them. */
export async function ciliumParts(root: string, cache = cacheRoot()): Promise<Part[]> {
  const module = await readGoModule(join(root, 'cilium'), CILIUM);
  const program = (
    name: string,
    path: string,
    cost: string,
    tags: string[] = [],
    before?: [string, string][],
  ) =>
    goProgram(
      {
        name,
        module,
        family: FAMILY,
        package: `${CILIUM}/${path}`,
        ...(before && { before }),
        command: ['build', '-tags', ['osusergo', ...tags].join(',')],
        linker: ['-s', '-w', `-X=${CILIUM}/pkg/version.ciliumVersion=${module.version.slice(1)}`],
        cost,
      },
      cache,
    );
  return [
    sources(module, cache),
    program(
      'cilium-agent',
      'daemon',
      "40 minutes of one processor, 4 GB in Go's build cache",
      [],
      [
        ['client libraries of Cilium', `${CILIUM}/pkg/k8s/client`],
        ['cilium-agent', `${CILIUM}/daemon/cmd`],
      ],
    ),
    program('cilium-dbg', 'cilium-dbg', '3 minutes of one processor after cilium-agent'),
    program('cilium-cni', 'plugins/cilium-cni', '1 minute of one processor after cilium-agent'),
    program('cilium-mount', 'tools/mount', 'seconds'),
    program('cilium-operator-generic', 'operator', '5 minutes of one processor after cilium-agent', [
      'ipam_provider_operator',
    ]),
  ];
}

/** The sources for the kernel, which the agent compiles as it runs, the chart, the scripts of the image, and the custom resources. */
function sources(module: GoModule, cache: string): Part {
  const directory = join(cache, FAMILY, module.version);
  return {
    name: 'cilium-sources',
    version: module.version,
    directory,
    files: Object.keys(SOURCES).map((name) => `sources/${name}`),
    digest: digestOf(module.digest, SOURCES),
    cost: 'a download of 40 MB',
    async build(context) {
      const go = await context.go(module.goMod);
      await context.progress.step("Copying Cilium's sources for the kernel, and its chart", async () => {
        const said = await runGo(go, ['mod', 'download', '-json', CILIUM], module, context);
        const { Dir: from } = JSON.parse(said) as { Dir: string };
        const fresh = join(directory, '.sources.new');
        await rm(fresh, { recursive: true, force: true });
        for (const [name, path] of Object.entries(SOURCES)) {
          await cp(join(from, path), join(fresh, name), { recursive: true });
        }
        // In Go's cache nothing can be written to, which a copy takes over.
        await makeWritable(fresh);
        await rm(join(directory, 'sources'), { recursive: true, force: true });
        await rename(fresh, join(directory, 'sources'));
      });
    },
  };
}

async function makeWritable(top: string): Promise<void> {
  await chmod(top, 0o755);
  for (const entry of await readdir(top, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) await chmod(join(entry.parentPath, entry.name), 0o755);
  }
}
