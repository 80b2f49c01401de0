import type { NodeReport } from '../../path/model/node-report.ts';
import type { Observed } from '../../path/model/observed.ts';
import type { StandIns } from './stand-ins.ts';

/** Fields that hold what a program says, wherever they are. */
const TEXTS: ReadonlySet<string> = new Set(['unknown', 'why', 'networkMessage', 'lastLoadError']);

/** A report with names, hosts and addresses replaced. What else it names (devices, chains, plugins, files, networks) belongs together, and stays. */
export function anonymousReport(report: NodeReport, all: StandIns): NodeReport {
  const { names, texts, id } = all;
  const plain = <T>(part: T): T => replaced(part, all) as T;
  const { machine, cni, runtime, netfilter, sandboxes, network, ...rest } = report;
  const { files, dropIns, attachments, mounts, ...ofCni } = cni;
  const configuration = (text: string) => configurationText(text, all);
  const confFiles = (of: NodeReport['cni']['files']) =>
    mapped(of, all, (entries) =>
      entries.map((file) => ({
        ...file,
        ...(file.target !== undefined && { target: texts.text(file.target) }),
        content: mapped(file.content, all, configuration),
      })),
    );
  return {
    ...plain(rest),
    node: names.of('node', report.node),
    machine: {
      ...machine,
      ...(machine.machineId !== undefined && { machineId: id(machine.machineId) }),
      ...(machine.bootId !== undefined && { bootId: id(machine.bootId) }),
    },
    network: { ...plain(network), sysctls: mapped(network.sysctls, all, (settings) => settings) },
    cni: {
      ...plain(ofCni),
      files: confFiles(files),
      ...(dropIns && { dropIns: dropIns.map((entry) => ({ ...entry, files: confFiles(entry.files) })) }),
      attachments: mapped(attachments, all, (entries) =>
        entries.map(({ config, result, ...entry }) => ({
          ...plain(entry),
          config: configuration(config),
          result: JSON.parse(configurationText(JSON.stringify(result), all)) as typeof result,
        })),
      ),
      ...(mounts && {
        mounts: mapped(mounts, all, (entries) =>
          entries.map((mount) => ({
            ...mount,
            origin: texts.text(mount.origin),
            source: texts.text(mount.source),
          })),
        ),
      }),
    },
    runtime: mapped(runtime, all, ({ loadedNetworks, ...of }) => ({
      ...plain(of),
      loadedNetworks: mapped(loadedNetworks, all, (networks) =>
        networks.map((network) => ({
          ...network,
          config: configuration(network.config),
          ...(network.plugins && { plugins: network.plugins.map(configuration) }),
        })),
      ),
    })),
    sandboxes: mapped(sandboxes, all, (entries) =>
      entries.map((sandbox) => ({
        ...plain(sandbox),
        name: names.of('pod', sandbox.name),
        namespace: names.of('namespace', sandbox.namespace),
      })),
    ),
    netfilter: {
      ...netfilter,
      iptables: netfilter.iptables.map(({ text, ...of }) => ({
        ...of,
        text: mapped(text, all, (rules) => iptablesText(rules, all)),
      })),
      nft: mapped(netfilter.nft, all, (listing) => nftText(listing, all)),
    },
  };
}

function mapped<T>(observed: Observed<T>, { texts }: StandIns, change: (value: T) => T): Observed<T> {
  return 'value' in observed ? { value: change(observed.value) } : { unknown: texts.text(observed.unknown) };
}

/** A part of a report in which only messages are free texts. */
function replaced(value: unknown, all: StandIns, key = ''): unknown {
  if (typeof value === 'string') return TEXTS.has(key) ? all.texts.text(value) : all.texts.addresses(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => replaced(item, all, key));
  return Object.fromEntries(Object.entries(value).map(([field, of]) => [field, replaced(of, all, field)]));
}

/** Members of a CNI configuration or result that plugins, networks and devices are known by. */
const IDENTIFIERS = new Set(
  'name type cniVersion cniVersions ifName bridge master sandbox containerId netns interface device'.split(
    ' ',
  ),
);

/** The JSON text of a configuration or a result, with the texts in it replaced; any other text is looked through as it is. */
function configurationText(text: string, { texts }: StandIns): string {
  if (!/^\s*[{[]/.test(text)) return texts.text(text);
  let key = '';
  return text.replace(/"((?:[^"\\]|\\.)*)"(\s*:)?/g, (whole, content: string, colon: string | undefined) => {
    if (colon !== undefined) {
      key = content;
      return whole;
    }
    if (IDENTIFIERS.has(key)) return whole;
    const before = content.includes('\\') ? (JSON.parse(whole) as string) : content;
    const after = texts.text(before);
    return after === before ? whole : JSON.stringify(after);
  });
}

/** What iptables-save printed: addresses, and what people wrote into comments and prefixes of log lines. */
function iptablesText(rules: string, { texts }: StandIns): string {
  return rules
    .split(/(--(?:comment|log-prefix|nflog-prefix) (?:"(?:[^"\\]|\\.)*"|\S+))/)
    .map((part, i) => {
      if (i % 2 === 0) return texts.addresses(part);
      const [, option = '', said = ''] = /^(\S+ )([\s\S]*)$/.exec(part) ?? [];
      return `${option}${texts.text(said)}`;
    })
    .join('');
}

/** What `nft -j list ruleset` printed. */
function nftText(listing: string, all: StandIns): string {
  let document: unknown;
  try {
    document = JSON.parse(listing);
  } catch {
    return all.texts.addresses(listing);
  }
  return JSON.stringify(nftPart(document, all, ''));
}

function nftPart(value: unknown, all: StandIns, key: string): unknown {
  const { texts, addresses } = all;
  if (typeof value === 'string') {
    if (key === 'comment' || key === 'log prefix') return texts.text(value);
    return texts.addresses(value);
  }
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => nftPart(item, all, key));
  const { addr, len, ...rest } = value as { addr?: unknown; len?: unknown };
  if (typeof addr === 'string' && typeof len === 'number') {
    const network = addresses.of(`${addr}/${len}`) ?? `${addr}/${len}`;
    return { addr: network.slice(0, network.lastIndexOf('/')), len, ...rest };
  }
  return Object.fromEntries(
    Object.entries(value).map(([field, of]) => [
      field,
      nftPart(of, all, key === 'log' && field === 'prefix' ? 'log prefix' : field),
    ]),
  );
}
