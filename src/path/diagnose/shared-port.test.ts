import { expect, test } from 'bun:test';
import type { World } from '../model/world.ts';
import { mappedWorld, SANDBOX } from '../testing/mapped-node.ts';
import { podOn } from '../testing/small-world.ts';
import { diagnose } from './diagnose.ts';

// Two pods of a node whose networks have conditions that exclude each other: each has the port for its own clients.

const OTHER = SANDBOX.replace('9b2', 'b00');
const OTHER_IP = '10.1.0.3';
const NEAR = ['-s', '172.17.0.0/16'];
const FAR = ['!', ...NEAR];
const ENTRY = `-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net\\" id: \\"${SANDBOX}\\"" -m multiport --dports 80 -j CNI-DN-a`;

/** Pod `a` for one part of the clients and pod `b` for the other, in the order in which their entries are. */
function worldOf(conditions: { a: string[]; b: string[] }): World {
  const plugins = (words: string[]) => [
    { type: 'cilium-cni' },
    { type: 'portmap', capabilities: { portMappings: true }, conditionsV4: words },
  ];
  const b = podOn('n1', 'b', 80);
  b.status!.podIPs = [{ ip: OTHER_IP }];
  const world = mappedWorld({
    plugins: plugins(conditions.a),
    report: (report) => {
      const change = <T>(seen: { value: T } | { unknown: string }, by: (value: T) => void) => {
        if ('value' in seen) by(seen.value);
      };
      change(report.sandboxes, (all) =>
        all.push({
          ...all[0]!,
          id: OTHER,
          name: 'b',
          uid: 'uid-b',
          netns: '/run/netns/cni-2',
          ips: [OTHER_IP],
        }),
      );
      change(report.cni.attachments, (all) => {
        const config = JSON.stringify({ cniVersion: '1.0.0', name: 'net', plugins: plugins(conditions.b) });
        all.push({ ...all[0]!, containerId: OTHER, file: all[0]!.file.replace(SANDBOX, OTHER), config });
      });
      change(report.network.links, (all) =>
        all.push({ ...all[0]!, name: 'lxc2', index: 4, peerNamespace: 'cni-2' }),
      );
      change(report.network.routes, (all) =>
        all.push({ ...all.at(-1)!, destination: `${OTHER_IP}/32`, device: 'lxc2' }),
      );
      change(report.network.sysctls, (all) => {
        all['net.ipv4.conf.lxc2.route_localnet'] = '1';
      });
      const [nat] = report.netfilter.iptables;
      change(nat!.text, (text) => {
        const under = (words: string[], entry: string) =>
          entry.replace('-DNAT -p', `-DNAT ${words.join(' ')} -p`);
        nat!.text = {
          value: text
            .replace(
              ENTRY,
              [
                under(conditions.a, ENTRY),
                under(conditions.b, ENTRY.replace(SANDBOX, OTHER).replace('CNI-DN-a', 'CNI-DN-b')),
                `-A CNI-DN-b -p tcp -m tcp --dport 80 -j DNAT --to-destination ${OTHER_IP}:8080`,
              ].join('\n'),
            )
            .replace(':CNI-DN-a - [0:0]', ':CNI-DN-a - [0:0]\n:CNI-DN-b - [0:0]'),
        };
      });
    },
  });
  return { ...world, pods: [...world.pods, b] };
}

const codesIn = (world: World) => diagnose(world).diagnosis.findings.map(({ code }) => code);
/** What is found of one pod alone: its rules are but those that lead to it. */
const OF_ONE = codesIn(mappedWorld());

test.each([
  ['the neighbours first', { a: NEAR, b: FAR }],
  ['the neighbours last', { a: FAR, b: NEAR }],
])('nothing more is wrong than with one: %s', (_, conditions) => {
  expect(codesIn(worldOf(conditions))).toEqual(OF_ONE);
});

test('with conditions that some packets meet both of, the second has no port of its own', () => {
  expect(codesIn(worldOf({ a: NEAR, b: ['-i', 'eth0'] }))).toContain('hostport-conflict');
});
