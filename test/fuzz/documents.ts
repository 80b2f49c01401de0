import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { parseNetworkConfig, pluginInput } from '../../src/cni/conflist.ts';
import { CniError } from '../../src/cni/errors.ts';
import { runPlugin } from '../../src/cni/plugin.ts';
import { parseIptablesSave } from '../../src/netfilter/read/iptables-save.ts';
import { RulesetParseError } from '../../src/netfilter/read/model.ts';
import { parseNftRuleset } from '../../src/netfilter/read/nft-json.ts';
import type { NodeReport } from '../../src/path/model/node-report.ts';
import { known } from '../../src/path/model/observed.ts';
import { FakeMachine } from '../../src/portmap/machine.fake.ts';
import { portmap } from '../../src/portmap/portmap.ts';
import { RouteLocalnet } from '../../src/portmap/route-localnet.ts';
import { FakeAttachments } from '../../src/portmap/testing/attachments.fake.ts';
import { ALL_ANSWER } from '../fixtures/moments.ts';
import { changedDocument, changedText, type FuzzTarget, refuses, target } from './fuzz.ts';

const FIXTURES = join(import.meta.dir, '../fixtures');
const json = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as unknown;

/** The reports of a recorded bundle. */
export function recordedReports(bundle: string): NodeReport[] {
  return readdirSync(join(bundle, 'nodes')).map((name) => json(join(bundle, 'nodes', name)) as NodeReport);
}

const reports = [
  ...recordedReports(ALL_ANSWER),
  ...['a', 'b', 'c'].map((name) => json(join(FIXTURES, `real-cilium/${name}.json`)) as NodeReport),
];
const iptables = reports
  .flatMap(({ netfilter }) => netfilter.iptables.flatMap(({ text }) => known(text) ?? []))
  .filter((text) => text !== '');
const nft = reports.flatMap(({ netfilter }) => known(netfilter.nft) ?? []);

const conflists = [
  readFileSync(
    join(import.meta.dir, '../../examples/kind-cilium-portmap/kind/cni/000-cilium-portmap.conflist'),
    'utf8',
  ),
  '{"cniVersion":"1.0.0","cniVersions":["0.4.0","1.1.0"],"name":"n","disableCheck":"true","loadOnlyInlinedPlugins":false,"plugins":[{"type":"bridge","ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.0.0/16"}]]}},{"type":"portmap","capabilities":{"portMappings":true},"snat":true,"backend":"nftables"}]}',
  '{"cniVersion":"0.3.1","name":"single","type":"portmap","capabilities":{"portMappings":true},"externalSetMarkChain":"KUBE-MARK-MASQ","markMasqBit":3}',
];
const WORDS = [
  ...[
    '"',
    '\\',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    'null',
    '1e999',
    '-0',
    '\\u0000',
    '\\ud800',
    '"name":',
    '"plugins":',
  ],
  ...['"__proto__":', '"portMappings":', '0', '65536', '{"a":'.repeat(200), '['.repeat(200), '\ufeff', '\0'],
];

const call = {
  cniVersion: '1.1.0',
  name: 'net',
  type: 'portmap',
  backend: 'nftables',
  capabilities: { portMappings: true },
  runtimeConfig: {
    portMappings: [{ hostPort: 80, containerPort: 8080, protocol: 'tcp', hostIP: '10.1.1.1' }],
  },
  prevResult: {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'eth0' }],
    ips: [{ address: '10.0.0.5/24', interface: 0 }],
  },
};

/** Of the documents that a node has. */
export const documentTargets: readonly FuzzTarget[] = [
  target(
    'conflists',
    1,
    fc.oneof(
      changedText(conflists, WORDS),
      changedDocument(conflists.map((text) => JSON.parse(text))).map((each) => JSON.stringify(each)),
    ),
    (text) => {
      for (const name of ['a.conflist', 'a.conf']) {
        refuses(() => {
          const network = parseNetworkConfig(text, name, () => [{ name: 'x/y.conf', text }]);
          for (const plugin of network.plugins) pluginInput(network, plugin, {} as never);
        }, CniError);
      }
    },
  ),
  target(
    'input of the plugin',
    0.5,
    fc.record({
      text: fc.oneof(
        changedDocument([call]).map((each) => JSON.stringify(each)),
        changedText([JSON.stringify(call)], WORDS),
      ),
      verb: fc.constantFrom('ADD', 'CHECK', 'DEL', 'GC', 'STATUS', 'VERSION', 'add', ''),
      env: fc.constantFrom(
        {},
        { CNI_IFNAME: 'a/b' },
        { CNI_CONTAINERID: '../x' },
        { CNI_PATH: '' },
        { CNI_NETNS: '' },
      ),
    }),
    async ({ text, verb, env }) => {
      const machine = new FakeMachine();
      const plugin = portmap(
        machine,
        new FakeAttachments(),
        machine,
        new RouteLocalnet(machine, '/nowhere/at/all'),
      );
      const printed: string[] = [];
      const status = await runPlugin(plugin, {
        env: {
          ...{ CNI_COMMAND: verb, CNI_CONTAINERID: 'c', CNI_IFNAME: 'eth0', CNI_NETNS: '/x', CNI_PATH: '/y' },
          ...env,
        },
        isOwnNetns: () => false,
        readStdin: async () => text,
        writeStdout: (line) => printed.push(line),
        writeStderr: () => {},
      });
      if (status === 0) return;
      const error = JSON.parse(printed.join('')) as { code?: unknown; msg?: unknown };
      const isError = typeof error.code === 'number' && typeof error.msg === 'string' && error.msg !== '';
      // What an engine says of a mistake of the program.
      const isMistake = /undefined is not|is not a function|is not an object|call stack|TypeError/.test(
        String(error.msg),
      );
      if (status !== 1 || !isError || isMistake) throw new Error(`status ${status}: ${printed.join('')}`);
    },
  ),
  target(
    'what iptables-save prints',
    0.5,
    changedText(iptables, [
      ...WORDS,
      '-A ',
      ' -j ',
      ' -m ',
      ' ! ',
      '*nat\n',
      'COMMIT\n',
      ':',
      ' --comment "',
      ' --dport ',
      '[1:2] ',
    ]),
    (text) =>
      refuses(() => parseIptablesSave(text, { backend: 'iptables-nft', family: 'ip' }), RulesetParseError),
  ),
  target(
    'what nft prints',
    0.2,
    fc.oneof(
      changedDocument(nft.map((text) => JSON.parse(text))).map((each) => JSON.stringify(each)),
      changedText(nft, WORDS),
    ),
    (text) => refuses(() => parseNftRuleset(text), RulesetParseError),
  ),
];
