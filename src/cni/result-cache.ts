import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { namesIn } from '../sys/directories.ts';
import { isErrno } from '../sys/errno.ts';
import { writeFileAtomic } from '../sys/files.ts';
import { NotRegularFile, readRegularFile } from '../sys/regular-file.ts';
import { isObject } from '../util/json.ts';
import type { CniArgs } from './args.ts';
import { type NetworkConfigList, parseNetworkConfig } from './conflist.ts';
import { CniError, cniErrorCode } from './errors.ts';
import { decodeStruct, parseDocument } from './json.ts';
import { validateContainerId, validateInterfaceName, validateNetworkName } from './names.ts';
import { CACHED_FIELDS, resultFields } from './result.ts';

/** Where libcni keeps the results of attachments by default. */
export const DEFAULT_CACHE_DIRECTORY = '/var/lib/cni';

/** What names an attachment: a container, one of its interfaces, and the network that this is attached to. */
export interface AttachmentKey {
  networkName: string;
  containerId: string;
  ifName: string;
}

/** What a runtime remembers of an attachment from the end of its ADD to the end of its DEL. */
export interface CacheEntry extends AttachmentKey {
  /** The network's configuration, as text; empty in an entry of a runtime before libcni 0.8, which kept the result only. */
  config: string;
  /** Absent in what runtimes before libcni 1.2 wrote, as containerd 1.6: see {@link netnsOf}. */
  netns?: string;
  cniArgs?: CniArgs;
  capabilityArgs?: Record<string, unknown>;
  /** The last plugin's result, a document of whatever version the network has. */
  result?: Record<string, unknown>;
}

const KIND = 'cniCacheV1';

/** Far more than an entry has: ten thousand port mappings take one megabyte. */
const MAX_BYTES = 32 * 1024 * 1024;

/**
 * libcni's result cache: one file an attachment, `results/<network>-<container>-<interface>`, read and written by libcni as by
 * this. Files are replaced whole, are readable by root only (arguments of a capability may be anything), and what is no entry is
 * left alone.
 */
export class ResultCache {
  readonly #directory: string;

  constructor(directory: string = DEFAULT_CACHE_DIRECTORY) {
    this.#directory = join(directory, 'results');
  }

