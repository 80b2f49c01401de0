import { parseCidr } from '../util/cidr.ts';
import { numberOf } from '../util/ip.ts';
import { FakeMachine } from './machine.fake.ts';
import { FLOWS, machineSuite, REFERENCE_RULES } from './machine.suite.ts';

const pod = '/run/netns/pod';
const machine = new FakeMachine();
const link = { peer: undefined, peerNamespace: undefined, master: undefined };
machine.links.push(
  { ...link, index: 20, name: 'host0', kind: 'veth', master: 30 },
  { ...link, index: 30, name: 'ports', kind: 'bridge' },
);
for (const name of ['host0', 'ports']) machine.settings.set(name, '0');
machine.namespaces.add(pod);
machine.ends.set(`${pod} eth0`, 'host0');
for (const [device, network, reject] of [
  ['ports', '10.1.1.0/24', false],
  ['ports', '10.0.0.0/24', false],
  ['*', '10.9.0.0/24', true],
  ['*', '10.8.0.0/24', true],
] as const) {
  const value = Number(numberOf(parseCidr(network)!.ip));
  machine.ways.push({ device, network: value, mask: 0xffffff00, metric: 0, up: true, reject });
}
for (const [handle, { comment, expr }] of REFERENCE_RULES.entries()) {
  const named = comment === undefined ? {} : { comment };
  machine.foreign.push({ family: 'ip', handle, chain: 'hostports', ...named, expr });
}
for (const { to, port, by, byPort } of FLOWS) machine.flows.push({ to, port, by: `${by} ${byPort}` });

machineSuite(() => ({ machine, exec: machine, pod }));
