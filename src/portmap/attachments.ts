import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { decodeStruct, parseDocument } from '../cni/json.ts';
import { CACHED_FIELDS, resultFields } from '../cni/result.ts';
import type { AttachmentKey } from '../cni/result-cache.ts';
import { isNamespace } from '../cni/sandbox.ts';
import type { PortMapping } from '../cni/types.ts';
import { namesIn } from '../sys/directories.ts';
import { discard } from '../sys/discard.ts';
import { isErrno, unlessMissing } from '../sys/errno.ts';
import { readRegularFile } from '../sys/regular-file.ts';
import { parseCidr } from '../util/cidr.ts';
import type { Family } from '../util/family.ts';
import { formatIp } from '../util/ip.ts';
import type { Conditions } from './disjoint.ts';
import type { Owner } from './layout.ts';
import type { Device } from './route-localnet.ts';
import { changingState, STATE_DIRECTORY, statsOf } from './state.ts';

/** Whether the sandbox of a mapping still lives, as far as this machine can tell. */
export type SandboxState = 'alive' | 'gone' | 'unknown';

/** What a mapping takes from everybody else. */
export type HostPort = Pick<PortMapping, 'protocol' | 'hostPort' | 'hostIP'>;

/** What is remembered of an attachment. */
interface AttachmentRecord extends AttachmentKey {
  netns: string;
  ports: readonly HostPort[];
  /** Where connections from 127.0.0.1 to the mappings pass. */
  devices: readonly Device[];
  conditions: PodConditions;
}

/** The conditions of an attachment in both families. */
export type PodConditions = Readonly<Record<Family, Conditions>>;

/** A record as it was found: an older one may lack what came later. */
export interface Recorded {
  networkName: string;
  containerId: string;
  ifName: string | undefined;
  devices: readonly Device[];
}

/** What portmap remembers of its attachments, and what it can find out about those of others. */
export interface Attachments {
  /**
   * Remembers an attachment, with the ports and devices of an ADD before; says whether it is a new one. Called before its rules are
   * made.
   */
  record(chain: string, attachment: AttachmentRecord): boolean;
  /** Leaves these devices in a record: those of an ADD before are released. */
  keepDevices(chain: string, devices: readonly Device[]): void;
  /**
   * The host ports that an attachment may have: no others, but perhaps not all of these, as an ADD may have failed. Undefined when
   * that is not remembered.
   */
  portsOf(chain: string): readonly HostPort[] | undefined;
  /**
   * The conditions that an attachment's mappings may have: those of one of its ADDs. Undefined when that is not remembered.
   */
  conditionsOf(chain: string): readonly PodConditions[] | undefined;
  /** The interface that mappings by this name lead to; undefined when that is not remembered. */
  interfaceOf(chain: string): string | undefined;
  /** The devices that a record names; none when there is no record. */
  devicesOf(chain: string): readonly Device[];
  /** Whether there is a record by this name, whatever it says. */
  hasRecord(chain: string): boolean;
  forget(chain: string): void;
  /** What is remembered, by the names of the chains. */
  recorded(): Map<string, Recorded>;
  /** Removes what calls that were killed left unfinished. Called under the lock that every writer holds. */
  tidy(): void;
  /** Fails with {@link StateUnusable} when nothing can be remembered. */
  probe(): void;
  sandboxState(chain: string, owner: Owner): SandboxState;
  /** The addresses of the container's other interfaces, on the same network or on any, as far as the runtime remembers them. */
  addressesOfOthers(key: AttachmentKey, on: 'network' | 'any'): ReadonlySet<string>;
}

/** More than the records of 65,535 ports of three protocols take. */
const MAX_BYTES = 32 * 1024 * 1024;

/**
 * Attachments in files: our own records under `recordDir` (on /run, so that they live as long as the rules do), and libcni's
 * result cache for mappings that another plugin made.
 */
export class AttachmentFiles implements Attachments {
  readonly #recordDir: string;
  readonly #cacheDir: string;

  constructor(recordDir = `${STATE_DIRECTORY}/portmap`, cacheDir = '/var/lib/cni') {
    this.#recordDir = recordDir;
    this.#cacheDir = cacheDir;
  }

