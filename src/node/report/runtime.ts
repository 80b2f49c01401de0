import { existsSync } from 'node:fs';
import { z } from 'zod';
import { isNamespace } from '../../cni/sandbox.ts';
import { connectRuntime, type RuntimeInspection } from '../../cri/client.ts';
import type { Runtime } from '../../cri/runtime.ts';
import type { NodeReport, Sandbox } from '../../path/model/node-report.ts';
import { parseJson } from '../../util/parse-json.ts';
import { observe } from './observe.ts';
import { textWithoutSecrets, withoutSecrets } from './secrets.ts';

type Value<O> = Extract<O, { value: unknown }>['value'];
type RuntimeReport = Value<NodeReport['runtime']>;

/**
 * Where runtimes listen, in the order in which they are tried. containerd's own place is the last: docker has one there, too, on a node
 * whose kubelet uses another runtime (always beside cri-dockerd), and that one knows no pod.
 */
const SOCKETS = [
  '/run/k3s/containerd/containerd.sock',
  '/run/k3s/cri-dockerd/cri-dockerd.sock',
  '/var/snap/microk8s/common/run/containerd.sock',
  '/run/k0s/containerd.sock',
  '/run/crio/crio.sock',
  '/run/cri-dockerd.sock',
  '/run/containerd/containerd.sock',
];

/** The socket of this node's runtime: the first of those that are known which is there. */
export function findRuntime(isThere: (path: string) => boolean = existsSync): string | undefined {
  return SOCKETS.find(isThere);
}

/** Where runtimes look unless they are configured otherwise. */
const DEFAULT_CONF_DIR = '/etc/cni/net.d';
const DEFAULT_BIN_DIRS = ['/opt/cni/bin'];

/** The part of the runtime that is read; tests replace it. */
export type InspectedRuntime = Pick<Runtime, 'version' | 'listSandboxes'> & RuntimeInspection;

/**
 * The runtime's endpoint, a path or `unix://path`, when it is given: crictl's variable
 * (https://github.com/kubernetes-sigs/cri-tools/blob/master/docs/crictl.md). Otherwise where a runtime is found.
 */
export function runtimeEndpoint(
  env: NodeJS.ProcessEnv,
  isThere?: (path: string) => boolean,
): string | undefined {
  return env.CONTAINER_RUNTIME_ENDPOINT || findRuntime(isThere);
}

/** What is known of sandboxes that run, by their ID: but for whether they still do, nothing of them changes. For who looks again and again. */
export type SandboxMemory = Map<string, Sandbox>;

/** Which sandboxes are asked for. */
export interface SandboxChoice {
  /** The only one; default: all. */
  only?: string;
  memory?: SandboxMemory;
}

/** The runtime and its sandboxes. Without a socket, or without an answer, both are unknown. */
export async function readRuntime(
  socket = runtimeEndpoint(process.env),
  choice: SandboxChoice = {},
): Promise<{ runtime: NodeReport['runtime']; sandboxes: NodeReport['sandboxes'] }> {
  if (socket === undefined) {
    const unknown = `no runtime's socket is there (${SOCKETS.join(', ')})`;
    return { runtime: { unknown }, sandboxes: { unknown } };
  }
  const client = connectRuntime(socket);
  try {
    const [runtime, sandboxes] = await Promise.all([
      observe(`runtime at ${socket}`, () => inspectRuntime(client)),
      observe(`sandboxes at ${socket}`, (heard) => inspectSandboxes(client, heard, isNamespace, choice)),
    ]);
    return { runtime, sandboxes };
  } finally {
    client.close();
  }
}

const cniConfig = z.object({
  PluginDirs: z.array(z.string()),
  PluginConfDir: z.string(),
  Networks: z
    .array(
      z.object({
        Config: z.object({
          Name: z.string(),
          Source: z.string(),
          Plugins: z.array(z.object({ Source: z.string().default('') })).nullish(),
        }),
      }),
    )
    .nullish(),
});

