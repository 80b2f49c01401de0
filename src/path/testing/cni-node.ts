import type { CniConfFile, NodeReport, PluginFile } from '../model/node-report.ts';
import { NODE_REPORT_VERSION } from '../model/node-report-version.ts';

const UNSEEN = { unknown: 'not looked at by this test' };
const AT = '2026-01-01T00:00:00Z';

/** The plugins of a list that is as it should be. */
export const CHAINED = [{ type: 'cilium-cni' }, { type: 'portmap', capabilities: { portMappings: true } }];

/** A list of the network `net`. */
export function listOf(plugins: readonly object[], more: object = {}): string {
  return JSON.stringify({ cniVersion: '1.0.0', name: 'net', ...more, plugins });
}

export function confFile(name: string, content: string): CniConfFile {
  return { name, modified: AT, changed: AT, content: { value: content } };
}

/**
 * The report of a node of which only the CNI was looked at: its configuration files, by name. `cni`, `network`: what is otherwise or there besides;
 * `loaded`: the list that the runtime has in use; unknown when absent; `version`: its own.
 */
export function cniNode(
  files: Readonly<Record<string, string>>,
  rest: {
    cni?: Partial<NodeReport['cni']>;
    network?: Partial<NodeReport['network']>;
    loaded?: string;
    version?: string;
  } = {},
): NodeReport {
  const { loaded } = rest;
  return {
    apiVersion: NODE_REPORT_VERSION,
    kind: 'NodeReport',
    node: 'n1',
    takenAt: AT,
    machine: { kernel: '6.1', architecture: 'x64', elfMachine: 62 },
    network: {
      links: UNSEEN,
      addresses: UNSEEN,
      routes: UNSEEN,
      sysctls: UNSEEN,
      listeners: UNSEEN,
      flows: UNSEEN,
      ...rest.network,
    },
    cni: {
      confDir: '/etc/cni/net.d',
      files: { value: Object.entries(files).map(([name, content]) => confFile(name, content)) },
      binDirs: ['/opt/cni/bin'],
      plugins: { value: ['cilium-cni', 'portmap'].map((name) => pluginFile(name)) },
      attachments: { value: [] },
      skipped: [],
      ...rest.cni,
    },
    runtime:
      loaded === undefined
        ? UNSEEN
        : {
            value: {
              name: 'containerd',
              version: rest.version ?? '1.6.20',
              networkReady: true,
              networkMessage: '',
              confDir: '/etc/cni/net.d',
              binDirs: ['/opt/cni/bin'],
              loadedNetworks: { value: [{ name: 'net', config: loaded }] },
              lastLoadError: '',
            },
          },
    sandboxes: UNSEEN,
    netfilter: { tools: { iptables: '/sbin/iptables' }, iptables: [], nft: UNSEEN },
  };
}

/** A plugin that is as it should be, and what is otherwise. */
export function pluginFile(name: string, otherwise: Partial<PluginFile> = {}): PluginFile {
  return {
    name,
    directory: '/opt/cni/bin',
    mode: '0755',
    size: 1,
    format: { kind: 'elf', machine: 62, bits: 64 },
    versions: { value: ['0.4.0', '1.0.0'] },
    ...otherwise,
  };
}
