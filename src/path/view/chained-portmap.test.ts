import { describe, expect, test } from 'bun:test';
import type { CachedAttachment, NodeReport } from '../model/node-report.ts';
import { CHAINED, listOf } from '../testing/cni-node.ts';
import { mapped, type Otherwise } from '../testing/mapped-node.ts';
import { chainedPortmap, mappedByPortmap } from './chained-portmap.ts';
import { otherMapperOf } from './port-mapper.ts';

const PLAIN = CHAINED.slice(0, 1);
const PORTS = [{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }];
const attachment = (config: string, portMappings = PORTS) => ({ config, portMappings }) as CachedAttachment;

test.each<[string, string, boolean | undefined]>([
  ['with portmap and its capability', listOf(CHAINED), true],
  ['with portmap without its capability', listOf([...PLAIN, { type: 'portmap' }]), false],
  [
    'with portmap and its capability off',
    listOf([...PLAIN, { type: 'portmap', capabilities: { portMappings: false } }]),
    false,
  ],
  ['without portmap', listOf(PLAIN), false],
  ['that cannot be read', '{', undefined],
])('a list %s', (_, config, chained) => {
  expect(chainedPortmap(attachment(config))).toBe(chained as boolean);
  expect(mappedByPortmap(attachment(config))).toBe(chained === true);
  // It received nothing to map.
  expect(mappedByPortmap(attachment(config, []))).toBe(false);
});

test('without an attachment portmap has mapped nothing', () => {
  expect(mappedByPortmap(undefined)).toBe(false);
});

describe('who maps ports without portmap', () => {
  const noRules = (report: NodeReport) => {
    report.netfilter.iptables = [];
  };
  const OTHER = 'ports of n1 answer other machines: cilium-cni maps them itself';
  const others = { plugins: PLAIN, report: noRules } satisfies Otherwise;

  test.each<[string, Otherwise, string | undefined]>([
    ['is not known where no port answers', others, undefined],
    ['is not known where a port answers the node alone', { ...others, probes: { node: {} } }, undefined],
    [
      'is not known where a port does not answer',
      { ...others, probes: { outside: { outcome: 'timeout' } } },
      undefined,
    ],
    ['is the first plugin where a port answers others', { ...others, probes: { outside: {} } }, OTHER],
    ['is the first plugin where a port answers nodes', { ...others, probes: { 'other-node': {} } }, OTHER],
    [
      'is a plugin that is not known',
      {
        probes: { outside: {} },
        report: (report) => {
          noRules(report);
          report.cni.files = { unknown: 'EPERM' };
          report.cni.attachments = { value: [] };
        },
      },
      'ports of n1 answer other machines: the network plugin maps them itself',
    ],
    [
      'is nobody else where portmap did, by the result',
      { report: noRules, probes: { outside: {} } },
      undefined,
    ],
    [
      'is nobody else where portmap did, by its rules',
      { plugins: PLAIN, probes: { outside: {} } },
      undefined,
    ],
    [
      'is another where the rules are not known',
      {
        plugins: PLAIN,
        probes: { outside: {} },
        report: ({ netfilter }) => {
          netfilter.nft = { unknown: 'EPERM' };
        },
      },
      OTHER,
    ],
    [
      'is another where there is no sandbox that the rules could be of',
      {
        plugins: PLAIN,
        probes: { outside: {} },
        report: (report) => {
          report.sandboxes = { value: [] };
        },
      },
      OTHER,
    ],
    [
      'is a runtime that maps them',
      {
        report: ({ runtime }) => {
          if ('value' in runtime) runtime.value.name = 'cri-o';
        },
      },
      'CRI-O maps the ports of n1 itself',
    ],
    [
      "is Cilium's agent that says so",
      {
        report: (report) => {
          report.cilium = { value: { hostPorts: true, mappings: [] } };
        },
      },
      "Cilium's kube-proxy replacement maps the ports of n1 itself",
    ],
    [
      "is not known where Cilium's agent maps none",
      {
        report: (report) => {
          report.cilium = { value: { version: '1.20.2', hostPorts: false, mappings: [] } };
        },
      },
      undefined,
    ],
    [
      "is not known where Cilium's agent does not answer",
      {
        report: (report) => {
          report.cilium = { unknown: 'no answer within 3000 ms' };
        },
      },
      undefined,
    ],
  ])('%s', (_, otherwise, mapper) => {
    const { path, scene } = mapped(otherwise);
    expect(otherMapperOf(path.node!, scene.pathsOn(path.node!))).toBe(mapper as string);
  });

  test('shows by any of several ports', () => {
    const { path } = mapped({ ...others, probes: { outside: {} } });
    const silent = mapped(others).path;
    expect(otherMapperOf(path.node!, [silent, path])).toBe(OTHER);
    expect(otherMapperOf(path.node!, [])).toBeUndefined();
  });
});
