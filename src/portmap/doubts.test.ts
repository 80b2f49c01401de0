import { describe, expect, test } from 'bun:test';
import type { PluginConfig } from '../cni/types.ts';
import { formatIp, parseIp } from '../util/ip.ts';
import { parsePortmapConfig } from './config.ts';
import { doubtsOf, raise, WITHOUT_EFFECT } from './doubts.ts';
import type { PodAddress } from './rules.ts';

const V4: PodAddress = { ip: parseIp('10.0.0.5')!, prefix: 24 };
const V6: PodAddress = { ip: parseIp('fd00::5')!, prefix: 64 };
const PORTS = { capabilities: { portMappings: true } };
const undeclared =
  'no port is ever mapped: the configuration does not declare "capabilities": {"portMappings": true}, so the runtime does not pass any';
const misplaced = '"portMappings" is ignored: it must be inside "runtimeConfig"';

function doubts(fields: Record<string, unknown>, pods: readonly PodAddress[]) {
  const request = { name: 'net', ...fields } as PluginConfig;
  const asked: string[] = [];
  const found = doubtsOf(request, parsePortmapConfig(request), pods, (ip) => {
    asked.push(formatIp(ip));
    return formatIp(ip) === '10.1.1.1';
  });
  return { found, asked };
}

const on = (...hostIPs: (string | undefined)[]) => ({
  ...PORTS,
  runtimeConfig: {
    portMappings: hostIPs.map((hostIP, i) => ({ hostPort: 80 + i, containerPort: 80, hostIP })),
  },
});

describe('what has no effect', () => {
  test.each<[string, Record<string, unknown>, PodAddress[], string[], string[]]>([
    ['nothing', on(undefined), [V4], [], []],
    ['nothing of no port', PORTS, [], [], []],
    ['an own address', on('10.1.1.1'), [V4], [], ['10.1.1.1']],
    ['every address', on('0.0.0.0', '::'), [V4, V6], [], []],
    [
      'a foreign address',
      on('10.1.1.1', '10.9.9.9'),
      [V4],
      ['hostIP 10.9.9.9 of tcp 81 has no effect: it is not an address of this machine'],
      ['10.1.1.1', '10.9.9.9'],
    ],
    [
      'the loopback of IPv6',
      on('0::1'),
      [V4, V6],
      ['hostIP 0::1 of tcp 80 has no effect: the kernel does not route packets from ::1'],
      [],
    ],
    [
      'families that the pod lacks',
      on('fd00::1', '::'),
      [V4],
      [
        'hostIP fd00::1 of tcp 80 has no effect: the pod has no ipv6 address',
        'hostIP :: of tcp 81 has no effect: the pod has no ipv6 address',
      ],
      [],
    ],
    [
      'IPv4 where the pod lacks it',
      on('0.0.0.0'),
      [V6],
      ['hostIP 0.0.0.0 of tcp 80 has no effect: the pod has no ipv4 address'],
      [],
    ],
    ['a pod without addresses', on(undefined), [], ['no port is mapped: the pod has no address'], []],
    [
      'a repeated port',
      {
        ...PORTS,
        runtimeConfig: {
          portMappings: [
            { hostPort: 80, containerPort: 1 },
            { hostPort: 80, containerPort: 2 },
          ],
        },
      },
      [V4],
      ['tcp 80 to 2 has no effect: an earlier entry of the request maps it'],
      [],
    ],
    ['no capability', {}, [V4], [undeclared], []],
    ['a capability that is off', { capabilities: { portMappings: false } }, [V4], [undeclared], []],
    ['no capabilities', { capabilities: null, runtimeConfig: null }, [V4], [undeclared], []],
    ['ports in the wrong place', { ...PORTS, portMappings: [] }, [V4], [misplaced], []],
    ['both', { portMappings: [] }, [V4], [undeclared, misplaced], []],
    ['no capability, but ports', { runtimeConfig: on(undefined).runtimeConfig }, [V4], [], []],
  ])('%s', (_name, fields, pods, found, asked) => {
    expect(doubts(fields, pods)).toEqual({ found, asked });
  });
});

describe('doubts', () => {
  const said = (list: string[], strict: boolean) => {
    const warnings: string[] = [];
    raise(list, strict, (text) => warnings.push(text));
    return warnings;
  };
  test('are warnings', () => expect(said(['a', 'b'], false)).toEqual(['a', 'b']));
  test('are nothing where there are none, strict or not', () => {
    expect([said([], false), said([], true)]).toEqual([[], []]);
  });
  test('are one error if strict', () => {
    let thrown: unknown;
    try {
      said(['a', 'b', 'c'], true);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: WITHOUT_EFFECT, message: 'a', details: 'b; c' });
    expect(WITHOUT_EFFECT).toBe(111);
  });
});