export async function inspectRuntime(runtime: InspectedRuntime): Promise<RuntimeReport> {
  const [{ name, version }, { conditions, info }] = await Promise.all([
    runtime.version(),
    runtime.verboseStatus(),
  ]);
  const network = conditions.find(({ type }) => type === 'NetworkReady');
  const about = {
    name,
    version,
    networkReady: network?.status ?? false,
    networkMessage: textWithoutSecrets(network?.message ?? ''),
  };
  if (info.cniconfig !== undefined) {
    const config = cniConfig.parse(parseJson(info.cniconfig, 'cniconfig'));
    const status = info.lastCNILoadStatus ?? 'OK';
    return {
      ...about,
      confDir: directory(config.PluginConfDir),
      binDirs: config.PluginDirs.map(directory),
      lastLoadError: status === 'OK' ? '' : textWithoutSecrets(status),
      loadedNetworks: {
        // In the form in which files are reported, because the two are compared.
        value: (config.Networks ?? []).map(({ Config }) => ({
          name: Config.Name,
          config: withoutSecrets(Config.Source),
          ...pluginsBeside(
            Config.Source,
            (Config.Plugins ?? []).map(({ Source }) => Source),
          ),
        })),
      },
    };
  }
  return {
    ...about,
    ...crioDirectories(info.config ?? ''),
    loadedNetworks: { unknown: `${name} does not report which networks it has loaded` },
    lastLoadError: '',
  };
}

/** The plugins of a network that are more than its own file has. */
function pluginsBeside(source: string, plugins: readonly string[]): { plugins?: string[] } {
  const own = listed.safeParse(parsedOrNothing(source)).data?.plugins.length ?? 1;
  return plugins.length <= own ? {} : { plugins: plugins.map(withoutSecrets) };
}

const listed = z.object({ plugins: z.array(z.unknown()) });

function parsedOrNothing(text: string): unknown {
  try {
    return parseJson(text, 'network');
  } catch {
    // What it is not compared with is not needed.
    return undefined;
  }
}

/** A directory without the slash at its end that a configuration may have: paths of its files are compared. */
function directory(path: string): string {
  return path.replace(/(?<=.)\/+$/, '');
}

/** The CNI directories in CRI-O's configuration, which its verbose status holds as TOML. Source: crio.conf(5). */
function crioDirectories(toml: string): { confDir: string; binDirs: string[] } {
  const confDir = /^[ \t]*network_dir[ \t]*=[ \t]*"([^"\n]+)"/m.exec(toml)?.[1];
  const list = /^[ \t]*plugin_dirs[ \t]*=[ \t]*\[([^\]]*)\]/m.exec(toml)?.[1] ?? '';
  const binDirs = [...list.matchAll(/"([^"]+)"/g)].map((match) => match[1]!);
  return {
    confDir: directory(confDir ?? DEFAULT_CONF_DIR),
    binDirs: binDirs.length > 0 ? binDirs.map(directory) : DEFAULT_BIN_DIRS,
  };
}

const criPortMapping = z.object({
  /** Number of the protocol in CRI; TCP, being 0, is not written. */
  protocol: z.number().default(0),
  container_port: z.number().default(0),
  host_port: z.number().default(0),
  host_ip: z.string().optional(),
});
const PROTOCOLS = ['tcp', 'udp', 'sctp'];
const NETWORK_OF_NODE = 2;

/** The parts of a verbose sandbox status that containerd and CRI-O share, and containerd's own. */
const sandboxInfo = z.object({
  config: z
    .object({
      port_mappings: z.array(criPortMapping).nullish(),
      linux: z
        .object({
          security_context: z
            .object({ namespace_options: z.object({ network: z.number().default(0) }).nullish() })
            .nullish(),
        })
        .nullish(),
    })
    .nullish(),
  runtimeSpec: z
    .object({
      annotations: z.record(z.string(), z.string()).nullish(),
      linux: z
        .object({
          namespaces: z.array(z.object({ type: z.string(), path: z.string().optional() })).nullish(),
        })
        .nullish(),
    })
    .nullish(),
});
type SandboxInfo = z.infer<typeof sandboxInfo>;

