// A key that the reference plugin takes whatever its case must not be without effect here: a condition that is not applied exposes a port.
import { describe, expect, test } from 'bun:test';
import { runPlugin } from '../cni/plugin.ts';
import type { PluginConfig } from '../cni/types.ts';
import { PORTMAP_FIELDS, parsePortmapConfig } from './config.ts';

const BASE = { cniVersion: '1.0.0', name: 'net', type: 'portmap', capabilities: { portMappings: true } };
const MAPPING = { hostPort: 80, containerPort: 8080, protocol: 'tcp' };

/** What the plugin reads of a configuration, and what it writes to standard error. */
async function read(config: object) {
  let seen: PluginConfig | undefined;
  let stderr = '';
  const nothing = async () => {};
  const status = await runPlugin(
    {
      name: 'portmap',
      supportedVersions: ['1.0.0'],
      fields: PORTMAP_FIELDS,
      add: async ({ config }) => {
        seen = config;
        return { interfaces: [], ips: [], routes: [], dns: {} };
      },
      ...{ check: nothing, del: nothing, gc: nothing, status: nothing },
    },
    {
      env: { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c', CNI_NETNS: '/n', CNI_IFNAME: 'eth0', CNI_PATH: '/x' },
      isOwnNetns: () => false,
      readStdin: async () => JSON.stringify(config),
      writeStdout: () => {},
      writeStderr: (text) => {
        stderr += text;
      },
    },
  );
  expect(status).toBe(0);
  return { parsed: parsePortmapConfig(seen!), stderr };
}

describe('a key has its effect whatever its case', () => {
  test.each<[object, object]>([
    [{ conditionsv4: ['-s', '10.0.0.0/8'] }, { conditionsV4: ['-s', '10.0.0.0/8'] }],
    [{ CONDITIONSV6: ['-s', 'fd00::/8'] }, { conditionsV6: ['-s', 'fd00::/8'] }],
    [{ Snat: false }, { snat: false }],
    [{ Backend: 'nftables' }, { backend: 'nftables' }],
    [{ MasqAll: true }, { masqAll: true }],
    [{ markmasqbit: 5 }, { markMasqBit: 5 }],
    [{ ExternalSetMarkChain: 'KUBE-MARK-MASQ' }, { externalSetMarkChain: 'KUBE-MARK-MASQ' }],
    [{ Strict: true }, { strict: true }],
    [{ RuntimeConfig: { portMappings: [MAPPING] } }, { runtimeConfig: { portMappings: [MAPPING] } }],
    [{ runtimeConfig: { portmappings: [MAPPING] } }, { runtimeConfig: { portMappings: [MAPPING] } }],
    [
      {
        runtimeConfig: { PortMappings: [{ HostPort: 80, ContainerPort: 8080, Protocol: 'tcp', HostIP: '' }] },
      },
      { runtimeConfig: { portMappings: [MAPPING] } },
    ],
    [{ snat: true, SNAT: false }, { snat: false }],
    [{ masqAll: true, MASQALL: null }, { masqAll: true }],
  ])('%j', async (spelled, proper) => {
    const { parsed, stderr } = await read({ ...BASE, ...spelled });
    expect(parsed).toEqual((await read({ ...BASE, ...proper })).parsed);
    expect(parsed).not.toEqual((await read(BASE)).parsed);
    expect(stderr).toBe('');
  });

  test.each(Object.keys(PORTMAP_FIELDS))('%s in capitals is a known key', async (name) => {
    expect((await read({ ...BASE, [name.toUpperCase()]: null })).stderr).toBe('');
  });
});

describe('an unknown key is one warning', () => {
  test.each<[object, string]>([
    [{ snatt: true }, 'portmap: configuration of network net: ignored unknown key "snatt"\n'],
    [
      { conditionsV5: [], runtimeConfig: { portMappings: [{ ...MAPPING, port: 1 }] } },
      'portmap: configuration of network net: ignored unknown keys "conditionsV5", "runtimeConfig.portMappings.port"\n',
    ],
    [
      { runtimeConfig: { mac: '' } },
      'portmap: configuration of network net: ignored unknown key "runtimeConfig.mac"\n',
    ],
    [
      { a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1 },
      'portmap: configuration of network net: ignored unknown keys "a", "b", "c", "d", "e" and 2 more\n',
    ],
    [
      { 'x\n\u001b[31m': 1 },
      'portmap: configuration of network net: ignored unknown key "x\\n\\u001b[31m"\n',
    ],
    [
      { ['k'.repeat(1000)]: 1 },
      `portmap: configuration of network net: ignored unknown key "${'k'.repeat(64)}"\n`,
    ],
  ])('%j', async (extra, warning) => {
    expect((await read({ ...BASE, ...extra })).stderr).toBe(warning);
  });

  test.each<[object]>([
    [{ capabilities: { portMappings: true, mac: true }, runtimeConfig: { mac: '' } }],
    [{ args: {}, ipam: {}, dns: {}, prevResult: { cniVersion: '1.0.0' } }],
    [{ 'cni.dev/valid-attachments': [], 'cni.dev/attachments': [] }],
  ])('and what a runtime may write causes none: %j', async (extra) => {
    expect((await read({ ...BASE, ...extra })).stderr).toBe('');
  });
});
