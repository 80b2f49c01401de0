import { join } from 'node:path';
import { parseNetworkConfig } from '../../cni/conflist.ts';
import type { CniConfFile, NodeReport } from '../../path/model/node-report.ts';
import { NODE_REPORT_VERSION } from '../../path/model/node-report-version.ts';
import { known } from '../../path/model/observed.ts';
import type { Exec } from '../../sys/exec.ts';
import { VERSION } from '../../util/version.ts';
import { readAttachments } from './attachments.ts';
import { readCilium } from './cilium.ts';
import { readCiliumAgents } from './cilium-agents.ts';
import { readConfFiles, readDropIns } from './conf-files.ts';
import { readFlows } from './flows.ts';
import { readListeners } from './listeners.ts';
import { readMachine } from './machine.ts';
import { readMountsOf } from './mounts.ts';
import { readNetfilter, type Which } from './netfilter.ts';
import { readNetwork } from './network.ts';
import { observe } from './observe.ts';
import { readPluginFiles } from './plugin-files.ts';
import { cniDirectories, foundIn, readRuntime, type SandboxMemory } from './runtime.ts';
import { reportWithoutSecrets } from './secrets.ts';
import { readReversePathDrops, readSysctls } from './sysctls.ts';

type DropIns = NonNullable<NodeReport['cni']['dropIns']>[number];

/** Where system tools are, whatever PATH says: a service's PATH often lacks the sbin directories. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Finds a program on PATH or where system tools are. */
export const whichProgram: Which = (name) =>
  Bun.which(name, { PATH: `${process.env.PATH ?? ''}:${SYSTEM_PATH}` }) ?? undefined;

/**
 * Takes the report of the node that this process runs on: of its network, mount and process namespaces. Changes nothing. What cannot be
 * read, for lack of permission or of an answer, is unknown with the reason; the rest is reported all the same.
 * `mountsOf`: how the mounts of directories are read; `memory`: of sandboxes, from one report to the next; `runtimeEndpoint`: a socket, as a path or `unix://path`; default: CONTAINER_RUNTIME_ENDPOINT, then where runtimes listen.
 */
export async function takeNodeReport(
  node: string,
  exec: Exec,
  which: Which = whichProgram,
  runtimeEndpoint?: string,
  mountsOf: typeof readMountsOf = readMountsOf,
  memory?: SandboxMemory,
): Promise<NodeReport> {
  const takenAt = new Date().toISOString();
  const [network, netfilter, listeners, sysctls, drops, attachments, cilium, { runtime, sandboxes }] =
    await Promise.all([
      readNetwork(exec),
      readNetfilter(exec, which),
      observe('/proc/net', () => readListeners()),
      observe('/proc/sys', () => readSysctls()),
      observe('/proc/net/netstat', () => readReversePathDrops()),
      observe('result cache', () => readAttachments()),
      readCilium(),
      readRuntime(runtimeEndpoint, memory && { memory }),
    ]);
  const { confDir, binDirs, guessed } = cniDirectories(runtime);
  const cached = known(attachments)?.attachments;
  const files = await observe(confDir, () => foundIn(guessed, readConfFiles(confDir)));
  const ciliumAgents = await observe('/proc', () => readCiliumAgents(confDir));
  const dropIns = await readAllDropIns(confDir, known(files) ?? []);
  const pods = known(sandboxes) ?? [];
  const filter = {
    hostPorts: new Set(
      [...pods, ...(cached ?? [])].flatMap(({ portMappings }) =>
        portMappings.map(({ hostPort }) => hostPort),
      ),
    ),
    addresses: new Set(pods.filter(({ hostNetwork }) => !hostNetwork).flatMap(({ ips }) => ips)),
  };
  const tracked = Number(known(sysctls)?.['net.netfilter.nf_conntrack_count'] ?? 0);
  const [mounts, plugins, flows] = await Promise.all([
    observe('mounts', () => mountsOf([confDir, ...binDirs])),
    observe(binDirs.join(', '), async () =>
      foundIn(guessed, await readPluginFiles(exec, binDirs, pluginsNamed(known(files) ?? [], dropIns))),
    ),
    observe('conntrack', () => readFlows(exec, filter, tracked)),
  ]);
  // Each reader leaves secrets out of what it reads; once more for all, since nobody looks at a report before it is sent around.
  return reportWithoutSecrets({
    apiVersion: NODE_REPORT_VERSION,
    kind: 'NodeReport',
    node,
    takenAt,
    program: { version: VERSION },
    machine: readMachine(),
    network: { ...network, sysctls, reversePathDrops: drops, listeners, flows },
    cni: {
      confDir,
      files,
      ...(dropIns.length === 0 ? {} : { dropIns }),
      binDirs,
      plugins,
      ciliumAgents,
      mounts,
      attachments: 'unknown' in attachments ? attachments : { value: attachments.value.attachments },
      skipped: known(attachments)?.skipped ?? [],
    },
    ...(cilium === undefined ? {} : { cilium }),
    runtime,
    sandboxes,
    netfilter,
  });
}

/** What is in the drop-in directories of the lists that have one. */
async function readAllDropIns(confDir: string, files: readonly CniConfFile[]): Promise<DropIns[]> {
  const networks = new Set<string>();
  for (const { name, content } of files) {
    if ('value' in content) parsedTypes(content.value, name, (network) => networks.add(network));
  }
  const read = [...networks].map(async (network) => {
    return { network, files: await observe(join(confDir, network), () => readDropIns(confDir, network)) };
  });
  return (await Promise.all(read)).filter((entry) => known(entry.files)?.length !== 0);
}

/** The types of all plugins that the configuration files name, those that no runtime uses included. */
function pluginsNamed(files: readonly CniConfFile[], dropIns: readonly DropIns[]): Set<string> {
  const whole = dropIns.flatMap((entry) => known(entry.files) ?? []);
  const named = new Set<string>();
  for (const { name, content } of files) {
    if ('value' in content) for (const type of parsedTypes(content.value, name)) named.add(type);
  }
  for (const { name, content } of whole) {
    // A plugin alone, without the name that a network has.
    const list = 'value' in content ? `{"name":"x","plugins":[${content.value}]}` : '';
    for (const type of parsedTypes(list, `${name}.conflist`)) named.add(type);
  }
  return named;
}

/** The types of a configuration's own plugins; calls `network` with the network's name where that may have a drop-in directory. */
function parsedTypes(text: string, name: string, network?: (name: string) => void): string[] {
  try {
    const { plugins } = parseNetworkConfig(text, name, (found) => {
      network?.(found);
      return [];
    });
    return plugins.map(({ type }) => type);
  } catch {
    // A file that is not a configuration names no plugin; the doctor reports that it is broken.
    return [];
  }
}
