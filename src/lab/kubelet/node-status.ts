import { availableParallelism, release, totalmem } from 'node:os';
import { timestamp } from '../../kube/time.ts';
import type { Node, NodeAddress, NodeCondition } from '../../kube/types.ts';
import { memoryLimit } from '../../sys/cgroups.ts';
import { RELEASE } from '../kubernetes/release.ts';

/** How many pods a node may run by default (`--max-pods`). */
const MAX_PODS = 110;

/** What a node is: read once, when the kubelet starts. */
export interface Machine {
  cpus: number;
  /** What its processes may have together, which can be less than the machine has. */
  memoryBytes: number;
  kernel: string;
  architecture: 'amd64' | 'arm64';
  osImage: string;
  machineId: string;
  bootId: string;
}

export function readMachine(files: { osRelease?: string; machineId?: string; bootId?: string }): Machine {
  return {
    cpus: availableParallelism(),
    memoryBytes: Math.min(totalmem(), memoryLimit() ?? Infinity),
    kernel: release(),
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    osImage: /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(files.osRelease ?? '')?.[1] ?? 'Linux',
    machineId: (files.machineId ?? '').trim(),
    bootId: (files.bootId ?? '').trim(),
  };
}

export interface NodeIdentity {
  name: string;
  ip: string;
  labels: Record<string, string>;
  taints: { key: string; value?: string; effect: string }[];
}

/** The Node that a kubelet registers. */
export function newNode(identity: NodeIdentity, machine: Machine): Node {
  return {
    metadata: { name: identity.name, labels: nodeLabels(identity, machine) },
    spec: identity.taints.length === 0 ? {} : { taints: identity.taints },
  };
}

/** Labels that a kubelet sets and keeps on its node. */
export function nodeLabels(identity: NodeIdentity, machine: Machine): Record<string, string> {
  return {
    'beta.kubernetes.io/arch': machine.architecture,
    'beta.kubernetes.io/os': 'linux',
    'kubernetes.io/arch': machine.architecture,
    'kubernetes.io/hostname': identity.name,
    'kubernetes.io/os': 'linux',
    ...identity.labels,
  };
}

/** The kubelet's part of a Node's status. Times of conditions stay while their status stays. */
export function nodeStatus(
  identity: NodeIdentity,
  machine: Machine,
  input: {
    before: NodeCondition[];
    now: number;
    runtime: { name: string; version: string } | undefined;
    /** Why pods cannot run; empty when they can. */
    problems: readonly string[];
    kubeletPort: number;
    images: { names: string[]; sizeBytes: number }[];
  },
): NonNullable<Node['status']> {
  const { before, now, runtime, problems } = input;
  const capacity = {
    cpu: String(machine.cpus),
    memory: `${Math.floor(machine.memoryBytes / 1024)}Ki`,
    pods: String(MAX_PODS),
  };
  const wanted: Omit<NodeCondition, 'lastHeartbeatTime' | 'lastTransitionTime'>[] = [
    fine('MemoryPressure', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
    fine('DiskPressure', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
    fine('PIDPressure', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
    problems.length === 0
      ? { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' }
      : { type: 'Ready', status: 'False', reason: 'KubeletNotReady', message: joined(problems) },
  ];
  const conditions = wanted.map((one): NodeCondition => {
    const old = before.find(({ type }) => type === one.type);
    return {
      ...one,
      lastHeartbeatTime: timestamp(now),
      lastTransitionTime:
        old?.status === one.status ? (old.lastTransitionTime ?? timestamp(now)) : timestamp(now),
    };
  });
  const addresses: NodeAddress[] = [
    { type: 'InternalIP', address: identity.ip },
    { type: 'Hostname', address: identity.name },
  ];
  return {
    addresses,
    allocatable: capacity,
    capacity,
    conditions,
    daemonEndpoints: { kubeletEndpoint: { Port: input.kubeletPort } },
    images: input.images,
    nodeInfo: {
      architecture: machine.architecture,
      bootID: machine.bootId,
      containerRuntimeVersion: runtime === undefined ? '' : `${runtime.name}://${runtime.version}`,
      kernelVersion: machine.kernel,
      kubeProxyVersion: '',
      kubeletVersion: RELEASE.version,
      machineID: machine.machineId,
      operatingSystem: 'linux',
      osImage: machine.osImage,
      systemUUID: machine.machineId,
    },
  };
}

function fine(type: string, reason: string, message: string) {
  return { type, status: 'False', reason, message };
}

/** One problem as it is, several as Go prints a list of errors. */
function joined(problems: readonly string[]): string {
  return problems.length === 1 ? problems[0]! : `[${problems.join(', ')}]`;
}
