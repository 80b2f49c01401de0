import { type TracedFlow, WATCH_PREFIX } from '../../path/model/flow-trace.ts';

const HOOKS = ['prerouting', 'input', 'forward', 'output', 'postrouting'] as const;
/** Ahead of all and behind all that rules of others may have, but for what the kernel itself does first and last. */
const FIRST = -2_147_483_000;
const LAST = 2_147_483_000;
/** Right after connection tracking knows the packet (NF_IP_PRI_CONNTRACK is -200). */
const TRACKED = -199;
/** NFT_NETDEVICE_MAX: a chain takes no more. A node of many pods has one for each. */
const MAX_DEVICES = 256;

/** How the table is to be. */
export interface Watch {
  name: string;
  flow: TracedFlow;
  /** Answers are known by their connection, too, whatever their ports became. Where nobody tracks connections this would begin it. */
  byConnection: boolean;
}

/**
 * The nft document of a table that has the kernel trace one flow, and says where its packets are at both ends of each hook. It accepts
 * everything: no packet's fate changes. Only packets of the flow's own ports are traced.
 */
export function watchDocument({ name, flow, byConnection }: Watch): string {
  const marks = flowMatches(flow).map((match) => `${match} meta nftrace set 1`);
  const known =
    `meta l4proto ${flow.protocol.toLowerCase()} ct direction reply ct original proto-src ${flow.sourcePort} ct original proto-dst ${flow.port} ` +
    'meta nftrace set 1';
  const chain = (at: string, hook: string, priority: number, rules: readonly string[] = []) =>
    `chain ${at} { type filter hook ${hook} priority ${priority}; policy accept;\n${rules.join('\n')}\n}\n`;
  const chains = HOOKS.flatMap((hook) => [
    chain(`${hook}-first`, hook, FIRST, hook === 'prerouting' || hook === 'output' ? marks : []),
    chain(`${hook}-end`, hook, LAST),
  ]);
  if (byConnection) chains.push(chain('prerouting-tracked', 'prerouting', TRACKED, [known]));
  return `table inet ${checked(name)} {\n${chains.join('')}}\n`;
}

/** As {@link watchDocument}, for what comes in by devices and leaves by them, ahead of all of IP. */
export function deviceDocument({ name, flow }: Watch, devices: readonly string[]): string {
  if (devices.length > MAX_DEVICES)
    throw new Error(`the node has ${devices.length} devices, and a chain takes ${MAX_DEVICES}`);
  const list = devices.map((device) => `"${checked(device)}"`);
  const layer = flow.family === 'ipv4' ? 'ip' : 'ip6';
  const marks = flowMatches(flow).map((match) => `meta protocol ${layer} ${match} meta nftrace set 1`);
  const chain = (at: string, hook: string, priority: number) =>
    `chain ${at} { type filter hook ${hook} devices = { ${list.join(', ')} } priority ${priority}; policy accept;\n${marks.join('\n')}\n}\n`;
  return `table netdev ${checked(name)} {\n${chain('arrived', 'ingress', FIRST)}${chain('left', 'egress', LAST)}}\n`;
}

/** The nft document that deletes tables. */
export function deleteDocument(tables: readonly { family: string; name: string }[]): string {
  return tables.map(({ family, name }) => `delete table ${checked(family)} ${checked(name)}\n`).join('');
}

/** Whether a table is one of these, of whatever run. Others may call theirs almost anything: a name that is not plain is not ours. */
export function isWatchTable({ name }: { name: string }): boolean {
  return name.startsWith(WATCH_PREFIX) && isPlainName(name);
}

/**
 * The nft documents that delete those of some tables that are watches, in order: first what this run has created, then what killed runs have left. Each
 * has its effect as a whole or not at all.
 */
export function clearDocuments(tables: readonly { family: string; name: string }[], own: string): string[] {
  const watches = tables.filter(isWatchTable);
  const isOwn = ({ name }: { name: string }) => name === own;
  return [watches.filter(isOwn), watches.filter((table) => !isOwn(table))]
    .filter(({ length }) => length > 0)
    .map(deleteDocument);
}

/** What is true of the flow's packets on their way there, and on their way back. */
function flowMatches({ protocol, port, sourcePort, containerPort }: TracedFlow): string[] {
  const name = protocol.toLowerCase();
  const answers = containerPort === undefined ? '' : `${name} sport { ${unique(port, containerPort)} } `;
  return [`${name} sport ${sourcePort} ${name} dport ${port}`, `${answers}${name} dport ${sourcePort}`];
}

function unique(...ports: number[]): string {
  return [...new Set(ports)].join(', ');
}

/** Names of devices may hold almost anything; one that is not plain is not watched. */
export function isPlainName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(name);
}

function checked(name: string): string {
  if (!isPlainName(name)) throw new Error(`cannot watch ${JSON.stringify(name)}: not a plain name`);
  return name;
}
