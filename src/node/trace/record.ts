import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { nftTableNames } from '../../netfilter/nft/table-names.ts';
import { decodeTrace } from '../../netfilter/trace/kernel-message.ts';
import {
  type FlowRecord,
  type TracedEvent,
  type TracedFlow,
  WATCH_PREFIX,
} from '../../path/model/flow-trace.ts';
import { known } from '../../path/model/observed.ts';
import { type Exec, output } from '../../sys/exec.ts';
import { tryFileLock } from '../../sys/file-lock.ts';
import { joinNetfilterGroup, type NetfilterGroup } from '../../sys/netfilter-group.ts';
import { messageOf } from '../../util/errors.ts';
import { NFT_FAMILY } from '../../util/family.ts';
import { readNetfilter, type Which } from '../report/netfilter.ts';
import { observe } from '../report/observe.ts';
import { type DropRecording, type DropSource, kernelDrops } from './drops.ts';
import { netnsNumber } from './netns-number.ts';
import { type RuleTexts, ruleTexts } from './rule-texts.ts';
import { clearDocuments, deviceDocument, isPlainName, isWatchTable, watchDocument } from './watch-table.ts';

/** Messages of one probe are some hundreds. */
const MAX_EVENTS = 2000;
/** For the messages that come until the end. */
const SOCKET_BYTES = 4 * 1024 * 1024;
/** Only root may write here. What every process may take, as an abstract address of the network namespace, anybody could keep for ever. */
const LOCKS = '/run/hostport';

/** What the recorder asks of the machine. */
export interface RecorderDoors {
  exec: Exec;
  which: Which;
  drops?: DropSource;
  /** The directory of its lock, one for each network namespace. */
  locks?: string;
}

/** A recording under way. */
export interface Recording {
  /** Ends it, and leaves nothing behind on the node; what was recorded. Once. */
  stop(): Promise<FlowRecord>;
}

interface Device {
  ifindex: number;
  ifname: string;
}

/**
 * Has the kernel of this node (this process's network namespace) trace one flow: by a table of its own in nftables, and a tracing instance of its
 * own. What a killed run left behind is removed first. What cannot be had of the two is unknown, with the reason.
 * @throws while another recording is under way on the node.
 */
export async function startRecording(
  flow: TracedFlow,
  { exec, which, drops = kernelDrops, locks = LOCKS }: RecorderDoors,
): Promise<Recording> {
  const place = netnsNumber();
  const lock = tryFileLock(join(locks, `trace-${place}.lock`), `process ${process.pid}`);
  if ('heldBy' in lock)
    throw new Error('cannot trace on this node: another trace is under way; try again when it has ended');
  const nft = which('nft');
  const name = `${WATCH_PREFIX}${randomBytes(4).toString('hex')}`;
  const clearTables = async () => {
    if (nft === undefined) return;
    for (const stdin of clearDocuments(nftTableNames() ?? [], name))
      await output(exec, [nft, '-f', '-'], { stdin });
  };
  let group: NetfilterGroup | undefined;
  let dropping: DropRecording | undefined;
  const end = async () => {
    try {
      group?.close();
      await clearTables();
    } finally {
      lock.release();
    }
  };
  try {
    await clearTables();
    const rules = ruleTexts(await readNetfilter(exec, which));
    const devices = await readDevices(exec, which);
    const watch = { name, flow, byConnection: rules.tracksConnections };
    let devicesUnknown: string | undefined;
    const begun = await observe('nftables', async () => {
      if (nft === undefined) throw new Error('nft is not on this node');
      group = joinNetfilterGroup('trace', SOCKET_BYTES);
      await output(exec, [nft, '-f', '-'], { stdin: watchDocument(watch) });
      const names = devices.map(({ ifname }) => ifname).filter((each) => each !== 'lo' && isPlainName(each));
      try {
        await output(exec, [nft, '-f', '-'], { stdin: deviceDocument(watch, names) });
      } catch (cause) {
        // Chains of leaving packets need Linux 5.16; a device may have gone meanwhile.
        devicesUnknown = messageOf(cause);
      }
    });
    const reasons = await observe('tracefs', () => {
      drops.clear(place);
      dropping = drops.record(flow.family, place, randomBytes(4).toString('hex'));
    });
    return {
      async stop() {
        try {
          const dropped = 'unknown' in reasons ? reasons : await observe('tracefs', () => dropping!.stop());
          const seen = known(dropped);
          const { events, isTruncated } = drain(group, devices, rules);
          return {
            events: 'unknown' in begun ? begun : { value: events },
            isTruncated,
            ...(devicesUnknown !== undefined && { devicesUnknown }),
            hooks: hooksOf(events, rules),
            drops: 'unknown' in dropped ? dropped : { value: dropped.value.drops },
            ...(seen?.pid !== undefined && { pid: seen.pid }),
            hasLegacyRules: rules.hasLegacyRules,
            silentNeighbours: await readSilentNeighbours(exec, which, flow),
          };
        } finally {
          await end();
        }
      },
    };
  } catch (cause) {
    dropping?.stop();
    await end();
    throw cause;
  }
}

function drain(
  group: NetfilterGroup | undefined,
  devices: readonly Device[],
  rules: RuleTexts,
): { events: TracedEvent[]; isTruncated: boolean } {
  const names = new Map(devices.map(({ ifindex, ifname }) => [ifindex, ifname]));
  const events: TracedEvent[] = [];
  for (const read of group?.waiting() ?? []) {
    for (const { packet, ...event } of decodeTrace(read, (index) => names.get(index))) {
      if (events.length >= MAX_EVENTS) return { events, isTruncated: true };
      const { family, table, chain, handle } = event;
      const text =
        handle === undefined || isWatchTable({ name: table })
          ? undefined
          : rules.text(family, table, chain, handle);
      events.push({ ...event, ...(packet && { packet }), ...(text !== undefined && { text }) });
    }
  }
  return { events, isTruncated: false };
}

/** Of the base chains that occur. */
function hooksOf(events: readonly TracedEvent[], { hooks }: RuleTexts): Record<string, string> {
  const places = new Set(events.map(({ family, table, chain }) => `${family} ${table} ${chain}`));
  return Object.fromEntries(Object.entries(hooks).filter(([place]) => places.has(place)));
}

async function readDevices(exec: Exec, which: Which): Promise<Device[]> {
  const ip = which('ip');
  if (ip === undefined) return [];
  return JSON.parse(await output(exec, [ip, '-j', 'link'])) as Device[];
}

async function readSilentNeighbours(
  exec: Exec,
  which: Which,
  { family }: TracedFlow,
): Promise<FlowRecord['silentNeighbours']> {
  const ip = which('ip');
  if (ip === undefined) return [];
  const layer = NFT_FAMILY[family] === 'ip' ? '-4' : '-6';
  const read = await observe('neighbours', () => output(exec, [ip, '-j', layer, 'neighbour']));
  const listed = JSON.parse(known(read) ?? '[]') as { dst: string; dev: string; state?: string[] }[];
  return listed
    .filter(({ state = [] }) => state.some((each) => each === 'FAILED' || each === 'INCOMPLETE'))
    .map(({ dst, dev }) => ({ address: dst, device: dev }));
}
