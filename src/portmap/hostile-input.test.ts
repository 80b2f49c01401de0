import { describe, expect, test } from 'bun:test';
import { runPlugin } from '../cni/plugin.ts';
import type { Exec } from '../sys/exec.ts';
import type { Attachments } from './attachments.ts';
import { portmap } from './portmap.ts';

// What a runtime, a configuration or somebody on the machine may hand over, and the exact error for it. Nothing is run, nothing
// is remembered: who gets this far has done harm.
const exec: Exec = {
  run: async (argv) => {
    throw new Error(`ran ${argv.join(' ')}`);
  },
};
const untouched: Attachments = {
  record: () => {
    throw new Error('recorded');
  },
  hasRecord: () => false,
  keepDevices: () => {},
  forget: () => {
    throw new Error('forgot');
  },
  portsOf: () => undefined,
  conditionsOf: () => undefined,
  interfaceOf: () => undefined,
  devicesOf: () => [],
  addressesOfOthers: () => new Set(),
  recorded: () => new Map(),
  tidy: () => {},
  probe: () => {},
  sandboxState: () => 'unknown',
};

const mapping = { hostPort: 80, containerPort: 8080, protocol: 'tcp' };
const prevResult = { cniVersion: '1.0.0', ips: [{ address: '10.0.0.5/24' }] };
const base = {
  ...{ cniVersion: '1.0.0', name: 'net', type: 'portmap', capabilities: { portMappings: true }, prevResult },
  runtimeConfig: { portMappings: [mapping] },
};
const env = {
  ...{ CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c', CNI_NETNS: '/run/netns/none', CNI_IFNAME: 'eth0' },
  CNI_PATH: '/opt/cni/bin',
};

async function answer(stdin: string, variables: Record<string, string> = {}) {
  let printed = '';
  const code = await runPlugin(portmap(exec, untouched), {
    env: { ...env, ...variables },
    isOwnNetns: () => false,
    readStdin: async () => stdin,
    writeStdout: (text) => {
      printed += text;
    },
    writeStderr: () => {},
  });
  expect(code).toBe(1);
  const { cniVersion: _version, ...error } = JSON.parse(printed);
  return error;
}

const withMapping = (fields: object) => ({ runtimeConfig: { portMappings: [{ ...mapping, ...fields }] } });
const at = 'runtimeConfig.portMappings[0]';
const port = 'must be a port between 1 and 65535, is';
const chain = 'externalSetMarkChain must be the name of an iptables chain, is';
const option = 'must be a match, not a command, target or protocol, is';
const short = 'must be a match (-s -d -i -o -m -f or a long option), is';

describe('configuration', () => {
  test.each<[object, number, string]>([
    [withMapping({ hostPort: 0 }), 7, `${at}.hostPort ${port} 0`],
    [withMapping({ hostPort: -80 }), 7, `${at}.hostPort ${port} -80`],
    [withMapping({ hostPort: 65536 }), 7, `${at}.hostPort ${port} 65536`],
    [withMapping({ hostPort: 1e308 }), 7, `${at}.hostPort ${port} 1e+308`],

    [withMapping({ hostPort: 80.5 }), 7, `${at}.hostPort ${port} 80.5`],
    [withMapping({ hostPort: '80' }), 7, `${at}.hostPort ${port} "80"`],
    [withMapping({ hostPort: [80] }), 7, `${at}.hostPort ${port} [80]`],
    [withMapping({ hostPort: null }), 7, `${at}.hostPort ${port} undefined`],
    [withMapping({ containerPort: true }), 7, `${at}.containerPort ${port} true`],
    [withMapping({ containerPort: 70000 }), 7, `${at}.containerPort ${port} 70000`],
    [withMapping({ protocol: 'icmp' }), 7, `${at}.protocol must be tcp, udp or sctp, is "icmp"`],
    [
      withMapping({ protocol: 'tcp -j ACCEPT' }),
      7,
      `${at}.protocol must be tcp, udp or sctp, is "tcp -j ACCEPT"`,
    ],
    [
      withMapping({ protocol: ['tcp', 'udp'] }),
      7,
      `${at}.protocol must be tcp, udp or sctp, is ["tcp","udp"]`,
    ],
    [withMapping({ protocol: {} }), 7, `${at}.protocol must be tcp, udp or sctp, is {}`],
    [withMapping({ hostIP: '1.2.3' }), 7, `${at}.hostIP must be an IP address, is "1.2.3"`],
    [withMapping({ hostIP: '010.1.1.1' }), 7, `${at}.hostIP must be an IP address, is "010.1.1.1"`],
    [withMapping({ hostIP: '1.2.3.4/0' }), 7, `${at}.hostIP must be an IP address, is "1.2.3.4/0"`],
    [withMapping({ hostIP: 'fe80::1%eth0' }), 7, `${at}.hostIP must be an IP address, is "fe80::1%eth0"`],
    [withMapping({ hostIP: '1.2.3.4\n-F' }), 7, `${at}.hostIP must be an IP address, is "1.2.3.4\\n-F"`],
    [withMapping({ hostIP: 16909060 }), 7, `${at}.hostIP must be an IP address, is 16909060`],
    [{ runtimeConfig: { portMappings: { '0': mapping } } }, 7, 'runtimeConfig.portMappings must be a list'],
    [
      { runtimeConfig: { portMappings: [[mapping]] } },
      7,
      `${at} must be an object, is ${JSON.stringify([mapping])}`,
    ],
    [{ runtimeConfig: { portMappings: ['80:8080'] } }, 7, `${at} must be an object, is "80:8080"`],
    [{ runtimeConfig: 'none' }, 7, 'runtimeConfig must be an object, is "none"'],
    [{ snat: 'true' }, 7, 'snat must be true or false, is "true"'],
    [{ masqAll: 0 }, 7, 'masqAll must be true or false, is 0'],
    [{ strict: 'no' }, 7, 'strict must be true or false, is "no"'],
    [{ markMasqBit: 32 }, 7, 'markMasqBit must be between 0 and 31, is 32'],
    [{ markMasqBit: '13' }, 7, 'markMasqBit must be between 0 and 31, is "13"'],
    [{ externalSetMarkChain: 'A\n-F' }, 7, `${chain} "A\\n-F"`],
    [{ externalSetMarkChain: 'A B' }, 7, `${chain} "A B"`],
    [{ externalSetMarkChain: '-F' }, 7, `${chain} "-F"`],
    [{ externalSetMarkChain: '' }, 7, `${chain} ""`],
    [{ externalSetMarkChain: ['A'] }, 7, `${chain} ["A"]`],
    [{ conditionsV4: '-s 10.0.0.0/8' }, 7, 'conditionsV4 must be a list of words, is "-s 10.0.0.0/8"'],
    [{ conditionsV4: { '0': '-s' } }, 7, 'conditionsV4 must be a list of words, is {"0":"-s"}'],
    [{ conditionsV4: [7] }, 7, 'conditionsV4[0] must be a word, is 7'],
    [{ conditionsV4: [''] }, 7, 'conditionsV4[0] must be a word, is ""'],
    [
      { conditionsV4: ['-m', 'comment', '--comment', 'x"\n-A INPUT -j ACCEPT'] },
      7,
      'conditionsV4[3] must not have control characters, is "x\\"\\n-A INPUT -j ACCEPT"',
    ],
    [
      { conditionsV4: ['-s', 'a\u0000b'] },
      7,
      'conditionsV4[1] must not have control characters, is "a\\u0000b"',
    ],
    [
      { conditionsV4: ['ip', 'saddr', '1.2.3.4\n}'] },
      7,
      'conditionsV4[2] must not have control characters, ; # $ \\ ` or @, is "1.2.3.4\\n}"',
    ],
    [{ conditionsV4: ['-j', 'ACCEPT'] }, 7, `conditionsV4[0] ${short} "-j"`],
    [{ conditionsV4: ['-jACCEPT'] }, 7, `conditionsV4[0] ${short} "-jACCEPT"`],
    [{ conditionsV4: ['--jump', 'ACCEPT'] }, 7, `conditionsV4[0] ${option} "--jump"`],
    [{ conditionsV6: ['--goto=ACCEPT'] }, 7, `conditionsV6[0] ${option} "--goto=ACCEPT"`],
    [{ conditionsV6: ['--tab', 'filter'] }, 7, `conditionsV6[0] ${option} "--tab"`],
    [{ conditionsV6: ['--'] }, 7, `conditionsV6[0] ${option} "--"`],
    [{ backend: 'ebpf' }, 2, ''],
    [{ name: '' }, 7, 'missing network name'],
    [{ name: 'a" -j ACCEPT' }, 7, 'invalid characters found in network name'],
    [{ name: 'a\nb' }, 7, 'invalid characters found in network name'],
    [{ name: ['net'] }, 6, 'network name must be a string, is ["net"]'],
    [{ name: 5 }, 6, 'network name must be a string, is 5'],
    [{ name: false }, 6, 'network name must be a string, is false'],
    [{ prevResult: undefined }, 7, 'portmap must be called as chained plugin'],
    [{ prevResult: 'none' }, 6, 'malformed result: result must be an object, is "none"'],
    [
      { prevResult: { ips: [{ address: '10.0.0.5' }] } },
      7,
      'prevResult.ips[0].address must be an address with prefix length, is "10.0.0.5"',
    ],
    [
      { prevResult: { ips: [{ address: '10.0.0.5/24 -j ACCEPT' }] } },
      7,
      'prevResult.ips[0].address must be an address with prefix length, is "10.0.0.5/24 -j ACCEPT"',
    ],
  ])('%j', async (extra, code, msg) => {
    const error = await answer(JSON.stringify({ ...base, ...extra }));
    expect(error).toMatchObject(msg === '' ? { code } : { code, msg });
  });

  test('one wrong mapping among 10 000 is named', async () => {
    const portMappings = Array.from({ length: 10_000 }, (_, i) => ({ ...mapping, hostPort: 1 + i }));
    portMappings[9_999]!.hostPort = 0;
    const error = await answer(JSON.stringify({ ...base, runtimeConfig: { portMappings } }));
    expect(error).toEqual({ code: 7, msg: `runtimeConfig.portMappings[9999].hostPort ${port} 0` });
  });
});

describe('an invalid list of valid attachments removes nothing', () => {
  test.each(['cni.dev/valid-attachments', 'cni.dev/attachments'])('%s', async (name) => {
    const one = { containerID: 'c', ifname: 'eth0' };
    const noList = 'must be a list of attachments';
    const incomplete = (i: number) => `[${i}] must have a containerID and an ifname`;
    for (const [value, why] of [
      ['none', ` ${noList}`],
      [{}, ` ${noList}`],
      [one, ` ${noList}`],
      [0, ` ${noList}`],
      [false, ` ${noList}`],
      [[null], incomplete(0)],
      [['c'], incomplete(0)],
      [[one, {}], incomplete(1)],
      [[{ containerID: 'c' }], incomplete(0)],
      [[...Array(1000).fill(one), { ...one, ifname: 1 }, one], incomplete(1000)],
    ] as const) {
      const config = { ...base, cniVersion: '1.1.0', prevResult: undefined, [name]: value };
      expect(await answer(JSON.stringify(config), { CNI_COMMAND: 'GC' })).toEqual({
        code: 7,
        msg: `${name}${why}`,
      });
    }
  });
});

describe('an invalid configuration', () => {
  test.each<[string, RegExp]>([
    ['', /^network configuration: not JSON: line 1, column /],
    ['{"cniVersion":"1.0.0","name":"net"', /^network configuration: not JSON: line 1, column /],
    ['[]', /^network configuration is not a JSON object$/],
    ['"net"', /^network configuration is not a JSON object$/],
    ['null', /^network configuration is not a JSON object$/],
  ])('%j', async (stdin, msg) => {
    const error = await answer(stdin);
    expect(error.code).toBe(6);
    expect(error.msg).toMatch(msg);
  });
});

describe('environment', () => {
  test.each<[Record<string, string>, string]>([
    [{ CNI_CONTAINERID: '' }, 'required env variables [CNI_CONTAINERID] missing'],
    [{ CNI_CONTAINERID: 'a" id: "b' }, 'invalid characters in containerID'],
    [{ CNI_CONTAINERID: '../../etc/passwd' }, 'invalid characters in containerID'],
    [{ CNI_CONTAINERID: 'a\n-F' }, 'invalid characters in containerID'],
    [{ CNI_IFNAME: 'eth0/..' }, 'interface name contains / or : or whitespace characters'],
    [{ CNI_IFNAME: 'a'.repeat(16) }, 'interface name is too long'],
    [{ CNI_COMMAND: 'ADD\nDEL' }, 'unknown CNI_COMMAND: ADD\nDEL'],
  ])('%j', async (variables, msg) => {
    expect(await answer(JSON.stringify(base), variables)).toMatchObject({ code: 4, msg });
  });
});