/** Every sandbox of the runtime, those that have ended included. `heard` is called for each answer: a busy node has many, and is slow. */
export async function inspectSandboxes(
  runtime: InspectedRuntime,
  heard = () => {},
  isThere: (netns: string) => boolean = isNamespace,
  { only, memory }: SandboxChoice = {},
): Promise<Sandbox[]> {
  const listed = (await runtime.listSandboxes()).filter(({ id }) => only === undefined || id === only);
  heard();
  const hasNetns = ({ hostNetwork, netns }: Pick<Sandbox, 'hostNetwork' | 'netns'>) =>
    hostNetwork || (netns !== undefined && isThere(netns));
  const all = await Promise.all(
    listed.map(async ({ id, state }): Promise<Sandbox[]> => {
      const known = state === 'ready' ? memory?.get(id) : undefined;
      if (known !== undefined) return [{ ...known, netnsExists: hasNetns(known) }];
      const answer = await runtime.verboseSandboxStatus(id);
      heard();
      // Removed between the list and the look.
      if (answer?.status === undefined) return [];
      const { status } = answer;
      const info = sandboxInfo.parse(parseJson(answer.info.info ?? '{}', `info of sandbox ${id}`));
      const hostNetwork = isHostNetwork(info);
      const netns =
        info.runtimeSpec?.linux?.namespaces?.find(({ type }) => type === 'network')?.path || undefined;
      const ips = [status.network?.ip ?? '', ...(status.network?.additionalIps ?? []).map(({ ip }) => ip)];
      return [
        {
          id,
          name: status.metadata?.name ?? '',
          namespace: status.metadata?.namespace ?? '',
          uid: status.metadata?.uid ?? '',
          attempt: status.metadata?.attempt ?? 0,
          ready: status.state === 'ready',
          createdAt: new Date(status.createdAt / 1e6).toISOString(),
          hostNetwork,
          ...(netns === undefined ? {} : { netns }),
          netnsExists: hasNetns({ hostNetwork, ...(netns !== undefined && { netns }) }),
          ips: ips.filter((ip) => ip !== ''),
          portMappings: portMappingsOf(info),
        },
      ];
    }),
  );
  const found = all.flat();
  if (memory !== undefined) {
    memory.clear();
    // Until it has its addresses, it is being created.
    for (const sandbox of found) {
      if (sandbox.ready && (sandbox.hostNetwork || sandbox.ips.length > 0)) memory.set(sandbox.id, sandbox);
    }
  }
  return found;
}

function isHostNetwork(info: SandboxInfo): boolean {
  const mode = info.config?.linux?.security_context?.namespace_options?.network;
  if (mode !== undefined) return mode === NETWORK_OF_NODE;
  return info.runtimeSpec?.annotations?.['io.kubernetes.cri-o.HostNetwork'] === 'true';
}

/** As the runtime was asked for them. CRI-O shows them in an annotation of its own. */
function portMappingsOf(info: SandboxInfo): Sandbox['portMappings'] {
  const annotation = info.runtimeSpec?.annotations?.['io.kubernetes.cri-o.PortMappings'];
  const mappings =
    info.config?.port_mappings ??
    (annotation === undefined
      ? []
      : z.array(criPortMapping).nullable().parse(parseJson(annotation, 'port mappings'))) ??
    [];
  return mappings
    .filter(({ host_port }) => host_port > 0)
    .map(({ protocol, container_port, host_port, host_ip }) => ({
      hostPort: host_port,
      containerPort: container_port,
      protocol: PROTOCOLS[protocol] ?? String(protocol),
      ...(host_ip === undefined || host_ip === '' ? {} : { hostIP: host_ip }),
    }));
}

/** The directories to look into: the runtime's, or where runtimes look by default, which is then a guess. */
export function cniDirectories(runtime: NodeReport['runtime']): {
  confDir: string;
  binDirs: string[];
  guessed: boolean;
} {
  if ('unknown' in runtime) return { confDir: DEFAULT_CONF_DIR, binDirs: DEFAULT_BIN_DIRS, guessed: true };
  return { confDir: runtime.value.confDir, binDirs: runtime.value.binDirs, guessed: false };
}

/**
 * What was found in directories. An empty directory that is only guessed proves nothing: distributions have their own
 * (k3s, RKE2 and k0s below /var/lib, MicroK8s below /var/snap), and the usual ones are empty there.
 */
export function foundIn<T>(guessed: boolean, found: T[]): T[] {
  if (guessed && found.length === 0) {
    throw new Error('the runtime does not report which directories it uses, and the usual ones are empty');
  }
  return found;
}
