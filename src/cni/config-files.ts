import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { readLinked } from '../sys/bounded-file.ts';
import { namesIn } from '../sys/directories.ts';
import { messageOf } from '../util/errors.ts';
import { configFileOrder, dropInOrder, type NetworkConfigList, parseNetworkConfig } from './conflist.ts';
import { CniError, cniErrorCode, invalidConfig } from './errors.ts';

/** As long as a document may be that is parsed. Links are followed, as a runtime does: Kubernetes' volumes of files are made of them. */
const MAX_BYTES = 8 * 1024 * 1024;

/** Where runtimes look for networks by default. */
export const DEFAULT_CONFIG_DIRECTORY = '/etc/cni/net.d';

/**
 * Reads one configuration file with the drop-in directory beside it, `<its directory>/<network name>/*.conf` (1.1.0).
 * Error 5 when it cannot be read, 6 or 7 for what is in it.
 */
export function loadNetworkFile(path: string): NetworkConfigList {
  return parseNetworkConfig(read(path), path, (networkName) => {
    const directory = join(dirname(path), networkName);
    return dropInOrder(filesIn(directory))
      .map((name) => join(directory, name))
      .map((name) => ({ name, text: read(name) }));
  });
}

/**
 * The first network of a directory, which is the one that containerd and kubelet use: by file name, whatever the extension.
 * A broken first file is an error, not skipped, as there.
 */
export function loadFirstNetwork(directory: string): NetworkConfigList {
  const [first] = configFileOrder(filesIn(directory));
  if (first === undefined) throw invalidConfig(`no net configurations found in ${directory}`);
  return loadNetworkFile(join(directory, first));
}

/**
 * The network called `networkName` of a directory: lists before single configurations, each by file name; a broken file on the
 * way is an error (libcni's LoadNetworkConf). Error 7 with libcni's message when the directory has none.
 */
export function loadNetwork(directory: string, networkName: string): NetworkConfigList {
  const files = configFileOrder(filesIn(directory));
  if (files.length === 0) throw invalidConfig(`no net configurations found in ${directory}`);
  const isList = (name: string) => name.endsWith('.conflist');
  for (const name of [...files.filter(isList), ...files.filter((file) => !isList(file))]) {
    const network = loadNetworkFile(join(directory, name));
    if (network.name === networkName) return network;
  }
  throw invalidConfig(`no net configuration with name "${networkName}" in ${directory}`);
}

/** Names of the files in a directory, without directories (a link counts as its target); none when the directory does not exist. */
function filesIn(directory: string): string[] {
  try {
    return namesIn(directory).filter(
      (name) => !statSync(join(directory, name), { throwIfNoEntry: false })?.isDirectory(),
    );
  } catch (cause) {
    throw ioFailure(directory, cause);
  }
}

function read(path: string): string {
  try {
    return readLinked(path, MAX_BYTES).toString('utf8');
  } catch (cause) {
    throw ioFailure(path, cause);
  }
}

function ioFailure(path: string, cause: unknown): CniError {
  return new CniError(
    cniErrorCode.ioFailure,
    `error reading ${path}: ${(cause as NodeJS.ErrnoException).code ?? messageOf(cause).replace(`${path}: `, '')}`,
    '',
    { cause },
  );
}
