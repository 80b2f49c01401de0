import { createHash } from 'node:crypto';
import { type Stats, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { type CniArgs, parseCniArgs } from '../../cni/args.ts';
import {
  DEFAULT_CONFIG_DIRECTORY,
  loadFirstNetwork,
  loadNetwork,
  loadNetworkFile,
} from '../../cni/config-files.ts';
import type { NetworkConfigList } from '../../cni/conflist.ts';
import type { PortMapping, ValidAttachment } from '../../cni/types.ts';
import { fileProblem } from '../../sys/file-problem.ts';
import { InputError } from '../../util/errors.ts';

/** An error about the command line or a variable of the environment; the command's exit status is 2. */
export function wrongInput(message: string, cause?: unknown): InputError {
  return new InputError(message, { cause });
}

/** Variables of the environment, injected. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The network that is meant: a file, or the one called `name` in a directory, or without a name the one that a runtime would use.
 * Without `conf` the directory is $NETCONFPATH, else /etc/cni/net.d, as cnitool has it.
 */
export function networkMeant(
  conf: string | undefined,
  name: string | undefined,
  env: Environment,
): NetworkConfigList {
  const place = conf ?? (env.NETCONFPATH || DEFAULT_CONFIG_DIRECTORY);
  const found = placeOf(place);
  if (found === undefined)
    throw wrongInput(`cannot read the network configuration ${place}: no such file or directory`);
  if (found.isDirectory()) return name === undefined ? loadFirstNetwork(place) : loadNetwork(place, name);
  const network = loadNetworkFile(place);
  if (name !== undefined && network.name !== name) {
    throw wrongInput(`${place} is of network ${JSON.stringify(network.name)}, not ${JSON.stringify(name)}`);
  }
  return network;
}

function placeOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    throw wrongInput(`cannot read the network configuration ${path}: ${fileProblem(cause) ?? String(cause)}`);
  }
}

/** The directory of results: one that exists or can be created. */
export function cacheDirectory(path: string): string {
  let problem: string | undefined;
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === false) problem = 'it is not a directory';
  } catch (cause) {
    problem = fileProblem(cause) ?? String(cause);
  }
  if (problem !== undefined) throw wrongInput(`cannot use --cache-dir ${path}: ${problem}; give a directory`);
  return path;
}

/** The path of a network namespace: a bare name is one of `ip netns`. */
export function netnsPath(text: string): string {
  return text.includes('/') ? resolve(text) : `/run/netns/${text}`;
}

/** The container ID that cnitool makes of a namespace, so that either can delete what the other added. */
export function containerIdOf(netns: string): string {
  return `cnitool-${createHash('sha512').update(netns).digest('hex').slice(0, 20)}`;
}

/** Directories to look for plugins in; empty ones are left out. */
export function pluginPath(option: string | undefined, env: Environment): string[] {
  return (option ?? (env.CNI_PATH || '/opt/cni/bin')).split(':').filter((directory) => directory !== '');
}

/** CNI_ARGS; undefined when neither the option nor the environment has them. */
export function cniArgs(option: string | undefined, env: Environment): CniArgs | undefined {
  const text = option ?? env.CNI_ARGS;
  return text === undefined || text === '' ? undefined : parseCniArgs(text);
}

/**
 * Arguments of capabilities: those of $CAP_ARGS with the options over them, each `CAPABILITY=JSON`, and for portMappings also
 * `[HOSTIP:]HOSTPORT:CONTAINERPORT[/PROTOCOL],…`. Undefined when there are none.
 */
export function capabilityArgs(
  options: readonly string[],
  env: Environment,
): Record<string, unknown> | undefined {
  const args: Record<string, unknown> = env.CAP_ARGS ? parseCapArgs(env.CAP_ARGS) : {};
  for (const option of options) {
    const at = option.indexOf('=');
    if (at < 1) throw wrongInput(`--cap must be CAPABILITY=VALUE, is ${JSON.stringify(option)}`);
    const name = option.slice(0, at);
    args[name] = capabilityValue(name, option.slice(at + 1));
  }
  return Object.keys(args).length === 0 ? undefined : args;
}

function parseCapArgs(text: string): Record<string, unknown> {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw wrongInput(`CAP_ARGS is not JSON: ${text}`, cause);
  }
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw wrongInput(`CAP_ARGS must be an object, is ${text}`);
  }
  return document as Record<string, unknown>;
}

function capabilityValue(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    if (name !== 'portMappings') throw wrongInput(`--cap ${name}: the value must be JSON, is ${text}`, cause);
    return text.split(',').map(portMapping);
  }
}

function portMapping(text: string): PortMapping {
  const match = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5}):(\d{1,5})(?:\/(tcp|udp|sctp))?$/.exec(text);
  if (match === null) {
    throw wrongInput(
      `--cap portMappings: want JSON or [HOSTIP:]HOSTPORT:CONTAINERPORT[/PROTOCOL], have ${JSON.stringify(text)}`,
    );
  }
  const [, v6, v4, hostPort, containerPort, protocol = 'tcp'] = match;
  const hostIP = v6 ?? v4;
  return {
    hostPort: Number(hostPort),
    containerPort: Number(containerPort),
    protocol: protocol as PortMapping['protocol'],
    ...(hostIP === undefined ? {} : { hostIP }),
  };
}

/** An attachment to keep: `CONTAINER/INTERFACE`. */
export function validAttachment(text: string): ValidAttachment {
  const [containerID, ifname, ...more] = text.split('/');
  if (!containerID || !ifname || more.length > 0) {
    throw wrongInput(`--valid must be CONTAINER/INTERFACE, is ${JSON.stringify(text)}`);
  }
  return { containerID, ifname };
}