  /** The file of an attachment, whether it is there or not. A name that could lead elsewhere is an error. */
  path({ networkName, containerId, ifName }: AttachmentKey): string {
    validateNetworkName(networkName);
    validateContainerId(containerId);
    validateInterfaceName(ifName);
    return join(this.#directory, `${networkName}-${containerId}-${ifName}`);
  }

  /** What is remembered of an attachment; undefined when nothing is. A file that cannot be understood is error 6. */
  read(key: AttachmentKey): CacheEntry | undefined {
    const path = this.path(key);
    let text: string;
    try {
      text = readRegularFile(path, MAX_BYTES);
    } catch (cause) {
      if (isErrno(cause, 'ENOENT')) return undefined;
      throw new CniError(cniErrorCode.ioFailure, `error reading ${path}`, '', { cause });
    }
    const document = decode(text);
    if (document === undefined) throw new CniError(cniErrorCode.decodingFailure, `${path}: no cached result`);
    // Before libcni 0.8 the file was the result itself.
    if (document.kind !== KIND) return { ...key, config: '', result: document };
    const entry = parseEntry({ ...key, ...document });
    if (entry === undefined) throw new CniError(cniErrorCode.decodingFailure, `${path}: no cached result`);
    // `a-b` with `c` and `a` with `b-c` share a file name: the result may belong to another attachment.
    return isSame(entry, key) ? entry : undefined;
  }

  /** Remembers an attachment in place of what was remembered of it. */
  async write(entry: CacheEntry): Promise<void> {
    const path = this.path(entry);
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const { networkName, containerId, ifName, config, netns, cniArgs, capabilityArgs, result } = entry;
    const document = {
      kind: KIND,
      containerId,
      config: Buffer.from(config).toString('base64'),
      ifName,
      networkName,
      ...(netns ? { netns } : {}),
      ...(cniArgs && cniArgs.length > 0 ? { cniArgs } : {}),
      ...(capabilityArgs && Object.keys(capabilityArgs).length > 0 ? { capabilityArgs } : {}),
      ...(result === undefined ? {} : { result }),
    };
    await writeFileAtomic(path, JSON.stringify(document), 0o600);
  }

  /** Forgets an attachment; one that is not remembered is fine. */
  remove(key: AttachmentKey): void {
    rmSync(this.path(key), { force: true });
  }

  /**
   * Every attachment that is remembered, by file name, of one container when `containerId` is given. Files that are not entries, or
   * that another process is removing, are left out, as libcni's GetCachedAttachments does.
   */
  list(containerId?: string): CacheEntry[] {
    // A node with a hundred sandboxes has hundreds of entries: those of one are read by their names.
    return names(this.#directory)
      .filter((name) => containerId === undefined || name.includes(`-${containerId}-`))
      .map((name) => readEntry(join(this.#directory, name)))
      .filter((entry) => entry !== undefined)
      .filter((entry) => containerId === undefined || entry.containerId === containerId);
  }
}

/**
 * The network namespace of an attachment: what the entry says, else the sandbox of the interface in its result; undefined when
 * neither does.
 */
export function netnsOf(entry: CacheEntry): string | undefined {
  if (entry.netns) return entry.netns;
  const { interfaces } = resultFields(entry.result) ?? {};
  if (!Array.isArray(interfaces)) return undefined;
  const inside = interfaces.filter((link) => typeof link?.sandbox === 'string' && link.sandbox !== '');
  return (inside.find((link) => link.name === entry.ifName) ?? inside[0])?.sandbox;
}

/** The network that an entry's configuration describes. Error 6 or 7 when it keeps none, or none that can be read. */
export function networkOf(entry: CacheEntry): NetworkConfigList {
  const what = `cached configuration of ${entry.networkName} ${entry.containerId} ${entry.ifName}`;
  // A runtime that adds single configurations caches those; a list is recognised by its `plugins`.
  const isList = decode(entry.config)?.plugins !== undefined;
  return parseNetworkConfig(entry.config, isList ? `${what}.conflist` : what);
}

function isSame(a: AttachmentKey, b: AttachmentKey): boolean {
  return a.networkName === b.networkName && a.containerId === b.containerId && a.ifName === b.ifName;
}

function readEntry(path: string): CacheEntry | undefined {
  try {
    const document = decode(readRegularFile(path, MAX_BYTES));
    return document?.kind === KIND ? parseEntry(document) : undefined;
  } catch (cause) {
    if (cause instanceof NotRegularFile || isErrno(cause, 'ENOENT')) return undefined;
    throw new CniError(cniErrorCode.ioFailure, `error reading ${path}`, '', { cause });
  }
}

/** An entry without the names of its attachment is not valid. */
function parseEntry(document: Record<string, unknown>): CacheEntry | undefined {
  const { networkName, containerId, ifName, config, netns, cniArgs, capabilityArgs, result } = document;
  if (![networkName, containerId, ifName].every((name) => typeof name === 'string' && name !== '')) {
    return undefined;
  }
  return {
    networkName: networkName as string,
    containerId: containerId as string,
    ifName: ifName as string,
    config: typeof config === 'string' ? Buffer.from(config, 'base64').toString('utf8') : '',
    ...(typeof netns === 'string' && netns !== '' ? { netns } : {}),
    ...(isArgs(cniArgs) ? { cniArgs } : {}),
    ...(isObject(capabilityArgs) ? { capabilityArgs } : {}),
    ...(isObject(result) ? { result } : {}),
  };
}

function isArgs(value: unknown): value is CniArgs {
  return (
    Array.isArray(value) &&
    value.every(
      (pair) => Array.isArray(pair) && pair.length === 2 && pair.every((s) => typeof s === 'string'),
    )
  );
}

/** The JSON object in a text; undefined when the text is something else (cut short by a crash, say). */
function decode(text: string): Record<string, unknown> | undefined {
  try {
    return decodeStruct(parseDocument(text, 'entry'), CACHED_FIELDS);
  } catch {
    return undefined;
  }
}

function names(directory: string): string[] {
  try {
    return namesIn(directory);
  } catch (cause) {
    throw new CniError(cniErrorCode.ioFailure, `error reading ${directory}`, '', { cause });
  }
}
