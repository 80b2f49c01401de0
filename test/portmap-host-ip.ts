import { join } from 'node:path';
import type { Topology } from '../src/portmap/testing/topology.ts';

// A port on one address and on every address, as any portmap answers it: outside (10.79.0.1) -- node (10.79.0.2, .3) -- pod (10.89.0.10).

const TESTING = join(import.meta.dir, '../src/portmap/testing');
const SPECIFIC = { hostPort: 80, hostIP: '10.79.0.2', containerPort: 8081, protocol: 'tcp' };
const EVERY = { hostPort: 80, containerPort: 8080, protocol: 'tcp' };
const OF_FAMILY = { ...EVERY, hostIP: '0.0.0.0' };

/** Requests of one pod, and the pod's port that answers on 10.79.0.2 and on 10.79.0.3. */
export const ONE_POD = [
  { name: 'the address first', ports: [SPECIFIC, EVERY], answers: ['8081', '8080'] },
  { name: 'every address first', ports: [EVERY, SPECIFIC], answers: ['8080', '8080'] },
  { name: 'the address, then 0.0.0.0', ports: [SPECIFIC, OF_FAMILY], answers: ['8081', '8080'] },
  { name: '0.0.0.0 first', ports: [OF_FAMILY, SPECIFIC], answers: ['8080', '8080'] },
] as const;

/** Requests of two living pods one after another, and what answers with the reference. */
export const TWO_PODS = [
  { name: 'the address first', first: SPECIFIC, second: EVERY, reference: ['8081', '8080'] },
  { name: 'every address first', first: EVERY, second: SPECIFIC, reference: ['8080', '8080'] },
] as const;

/** A plugin, and how its backend is asked for. */
export interface HostIpSubject {
  plugin: string;
  backend: 'iptables' | 'nftables' | undefined;
}

export async function prepareHostIp(lab: Topology): Promise<void> {
  for (const name of ['outside', 'node', 'pod']) await lab.namespace(name);
  await lab.join('outside', '10.79.0.1/24', 'node', '10.79.0.2/24');
  await lab.ok('node', ['ip', 'address', 'add', '10.79.0.3/24', 'dev', 'to-outside']);
  await lab.join('node', '10.89.0.1/24', 'pod', '10.89.0.10/24');
  await lab.ok('node', ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  await lab.ok('pod', ['ip', 'route', 'add', 'default', 'via', '10.89.0.1']);
  for (const port of ['8080', '8081']) await lab.start('pod', join(TESTING, 'responder.ts'), [port, port]);
}

/** One call of a subject for a container. */
export function callHostIp(
  lab: Topology,
  { plugin, backend }: HostIpSubject,
  verb: 'ADD' | 'DEL',
  id: string,
  ports: readonly object[],
) {
  const config = {
    ...{ cniVersion: '1.0.0', name: 'host-ip', type: 'portmap', capabilities: { portMappings: true } },
    ...(backend === undefined ? {} : { backend }),
    runtimeConfig: { portMappings: ports },
    prevResult: { cniVersion: '1.0.0', ips: [{ address: '10.89.0.10/24' }] },
  };
  return lab.cni('node', plugin, verb, { id, netns: lab.path('pod'), config });
}

/** Which of the pod's ports answers on either address of the node. */
export async function answersOfHostIp(lab: Topology): Promise<string[]> {
  const answers: string[] = [];
  for (const address of ['10.79.0.2', '10.79.0.3']) {
    const argv = [process.execPath, 'run', join(TESTING, 'probe.ts'), 'tcp', address, '80'];
    const { code, stdout } = await lab.run('outside', argv);
    answers.push(code === 0 ? stdout.split(' ')[0]! : 'nobody');
  }
  return answers;
}
