/** What a node has of its pods, seen without the API: processes, sandboxes, links, rules. */
import { readdirSync, readFileSync } from 'node:fs';
import { readProcFile } from '../../src/sys/processes.ts';
import type { Lab } from './lab.ts';

/** PIDs of a node's processes with this name (comm), in its pods or outside them. */
export function pidsIn(lab: Lab, node: string, comm: string): number[] {
  const cgroup = `/hostport-${lab.name}-${node}`;
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      if (readFileSync(`/proc/${entry}/comm`, 'utf8').trim() !== comm) return [];
      const lines = readFileSync(`/proc/${entry}/cgroup`, 'utf8').split('\n');
      return lines.some((line) => line.endsWith(cgroup) || line.includes(`${cgroup}/`))
        ? [Number(entry)]
        : [];
    } catch (cause) {
      if (['ENOENT', 'ESRCH'].includes((cause as NodeJS.ErrnoException).code ?? '')) return [];
      throw cause;
    }
  });
}

/**
 * The PID of a daemon of a node, with these arguments if any are given; throws unless there is exactly one. What it has forked and not yet executed is not
 * counted: numbers of processes are given out from the beginning again, so it may well have the lesser one.
 */
export function pidIn(lab: Lab, node: string, comm: string, words: readonly string[] = []): number {
  const pids = pidsIn(lab, node, comm).filter((pid) => {
    const [, ...argv] = readProcFile(`/proc/${pid}/cmdline`).split('\0');
    return words.every((word, i) => argv[i] === word);
  });
  const daemons = pids.filter((pid) => !pids.includes(parentOf(pid)));
  if (daemons.length !== 1)
    throw new Error(`${daemons.length} processes "${[comm, ...words].join(' ')}" run in ${node}`);
  return daemons[0]!;
}

function parentOf(pid: number): number {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
  } catch (cause) {
    if (['ENOENT', 'ESRCH'].includes((cause as NodeJS.ErrnoException).code ?? '')) return 0;
    throw cause;
  }
}

/** What pods take of a node. */
export interface Holdings {
  sandboxes: number;
  /** Processes of echo servers: one a container, whatever containerd says. */
  echoServers: number;
  /** Interfaces of pods, `lxc…`. */
  links: number;
  /** Ports in the node's HOSTPORT chain. */
  hostPorts: number[];
}

export async function holdings(lab: Lab, node: string): Promise<Holdings> {
  const [containers, links, rules] = await Promise.all([
    lab.askNode(node, 'ctr', '-n', 'k8s.io', 'containers', 'ls'),
    lab.askNode(node, 'ip', '-br', 'link'),
    lab.askNode(node, 'iptables', '-t', 'nat', '-S'),
  ]);
  for (const ran of [containers, links, rules]) if (ran.code !== 0) throw new Error(ran.stderr);
  return {
    sandboxes: containers.stdout.split('\n').filter((line) => line.includes('registry.k8s.io/pause')).length,
    echoServers: pidsIn(lab, node, 'echo-server').length,
    links: links.stdout.match(/^lxc/gm)?.length ?? 0,
    hostPorts: [...rules.stdout.matchAll(/^-A CNI-HOSTPORT-DNAT .*--dports (\S+)/gm)]
      .map(([, port]) => Number(port))
      .sort((a, b) => a - b),
  };
}
