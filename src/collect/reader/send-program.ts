import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { ApiClient } from '../../kube/client.ts';
import { type ExecEnd, type ExecTarget, PodExec } from '../../kube/streaming/pod-exec.ts';
import { OWN_PLUGINS } from '../../node/apply/own-plugins.ts';
import { readLinked } from '../../sys/bounded-file.ts';
import { type Mount, parseMountinfo } from '../../sys/mounts.ts';
import { parseJson } from '../../util/parse-json.ts';
import { BUILD } from '../../util/version.ts';
import { HOST_ROOT, OWN_PROGRAM, SENT_PROGRAM } from './manifests.ts';

/** Bytes; this program has some hundred million. */
const MAX_PROGRAM = 1024 * 1024 * 1024;
/** More than the outputs of the commands below, which print a word or a table of mounts. */
const MAX_OUTPUT = 1024 * 1024;
const DIRECTORY = SENT_PROGRAM.replace(/\/[^/]*$/, '');
/** Where the program that was sent looks for its plugins. */
const PLUGINS = `${DIRECTORY}/cni`;

/** This machine, as uname(1) names it. */
const MACHINE = process.arch === 'x64' ? 'x86_64' : process.arch === 'arm64' ? 'aarch64' : process.arch;

type Container = Omit<ExecTarget, 'argv'>;

/** This program, ready to be sent: read and compressed once, when it is first needed. */
export class SentProgram {
  readonly version: string;
  readonly #path: string;
  readonly #plugins: string;
  #plain: Buffer | undefined;
  #compressed: Promise<Buffer> | undefined;

  /** @param path the compiled program. @param plugins directory of the plugins that may be sent with it. */
  constructor(path: string, version: string, plugins: string) {
    this.#path = path;
    this.#plugins = plugins;
    this.version = version;
  }

  plain(): Buffer {
    this.#plain ??= readLinked(this.#path, MAX_PROGRAM);
    return this.#plain;
  }

  /** The plugins by their names. */
  plugins(): [name: string, content: Buffer][] {
    return OWN_PLUGINS.map((name) => [name, readLinked(join(this.#plugins, name), MAX_PROGRAM)]);
  }

  compressed(): Promise<Buffer> {
    // Its lowest level takes a second; higher ones take longer than they save.
    this.#compressed ??= promisify(gzip)(this.plain(), { level: 1 });
    return this.#compressed;
  }
}

/**
 * The command line by which the program runs in a container whose image has a shell: the image's own program where it has the same version, else
 * one that is sent there, if wanted with its plugins. Its libraries are those of the image; where the image has none that fit, those of the node.
 */
export async function programIn(
  client: ApiClient,
  container: Container,
  program: SentProgram,
  signal: AbortSignal,
  withPlugins: boolean,
): Promise<string[]> {
  const run = (argv: readonly string[], stdin?: Uint8Array) => runIn(client, container, argv, signal, stdin);
  const serve = ['node-serve', '--root'];
  const images = await run([OWN_PROGRAM, 'version', '-o', 'json']);
  if (images.end.code === 0 && isVersion(images.output, program.version))
    return [OWN_PROGRAM, ...serve, HOST_ROOT];
  const machine = await run(['uname', '-m']);
  if (machine.end.code === 0 && machine.output.trim() !== MACHINE) {
    throw new Error(
      `the node is ${machine.output.trim().slice(0, 20)}, and the program that would be sent there is for ${MACHINE}: name an image of this program with --image`,
    );
  }
  const decompressor = await run(['/bin/sh', '-c', 'command -v gzip || :']);
  const canDecompress = decompressor.output.trim() !== '';
  const bytes = await (canDecompress ? program.compressed() : program.plain());
  // By its length, since not every server passes on the end of standard input.
  const take = `head -c ${bytes.length}${canDecompress ? ' | gzip -dc' : ''} > ${SENT_PROGRAM}`;
  const sent = await run(['/bin/sh', '-c', `${take} && chmod 755 ${SENT_PROGRAM}`], bytes);
  if (sent.end.code !== 0) throw new Error(`cannot send the program into its pod: ${sent.end.message}`);
  for (const [name, content] of withPlugins ? program.plugins() : []) {
    const path = `${PLUGINS}/${name}`;
    const script = 'mkdir -p "$1" && head -c "$2" > "$3" && chmod 755 "$3"';
    const argv = ['/bin/sh', '-c', script, 'sh', PLUGINS, String(content.length), path];
    const { end } = await run(argv, content);
    if (end.code !== 0) throw new Error(`cannot send plugin ${name} into its pod: ${end.message}`);
  }
  const own = await run([SENT_PROGRAM, 'version']);
  if (own.end.code === 0) return [SENT_PROGRAM, ...serve, HOST_ROOT];
  const mounts = await run(['cat', '/proc/self/mountinfo']);
  const onNode = pathOnNode(SENT_PROGRAM, [...parseMountinfo(mounts.output).values()]);
  if (onNode === undefined)
    throw new Error(`the program cannot run in the image: ${own.end.message}; ${otherProgram()}`);
  const ofNode = ['chroot', HOST_ROOT, onNode];
  const there = await run([...ofNode, 'version']);
  if (there.end.code === 0) return [...ofNode, ...serve, '/'];
  throw new Error(
    `the program runs neither with the libraries of the image (${own.end.message}) nor with those of the node (${there.end.message}); ${otherProgram()}`,
  );
}

/** What to do where the C library is another one than this program's. */
function otherProgram(): string {
  const other = BUILD.libc === 'musl' ? 'glibc' : 'musl';
  return `where they have ${other}, run the program that a release has for ${other}, or name an image of this program with --image`;
}

function isVersion(text: string, wanted: string): boolean {
  try {
    return (parseJson(text, 'version') as { version?: unknown }).version === wanted;
  } catch {
    // Another program of that name.
    return false;
  }
}

/** Where a file of a volume of the node's disk is on the node, whose root directory is mounted, too. Undefined when it cannot be seen there. */
export function pathOnNode(file: string, mounts: readonly Mount[]): string | undefined {
  const volume = mounts.findLast(({ point }) => point === DIRECTORY);
  if (volume === undefined) return undefined;
  const within = (root: string) => root === '/' || volume.root === root || volume.root.startsWith(`${root}/`);
  const [host] = mounts
    .filter(({ point }) => point === HOST_ROOT || point.startsWith(`${HOST_ROOT}/`))
    .filter(({ device, root }) => device === volume.device && within(root))
    .sort((a, b) => b.root.length - a.root.length);
  if (host === undefined) return undefined;
  const below = host.root === '/' ? volume.root : volume.root.slice(host.root.length);
  return `${host.point.slice(HOST_ROOT.length)}${below}${file.slice(DIRECTORY.length)}`;
}

async function runIn(
  client: ApiClient,
  container: Container,
  argv: readonly string[],
  signal: AbortSignal,
  stdin?: Uint8Array,
): Promise<{ output: string; end: ExecEnd }> {
  const exec = await PodExec.start(client, { ...container, argv }, signal);
  const abort = () => exec.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    // A program that ends before it has read everything says why by its end.
    const [output] = await Promise.all([
      exec.rest(MAX_OUTPUT),
      stdin === undefined ? undefined : exec.write(stdin).catch(() => {}),
    ]);
    signal.throwIfAborted();
    return { output, end: exec.end };
  } finally {
    signal.removeEventListener('abort', abort);
    exec.destroy();
  }
}
