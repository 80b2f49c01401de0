import { randomInt } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { DirectoryWatch } from '../../sys/directory-watch.ts';
import { discard } from '../../sys/discard.ts';
import { aboutPath, isErrno } from '../../sys/errno.ts';
import { readIfExists } from '../../sys/files.ts';
import { messageOf } from '../../util/errors.ts';
import { WorkQueue } from '../../util/work-queue.ts';

// Source of all of it: Cilium 1.20, daemon/cmd/cni/config.go; seen on nodes with the real one.

/** What plugin comes after cilium-cni in the agent's own list: Cilium's `cni-chaining-mode`, as far as hostPorts are concerned. */
export type ChainingMode = 'none' | 'portmap';

export interface CniConfigOptions {
  /** The node's configuration directory. */
  directory: string;
  chainingMode: ChainingMode;
  /** Whether other configurations are renamed, for as long as the agent runs: Cilium's `cni-exclusive`, true by default. */
  exclusive: boolean;
  log(line: string): void;
}

const OWN = '05-cilium.conflist';
/** What Cilium before 1.14 wrote. Its file is put aside in both modes: it would come before {@link OWN}. */
const LEGACY = '05-cilium.conf';
const ASIDE = '.cilium_bak';
/** What a runtime takes for a configuration. */
const CONFIGURATION = /\.(?:conf|conflist|json)$/;

/** After how many milliseconds a list that could not be written is written again. */
const RETRY_MS = 10_000;

/**
 * Keeps the agent's list in the node's configuration directory until the signal aborts; the node counts as networked once it is there.
 * With `exclusive` every change in the directory has the list written and others renamed again, within milliseconds; without it, the
 * list is written once.
 */
export async function keepCniConfig(options: CniConfigOptions, signal: AbortSignal): Promise<void> {
  const { directory, exclusive, log } = options;
  const queue = new WorkQueue({
    work: () => writeCniConfig(options),
    onError: (_key, error) => log(`Failed to write CNI config file (will retry): ${messageOf(error)}`),
    initialBackoffMs: RETRY_MS,
  });
  mkdirSync(directory, { recursive: true });
  const watch = exclusive ? new DirectoryWatch((path) => path === directory && queue.add(OWN)) : undefined;
  queue.add(OWN);
  watch?.follow([directory]);
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  watch?.close();
  queue.stop();
}

/** Writes the list if it is not there as it should be, then renames what is not the agent's. */
export async function writeCniConfig(options: CniConfigOptions): Promise<void> {
  const { directory, chainingMode, exclusive, log } = options;
  const path = join(directory, OWN);
  const text = listOf(chainingMode);
  if ((await readIfExists(path)) !== text) {
    await replace(path, text);
    log(`Wrote CNI configuration file ${path}`);
  }
  putAside(directory, LEGACY);
  if (!exclusive) return;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory() || entry.name === OWN || !CONFIGURATION.test(entry.name)) continue;
    log(`Renaming non-Cilium CNI configuration file ${entry.name} to ${entry.name}${ASIDE}`);
    putAside(directory, entry.name);
  }
}

/** Renames a configuration, over one that was renamed earlier. One that is mounted there stays, as with Cilium. */
function putAside(directory: string, name: string): void {
  try {
    renameSync(join(directory, name), join(directory, `${name}${ASIDE}`));
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EBUSY')) throw error;
  }
}

/** The temporary name is one that real Cilium gives: a watcher of the directory sees it. */
async function replace(path: string, text: string): Promise<void> {
  const temporary = join(path, `../.${OWN}${randomInt(1e9, 1e10)}`);
  const file = await open(temporary, 'wx', 0o600);
  try {
    await file.writeFile(text);
    await file.chmod(0o600);
    await file.sync();
    await rename(temporary, path);
  } catch (cause) {
    throw aboutPath(cause, path);
  } finally {
    await file.close();
    discard(temporary);
  }
}

function listOf(mode: ChainingMode): string {
  const [name, next] =
    mode === 'portmap'
      ? [
          'portmap',
          `,
    {
      "type": "portmap",
      "capabilities": {"portMappings": true}
    }`,
        ]
      : ['cilium', ''];
  return `
{
  "cniVersion": "1.0.0",
  "name": "${name}",
  "plugins": [
    {
       "type": "cilium-cni",
       "enable-debug": false,
       "log-file": "/var/run/cilium/cilium-cni.log"
    }${next}
  ]
}${mode === 'portmap' ? '\n' : ''}`;
}
