import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeArchive } from '../../src/lab/images/archive.ts';
import { LayoutWriter } from '../../src/lab/images/oci.ts';
import { RootTree } from '../../src/lab/images/root-tree.ts';
import { copyOf, debianTree, pathsBelow } from './debian-tree.ts';
import { digestOf } from './go-program.ts';
import type { Part } from './part.ts';

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Another number for every change of what an image has and where. */
const LAYOUT = 2;

/**
 * The images that Cilium's chart names, in one archive for `hostport load image-archive`: the agent's with its tools, the operator's. `parts`
 * are what they are made from. What is where is what images/cilium/Dockerfile in Cilium's module says.
 */
export function ciliumImages(parts: readonly Part[]): Part {
  const from = (name: string) => parts.find((part) => part.name === name)!;
  const place = (name: string, file = name) => join(from(name).directory, file);
  const { version, directory } = from('cilium-agent');
  return {
    name: 'cilium-images',
    version,
    directory,
    needs: parts,
    files: ['images.tar'],
    digest: digestOf(
      LAYOUT,
      parts.map((part) => part.digest),
    ),
    cost: 'a minute',
    async build({ progress }) {
      await progress.step("Building Cilium's images", async () => {
        const layout = join(directory, '.layout');
        await rm(layout, { recursive: true, force: true });
        const writer = new LayoutWriter(layout);
        const agent = `quay.io/cilium/cilium:${version}`;
        const operator = `quay.io/cilium/operator-generic:${version}`;
        const tools = await writer.layer(toolsTree(place('cilium-tools', 'root')).entries());
        const programs = await writer.layer(agentTree(place).entries());
        await writer.image(agent, [tools, programs], {
          Cmd: ['/usr/bin/cilium-dbg'],
          Env: [PATH, 'HOME=/root', 'INITSYSTEM=SYSTEMD'],
          WorkingDir: '/root',
        });
        const operatorTree = new RootTree()
          .directory('/tmp', 0o1777)
          .file(['/usr/bin/cilium-operator-generic'], 0o755, copyOf(place('cilium-operator-generic')));
        await writer.image(operator, [await writer.layer(operatorTree.entries())], {
          Cmd: ['/usr/bin/cilium-operator-generic'],
          Env: [PATH],
        });
        const archive = join(directory, '.images.tar.new');
        await writeArchive(layout, await writer.finish(), [agent, operator], archive);
        await rename(archive, join(directory, 'images.tar'));
        await rm(layout, { recursive: true });
      });
    },
  };
}

/** Debian's packages, and the links that their installation would make. */
function toolsTree(root: string): RootTree {
  const tree = debianTree(root);
  const names = ['iptables', 'ip6tables'].flatMap((name) =>
    ['', '-save', '-restore'].map((verb) => name + verb),
  );
  for (const name of names) tree.symlink(`/usr/sbin/${name}`, 'xtables-nft-multi');
  return tree
    .symlink('/usr/bin/sh', 'bash')
    .symlink('/usr/bin/clang', '../lib/llvm-19/bin/clang')
    .file(['/etc/passwd'], 0o644, 'root:x:0:0:root:/root:/bin/bash\n')
    .file(['/etc/group'], 0o644, 'root:x:0:\n')
    .directory('/tmp', 0o1777)
    .directory('/root', 0o700)
    .directory('/run')
    .symlink('/var/run', '../run')
    .directory('/proc')
    .directory('/sys')
    .directory('/dev');
}

function agentTree(place: (name: string, file?: string) => string): RootTree {
  const tree = new RootTree();
  const sources = place('cilium-sources', 'sources');
  for (const name of ['cilium-agent', 'cilium-mount'])
    tree.file([`/usr/bin/${name}`], 0o755, copyOf(place(name)));
  tree.file(['/usr/bin/cilium-dbg', '/usr/bin/cilium'], 0o755, copyOf(place('cilium-dbg')));
  tree.file(['/opt/cni/bin/cilium-cni'], 0o755, copyOf(place('cilium-cni')));
  tree.file(['/cni/loopback'], 0o755, copyOf('/usr/lib/cni/loopback'));
  tree.file(['/init-container.sh'], 0o755, copyOf(join(sources, 'images/cilium/init-container.sh')));
  for (const name of ['install-plugin.sh', 'cni-uninstall.sh']) {
    tree.file([`/${name}`], 0o755, copyOf(join(sources, 'cilium-cni', name)));
  }
  for (const path of pathsBelow(join(sources, 'bpf'), '')) {
    tree.file([`/var/lib/cilium/bpf${path}`], 0o644, copyOf(join(sources, 'bpf', path)));
  }
  return tree;
}