  record(chain: string, attachment: AttachmentRecord): boolean {
    const path = this.#path(chain);
    const before = readJson(path);
    const isNew = before === undefined && !this.hasRecord(chain);
    // Were we killed now, the ports of an ADD before would still be mapped, and its devices held.
    const known = isNew ? [] : portsIn(before);
    const ports = known === undefined ? undefined : distinct([...known, ...attachment.ports]);
    // And they would have the conditions of that ADD.
    const earlier = isNew ? [] : conditionsIn(before);
    const conditions =
      earlier && new Map([...earlier, attachment.conditions].map((one) => [JSON.stringify(one), one]));
    const byIndex = [...devicesIn(before), ...attachment.devices].map(
      (device) => [device.index, device] as const,
    );
    this.#write(chain, {
      ...{ ...attachment, ports, devices: [...new Map(byIndex).values()] },
      conditions: conditions && [...conditions.values()],
    });
    return isNew;
  }

  keepDevices(chain: string, devices: readonly Device[]): void {
    this.#write(chain, { ...readJson(this.#path(chain)), devices });
  }

  #write(chain: string, record: object): void {
    changingState(this.#recordDir, () => this.#replace(chain, record));
  }

  #replace(chain: string, record: object): void {
    const path = this.#path(chain);
    mkdirSync(this.#recordDir, { recursive: true, mode: 0o700 });
    const temporary = `${this.#recordDir}/.${chain}.${process.pid}`;
    const write = () => writeFileSync(temporary, JSON.stringify(record), { mode: 0o600, flag: 'wx' });
    // Anything with one of our names may be replaced: only this plugin uses this directory.
    try {
      replacing(temporary, 'EEXIST', write);
      replacing(path, 'EISDIR', () => renameSync(temporary, path));
    } catch (cause) {
      // A full disk must not keep a part of it as well.
      discard(temporary);
      throw cause;
    }
  }

  /** Removes the directory with all records; false when there is none. */
  discard(): boolean {
    if (statsOf(this.#recordDir) === undefined) return false;
    this.#remove(this.#recordDir);
    return true;
  }

  probe(): void {
    const temporary = `${this.#recordDir}/.probe.${process.pid}`;
    changingState(this.#recordDir, () => {
      mkdirSync(this.#recordDir, { recursive: true, mode: 0o700 });
      try {
        replacing(temporary, 'EEXIST', () => writeFileSync(temporary, '{}', { mode: 0o600, flag: 'wx' }));
      } finally {
        discard(temporary);
      }
    });
  }

  portsOf(chain: string): readonly HostPort[] | undefined {
    return portsIn(readJson(this.#path(chain)));
  }

  conditionsOf(chain: string): readonly PodConditions[] | undefined {
    return conditionsIn(readJson(this.#path(chain)));
  }

  interfaceOf(chain: string): string | undefined {
    const { ifName } = readJson(this.#path(chain)) ?? {};
    return typeof ifName === 'string' ? ifName : undefined;
  }

  devicesOf(chain: string): readonly Device[] {
    return devicesIn(readJson(this.#path(chain)));
  }

  hasRecord(chain: string): boolean {
    return statsOf(this.#path(chain)) !== undefined;
  }

  forget(chain: string): void {
    this.#remove(this.#path(chain));
  }

  #remove(path: string): void {
    // What is not there need not be removed, whatever the directory is.
    if (statsOf(path) === undefined) return;
    changingState(path, () => rmSync(path, { force: true, recursive: true }));
  }

  /** Names in the directory of records; none where it is not a directory. */
  #names(): string[] {
    return unlessMissing(() => namesIn(this.#recordDir), ['ENOTDIR']) ?? [];
  }

  recorded(): Map<string, Recorded> {
    const found = new Map<string, Recorded>();
    for (const name of this.#names()) {
      if (name.startsWith('.')) continue;
      const record = readJson(`${this.#recordDir}/${name}`);
      const { networkName, containerId, ifName } = record ?? {};
      if (typeof networkName !== 'string' || typeof containerId !== 'string') continue;
      found.set(name.replace(/\.json$/, ''), {
        ...{ networkName, containerId, devices: devicesIn(record) },
        ifName: typeof ifName === 'string' ? ifName : undefined,
      });
    }
    return found;
  }

  tidy(): void {
    for (const name of this.#names()) {
      if (name.startsWith('.')) this.#remove(`${this.#recordDir}/${name}`);
    }
  }

  sandboxState(chain: string, owner: Owner): SandboxState {
    const own = readJson(this.#path(chain));
    if (typeof own?.netns === 'string') return namespaceState(own.netns);
    const states = this.#cached(owner.containerId)
      .filter(({ networkName, ifName }) => {
        return networkName === owner.networkName && (owner.ifName === undefined || ifName === owner.ifName);
      })
      .flatMap(({ result }) => interfacesIn(result))
      .flatMap(({ sandbox }) => (sandbox ? [namespaceState(sandbox)] : []));
    return states.includes('alive') ? 'alive' : (states[0] ?? 'unknown');
  }

  addressesOfOthers(key: AttachmentKey, on: 'network' | 'any'): ReadonlySet<string> {
    const addresses = new Set<string>();
    for (const { networkName, ifName, result } of this.#cached(key.containerId)) {
      // One interface may be remembered twice: by a plugin that delegates, and by the one that it delegates to.
      if (ifName === key.ifName || (on === 'network' && networkName !== key.networkName)) continue;
      const interfaces = interfacesIn(result);
      for (const entry of Array.isArray(result.ips) ? (result.ips as unknown[]) : []) {
        const { address, interface: index } = (entry ?? {}) as { address?: unknown; interface?: unknown };
        const name = typeof index === 'number' ? interfaces[index]?.name : undefined;
        const ip = typeof address === 'string' ? parseCidr(address)?.ip : undefined;
        if (ip !== undefined && (name === undefined || name === ifName)) addresses.add(formatIp(ip));
      }
    }
    return addresses;
  }

  /**
   * What libcni remembers of a container's attachments: `results/<network>-<container>-<interface>` is there from the end of an ADD
   * to the end of its DEL.
   */
  #cached(containerId: string): CachedResult[] {
    const directory = `${this.#cacheDir}/results`;
    return namesIn(directory)
      .filter((name) => name.includes(`-${containerId}-`))
      .flatMap((name) => cachedResult(name, containerId, readCached(`${directory}/${name}`)) ?? []);
  }

  #path(chain: string): string {
    return `${this.#recordDir}/${chain}.json`;
  }
}

/** The ports in a record; undefined when it has none that can be made out. */
function portsIn(record: Record<string, unknown> | undefined): HostPort[] | undefined {
  const { ports } = record ?? {};
  const isPort = (port: Partial<HostPort> | null) =>
    typeof port?.protocol === 'string' &&
    typeof port.hostPort === 'number' &&
    (port.hostIP === undefined || typeof port.hostIP === 'string');
  return Array.isArray(ports) && ports.every(isPort) ? (ports as HostPort[]) : undefined;
}

/** The conditions in a record; undefined when it has none that can be made out. */
function conditionsIn(record: Record<string, unknown> | undefined): PodConditions[] | undefined {
  const { conditions } = record ?? {};
  const isOfFamily = (one: Partial<Conditions> | undefined) =>
    (one?.language === 'iptables' || one?.language === 'nftables') &&
    Array.isArray(one.words) &&
    one.words.every((word) => typeof word === 'string');
  const isWhole = (one: Partial<PodConditions> | null) => isOfFamily(one?.ipv4) && isOfFamily(one?.ipv6);
  return Array.isArray(conditions) && conditions.every(isWhole) ? (conditions as PodConditions[]) : undefined;
}

function distinct(ports: readonly HostPort[]): HostPort[] {
  const keyed = ports.map(({ protocol, hostPort, hostIP }) => {
    const port = { protocol, hostPort, hostIP };
    return [JSON.stringify(port), port] as const;
  });
  return [...new Map(keyed).values()];
}

/** The devices in a record; an older one has none. */
function devicesIn(record: Record<string, unknown> | undefined): Device[] {
  const { devices } = record ?? {};
  const isDevice = (device: Partial<Device> | null) =>
    Number.isInteger(device?.index) && typeof device?.name === 'string';
  return Array.isArray(devices) ? devices.filter(isDevice) : [];
}

interface CachedResult {
  networkName: string;
  ifName: string;
  result: Record<string, unknown>;
}

/** What an entry of the cache says about a container; undefined when it is about another one. */
function cachedResult(
  file: string,
  containerId: string,
  document: Record<string, unknown> | undefined,
): CachedResult | undefined {
  if (document === undefined) return undefined;
  if (document.kind === undefined) {
    // Before libcni 0.8 the file was the result itself.
    const at = file.indexOf(`-${containerId}-`);
    const ifName = file.slice(at + containerId.length + 2);
    return { networkName: file.slice(0, at), ifName, result: document };
  }
  const { networkName, ifName, result } = document;
  const fields = resultFields(result);
  if (document.containerId !== containerId || fields === undefined) return undefined;
  if (typeof networkName !== 'string' || typeof ifName !== 'string') return undefined;
  return { networkName, ifName, result: fields };
}

function interfacesIn(result: Record<string, unknown>): { name?: unknown; sandbox?: string }[] {
  const { interfaces } = result;
  if (!Array.isArray(interfaces)) return [];
  return interfaces.map((entry) => ({
    name: entry?.name,
    ...(typeof entry?.sandbox === 'string' ? { sandbox: entry.sandbox } : {}),
  }));
}

/** Does what needs the place at `path`; removes what has it when that is the error, and does it again. */
function replacing(path: string, code: 'EEXIST' | 'EISDIR', work: () => void): void {
  try {
    work();
  } catch (cause) {
    if (!isErrno(cause, code)) throw cause;
    rmSync(path, { recursive: true, force: true });
    work();
  }
}

function namespaceState(path: string): SandboxState {
  return isNamespace(path) ? 'alive' : 'gone';
}

/** An entry of the runtime's cache as the runtime reads it; undefined as for {@link readJson}. */
function readCached(path: string): Record<string, unknown> | undefined {
  try {
    return decodeStruct(parseDocument(readRegularFile(path, MAX_BYTES), 'entry'), CACHED_FIELDS);
  } catch {
    return undefined;
  }
}

/** The object in a file; undefined when the file is missing, was cut short by a crash, or is something else. */
function readJson(path: string): Record<string, unknown> | undefined {
  try {
    const document: unknown = JSON.parse(readRegularFile(path, MAX_BYTES));
    return typeof document === 'object' && document !== null
      ? (document as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
