import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeArchive } from '../../src/lab/images/archive.ts';
import { LayoutWriter, type RunConfig } from '../../src/lab/images/oci.ts';
import { RootTree } from '../../src/lab/images/root-tree.ts';
import { type Exec, output } from '../../src/sys/exec.ts';
import { copyOf, debianTree } from './debian-tree.ts';
import { digestOf } from './go-program.ts';
import type { Part } from './part.ts';

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const SUITE = 'registry.k8s.io/e2e-test-images';
const BUSYBOX = '/bin/busybox';
/** Another number for every change of what an image has and where. */
const LAYOUT = 2;

/**
 * The images that the specs of the suite name and the lab can run, in one archive for `hostport load image-archive`. agnhost is the
 * suite's own; the others are busybox under their names, which serves what the specs look at. Source: test/utils/image/manifest.go
 * and test/images in Kubernetes' module.
 */
export function e2eImages(agnhost: Part, tools: Part): Part {
  const { version, directory } = agnhost;
  return {
    name: 'e2e-images',
    version,
    directory,
    needs: [agnhost, tools],
    files: ['images.tar'],
    digest: digestOf(LAYOUT, agnhost.digest, tools.digest),
    cost: 'half a minute',
    async build({ exec, progress }) {
      await progress.step("Building the suite's images", async () => {
        const layout = join(directory, '.layout');
        await rm(layout, { recursive: true, force: true });
        const writer = new LayoutWriter(layout);
        const names: string[] = [];
        const image = async (name: string, trees: readonly RootTree[], config: RunConfig) => {
          const layers: Awaited<ReturnType<typeof writer.layer>>[] = [];
          for (const tree of trees) layers.push(await writer.layer(tree.entries()));
          await writer.image(name, layers, { Env: [PATH], ...config });
          names.push(name);
        };
        const plain = await busyboxTree(exec);
        const agnhostLayers = agnhostTrees(join(tools.directory, 'root'), agnhost);
        // Some specs name an older one.
        for (const tag of ['2.63.0', '2.55']) {
          await image(`${SUITE}/agnhost:${tag}`, agnhostLayers, { Entrypoint: ['/agnhost'], Cmd: ['pause'] });
        }
        const forever = 'trap "exit 0" TERM INT; while :; do sleep 2147483 & wait $!; done';
        await image('registry.k8s.io/pause:3.10.2', [plain], { Entrypoint: [BUSYBOX, 'sh', '-c', forever] });
        await image(`${SUITE}/busybox:1.37.0-1`, [plain], { Cmd: ['sh'] });
        const page = '<html><title>Welcome to nginx!</title></html>\n';
        for (const tag of ['1.15-4', '1.27-0']) {
          const files = new RootTree().file(['/www/index.html'], 0o644, page);
          await image(`${SUITE}/nginx:${tag}`, [plain, files], { Cmd: serving });
        }
        for (const name of ['nautilus', 'kitten']) {
          const data = `${JSON.stringify({ image: `${name}.jpg` })}\n`;
          const files = new RootTree().file(['/www/data.json'], 0o644, data);
          await image(`${SUITE}/${name}:1.8`, [plain, files], { Cmd: serving });
        }
        await image(`${SUITE}/nonroot:1.5`, [plain], {
          Cmd: ['sh', '-c', 'id; sleep 1000000'],
          User: '1234',
        });
        const archive = join(directory, '.images.tar.new');
        await writeArchive(layout, await writer.finish(), names, archive);
        await rename(archive, join(directory, 'images.tar'));
        await rm(layout, { recursive: true });
      });
    },
  };
}

const serving = ['httpd', '-f', '-p', '80', '-h', '/www'];

/** agnhost, and the tools that it and the specs call. Its own image starts from Alpine. */
function agnhostTrees(root: string, agnhost: Part): RootTree[] {
  const tools = debianTree(root);
  if (!tools.has('/usr/bin/sh')) tools.symlink('/usr/bin/sh', 'dash');
  tools
    // Not busybox' shell, which takes its own nc before that on PATH.
    .symlink('/usr/bin/nc', 'nc.openbsd')
    .file(['/etc/passwd'], 0o644, `${ACCOUNTS}user-defined-in-image:x:1000:1000::/home:/bin/sh\n`)
    .file(
      ['/etc/group'],
      0o644,
      `${GROUPS}user-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n`,
    );
  const program = new RootTree()
    .file(['/agnhost', '/agnhost-2'], 0o755, copyOf(join(agnhost.directory, 'agnhost')))
    .directory('/uploads', 0o777)
    .directory('/tmp', 0o1777);
  return [tools, program];
}

const ACCOUNTS = 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n';
const GROUPS = 'root:x:0:\nnobody:x:65534:\n';

async function busyboxTree(exec: Exec): Promise<RootTree> {
  const applets = (await output(exec, [BUSYBOX, '--list-full']))
    .split('\n')
    .filter((line) => line.includes('/'));
  return new RootTree()
    .mergedUsr()
    .file([BUSYBOX, ...applets.map((applet) => `/${applet}`)], 0o755, copyOf(BUSYBOX))
    .file(['/etc/passwd'], 0o644, ACCOUNTS)
    .file(['/etc/group'], 0o644, GROUPS)
    .directory('/tmp', 0o1777)
    .directory('/root', 0o700);
}
