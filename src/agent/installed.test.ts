import { describe, expect, test } from 'bun:test';
import type { DaemonSet } from '../kube/types.ts';
import { InputError } from '../util/errors.ts';
import { installedSettings, mergedSettings } from './installed.ts';
import { type AgentSettings, agentObjects } from './manifests.ts';

const DEFAULTS: AgentSettings = {
  mode: 'observe',
  namespace: 'kube-system',
  image: 'hostport.example/hostport-agent:2.0.0',
  imagePullSecrets: [],
  version: '2.0.0',
  confDir: '/etc/cni/net.d',
  binDirs: ['/opt/cni/bin'],
  metricsPort: 9797,
};
const OTHER: AgentSettings = {
  mode: 'heal',
  namespace: 'agents',
  image: 'mirror.example:5000/team/agent:1.0.0',
  imagePullSecrets: ['a', 'b'],
  version: '1.0.0',
  apiServer: { host: '2001:db8::1', port: 6443 },
  confDir: '/var/lib/rancher/k3s/agent/etc/cni/net.d',
  binDirs: Array.from({ length: 11 }, (_, i) => `/bin-${i}`),
  metricsPort: 9999,
};
const setOf = (settings: AgentSettings) => agentObjects(settings).at(-1)!.object as DaemonSet;

test.each([
  ['default', DEFAULTS],
  ['other', OTHER],
])('%s settings are read back from what they are installed as', (_, settings) => {
  const { version, ...expected } = settings;
  expect(installedSettings(setOf(settings))).toEqual(expected);
});

test('of what something else looks after, only place and mode are', () => {
  const set = setOf({ ...OTHER, image: `a@sha256:${'0'.repeat(64)}` });
  set.metadata!.labels!['app.kubernetes.io/managed-by'] = 'Helm';
  expect(installedSettings(set)).toEqual({ namespace: 'agents', mode: 'heal' });
});

describe('an upgrade', () => {
  const before = installedSettings(setOf(OTHER));

  test('keeps what is not asked for, and takes the image of its version from the same place', () => {
    expect(mergedSettings({}, before, DEFAULTS)).toEqual({
      ...OTHER,
      image: 'mirror.example:5000/team/agent:2.0.0',
      version: '2.0.0',
    });
  });

  test('changes what is asked for', () => {
    const asked = { ...DEFAULTS, image: 'x:1', apiServer: { host: 'api', port: 1 } };
    const { version, ...rest } = asked;
    expect(mergedSettings(rest, before, DEFAULTS)).toEqual(asked);
  });

  test('of an image without a tag, has one', () => {
    const { image } = mergedSettings({}, { ...before, image: 'mirror.example:5000/agent' }, DEFAULTS);
    expect(image).toBe('mirror.example:5000/agent:2.0.0');
  });

  test('of an image by digest, takes the one that is asked for', () => {
    const digest = { ...before, image: `mirror.example/agent:1.0.0@sha256:${'0'.repeat(64)}` };
    expect(() => mergedSettings({}, digest, DEFAULTS)).toThrow(InputError);
    expect(() => mergedSettings({}, digest, DEFAULTS)).toThrow(/by digest.*--image/);
    expect(mergedSettings({ image: 'x:2' }, digest, DEFAULTS).image).toBe('x:2');
  });
});

test('where nothing is installed, the defaults are', () => {
  expect(mergedSettings({}, undefined, DEFAULTS)).toEqual(DEFAULTS);
});
