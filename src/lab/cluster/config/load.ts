import { lstat, readFile, stat } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { ignoring } from '../../../sys/errno.ts';
import { fileProblem } from '../../../sys/file-problem.ts';
import { InputError, messageOf } from '../../../util/errors.ts';
import { defaultCluster, readCluster } from './cluster.ts';
import { parseMapping, Remarks } from './document.ts';
import type { HostPaths } from './mounts.ts';
import { clusterNameProblem } from './names.ts';
import type { ClusterConfig } from './types.ts';

/** What reading a configuration needs of the machine. */
export interface ConfigSources extends HostPaths {
  readFile(path: string): Promise<string>;
  /** All of standard input. */
  readStdin(): Promise<string>;
}

/** The machine itself, with relative host paths starting from the current directory. */
function machineSources(): ConfigSources {
  return {
    cwd: process.cwd(),
    readFile: (path) => readFile(path, 'utf8'),
    readStdin: () => text(process.stdin),
    async kindOf(path) {
      const found = await stat(path).catch(ignoring('ENOENT', 'ENOTDIR'));
      return found && (found.isFile() ? 'file' : found.isDirectory() ? 'directory' : 'other');
    },
    async isLink(path) {
      return (await lstat(path).catch(ignoring('ENOENT', 'ENOTDIR')))?.isSymbolicLink() ?? false;
    },
  };
}

export interface LoadedConfig {
  config: ClusterConfig;
  /** Of fields that kind knows and the lab does not honour: `FILE:LINE:COL: path: text`, in the order of the file. */
  warnings: string[];
}

/**
 * Reads, defaults and validates kind's configuration at `path` (`-`: standard input; undefined: kind's default cluster).
 * Nothing is created by it. A name in `overrides` (the command line's) beats the file's, as for kind; `kubernetes` says that the cluster
 * will run Kubernetes' own programs, with which more fields have an effect.
 * @throws InputError with every error of the file, one a line: `FILE:LINE:COL: path in the document: what: what to do`.
 */
export async function loadClusterConfig(
  path: string | undefined,
  overrides: { name?: string; kubernetes?: boolean },
  sources = machineSources(),
): Promise<LoadedConfig> {
  const problem = overrides.name === undefined ? undefined : clusterNameProblem(overrides.name);
  if (problem !== undefined) throw new InputError(`--name: ${problem}`);
  const kubernetes = overrides.kubernetes ?? false;
  if (path === undefined) return { config: defaultCluster(overrides.name, kubernetes), warnings: [] };

  const remarks = new Remarks(path === '-' ? 'standard input' : path);
  const root = parseMapping(await readConfig(path, sources), remarks);
  const config = root && (await readCluster(root, overrides.name, kubernetes, sources));
  const errors = remarks.errors;
  if (errors.length > 0) throw new InputError(errors.join('\n'));
  if (config === undefined) throw new Error(`reading ${path} gave neither a configuration nor an error`);
  return { config, warnings: remarks.warnings };
}

async function readConfig(path: string, sources: ConfigSources): Promise<string> {
  try {
    return await (path === '-' ? sources.readStdin() : sources.readFile(path));
  } catch (cause) {
    const problem = fileProblem(cause) ?? messageOf(cause);
    throw new InputError(
      `cannot read the cluster configuration ${path === '-' ? 'from standard input' : path}: ${problem}; want a kind configuration, or no --config for a single node`,
    );
  }
}
