import { readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Exec, output, realExec } from '../../sys/exec.ts';
import type { TarContent } from '../../sys/tar.ts';
import { agentImage } from '../../util/images.ts';
import { type ImageIndex, LayoutWriter } from './oci.ts';
import { RootTree } from './root-tree.ts';
import { sharedLibraries } from './shared-libraries.ts';

/** The images of the lab's registry, by full reference. */
export const LAB_IMAGES = {
  echoServer: 'docker.io/inanimate/echo-server:latest',
  ciliumStandIn: 'docker.io/hostport/cilium-stand-in:latest',
  agent: agentImage(),
  busybox: 'docker.io/library/busybox:latest',
  pause: 'registry.k8s.io/pause:3.9',
} as const;

export interface BuildImagesOptions {
  /** The compiled program, `bin/hostport`. */
  programPath: string;
  /** The program's own version, which a build gives it. Default: that of this source. */
  version?: string;
  /** Where the plugins are. */
  pluginsDir: string;
  /** A static busybox. */
  busyboxPath: string;
  /** The OCI image layout to write. */
  outDir: string;
  exec?: Exec;
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const PROGRAM_NAMES = ['hostport', 'echo-server', 'cilium-agent'];
/** The names of one of iptables' two programs: plain ones stand for the program of nf_tables. */
function iptablesNames(...variants: readonly string[]): string[] {
  return ['iptables', 'ip6tables'].flatMap((name) =>
    variants.flatMap((variant) => ['', '-save', '-restore'].map((verb) => `${name}${variant}${verb}`)),
  );
}

/**
 * The sandbox's process: PID 1 of a pod that shares its PID namespace, so it reaps whatever is handed to it (a shell's
 * `wait` does, for every child) and ends at once on SIGTERM, which the kernel does not do for a PID 1 by default.
 */
const PAUSE = [
  '/bin/busybox',
  'sh',
  '-c',
  'trap "exit 0" TERM INT; while :; do sleep 2147483 & wait $!; done',
];

/**
 * Builds the images of the lab into one OCI layout. Layers are shared: busybox and the files of a minimal root below
 * all of them, the program above it for the two images that run it. The same input gives the same digests.
 */
export async function buildImages(options: BuildImagesOptions): Promise<ImageIndex> {
  const exec = options.exec ?? realExec;
  const writer = new LayoutWriter(options.outDir);
  const base = await writer.layer((await baseTree(exec, options.busyboxPath)).entries());
  const programTree = await programLayerTree(exec, options.programPath);
  const program = await writer.layer(programTree.entries());
  const stackTree = await networkTree(exec, options.pluginsDir, programTree);
  const stack = await writer.layer(stackTree.entries());
  const tools = await writer.layer((await toolsTree(exec, [programTree, stackTree])).entries());

  await writer.image(LAB_IMAGES.echoServer, [base, program], {
    Entrypoint: ['/usr/local/bin/echo-server'],
    Env: [PATH, 'HOME=/', 'PORT=8080', 'SSLPORT=8443', 'ADD_HEADERS={"X-Real-Server": "echo-server"}'],
    ExposedPorts: { '8080/tcp': {}, '8443/tcp': {} },
  });
  await writer.image(LAB_IMAGES.ciliumStandIn, [base, program, stack], {
    Entrypoint: ['/usr/local/bin/cilium-agent'],
    Env: [PATH, 'HOME=/'],
  });
  // Manifests in the source tree name its version, and a program that was built the version of the build.
  for (const name of new Set([LAB_IMAGES.agent, agentImage(options.version)])) {
    await writer.image(name, [base, program, stack, tools], {
      Entrypoint: ['/usr/local/bin/hostport'],
      Env: [PATH, 'HOME=/'],
    });
  }
  await writer.image(LAB_IMAGES.busybox, [base], { Cmd: ['sh'], Env: [PATH] });
  await writer.image(LAB_IMAGES.pause, [base], { Entrypoint: PAUSE, Env: [PATH] });
  return await writer.finish();
}

async function baseTree(exec: Exec, busybox: string): Promise<RootTree> {
  const applets = (await output(exec, [busybox, '--list-full'])).split('\n').filter((line) => line !== '');
  const names = applets.filter((applet) => applet.includes('/')).map((applet) => `/${applet}`);
  return new RootTree()
    .mergedUsr()
    .file(['/bin/busybox', ...names], 0o755, copyOf(busybox))
    .file(['/etc/passwd'], 0o644, 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n')
    .file(['/etc/group'], 0o644, 'root:x:0:\nnobody:x:65534:\n')
    .file(['/etc/nsswitch.conf'], 0o644, 'passwd: files\ngroup: files\nhosts: files dns\n')
    .directory('/tmp', 0o1777)
    .directory('/root', 0o700)
    .directory('/var')
    .directory('/run')
    .directory('/proc')
    .directory('/sys')
    .directory('/dev');
}

async function programLayerTree(exec: Exec, program: string): Promise<RootTree> {
  const tree = new RootTree().file(
    PROGRAM_NAMES.map((name) => `/usr/local/bin/${name}`),
    0o755,
    copyOf(program),
  );
  for (const library of await sharedLibraries(exec, [program])) tree.file([library], 0o755, copyOf(library));
  return tree;
}

/** What the stand-in for Cilium and the agent need beside the program: the plugins that they install, iptables, ipset and iproute2. */
async function networkTree(exec: Exec, pluginsDir: string, below: RootTree): Promise<RootTree> {
  const tree = new RootTree();
  const plugin = (name: string) => copyOf(join(pluginsDir, name));
  tree.file(['/opt/cilium/bin/cilium-cni', '/opt/cilium/bin/loopback'], 0o755, plugin('cilium-cni'));
  const brought = ['portmap', 'loopback'].map((name) => `/usr/local/lib/hostport/cni/${name}`);
  tree.file(brought, 0o755, plugin('portmap'));
  const xtables = firstThere(['/usr/sbin/xtables-nft-multi']);
  const others = ['ip', 'tc', 'ipset'].map((name) => {
    const path = firstThere([`/usr/sbin/${name}`, `/usr/bin/${name}`, `/sbin/${name}`]);
    tree.file([`/usr/sbin/${name}`], 0o755, copyOf(path));
    return path;
  });
  tree.file(
    ['xtables-nft-multi', ...iptablesNames('', '-nft')].map((name) => `/usr/sbin/${name}`),
    0o755,
    copyOf(xtables),
  );

  // iptables loads its matches and targets from here at run time, so ldd on the program does not know of them.
  const extensions = firstThere(multiarch().map((name) => `/usr/lib/${name}/xtables`));
  const objects: string[] = [];
  for (const entry of readdirSync(extensions, { withFileTypes: true })) {
    const path = join(extensions, entry.name);
    if (entry.isSymbolicLink()) tree.symlink(path, readlinkSync(path));
    else if (entry.isFile()) {
      tree.file([path], 0o644, copyOf(path));
      objects.push(path);
    }
  }
  for (const library of await sharedLibraries(exec, [xtables, ...others, ...objects])) {
    if (!below.has(library)) tree.file([library], 0o755, copyOf(library));
  }
  for (const name of ['/etc/protocols', '/etc/services']) {
    // getprotobyname(3) is how iptables reads `-p tcp` written by name; a machine without the file works by number.
    if (statSync(name, { throwIfNoEntry: false })?.isFile()) tree.file([name], 0o644, copyOf(name));
  }
  return tree;
}

/** The other tools by which the agent inspects and fixes a node. */
async function toolsTree(exec: Exec, below: readonly RootTree[]): Promise<RootTree> {
  const tree = new RootTree();
  const legacy = firstThere(['/usr/sbin/xtables-legacy-multi']);
  const others = ['/usr/sbin/nft', '/usr/sbin/conntrack'].map((path) => firstThere([path]));
  tree.file(
    ['xtables-legacy-multi', ...iptablesNames('-legacy')].map((name) => `/usr/sbin/${name}`),
    0o755,
    copyOf(legacy),
  );
  for (const path of others) tree.file([path], 0o755, copyOf(path));
  for (const library of await sharedLibraries(exec, [legacy, ...others])) {
    if (!below.some((layer) => layer.has(library))) tree.file([library], 0o755, copyOf(library));
  }
  return tree;
}

/** Debian's multiarch directory, and the plain one of other distributions. */
function multiarch(): string[] {
  return [process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu', '.'];
}

function firstThere(paths: readonly string[]): string {
  const found = paths.find((path) => statSync(path, { throwIfNoEntry: false }) !== undefined);
  if (found === undefined)
    throw new Error(`cannot build the images: none of ${paths.join(', ')} is on this machine`);
  return found;
}

function copyOf(path: string): TarContent {
  const file = realpathSync(path);
  return { file, size: statSync(file).size };
}
