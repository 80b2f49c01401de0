import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Distribution } from '../../sys/distribution.ts';
import { labEnvironment, pluginOverlay } from './inside.ts';
import type { ClusterRecord } from './record.ts';

describe('the plugins that a machine has in /opt/cni/bin', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'hostport-inside-'));
    mkdirSync(join(root, 'opt'));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  function put(path: string, mode = 0o755): void {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), '');
    chmodSync(join(root, path), mode);
  }
  function overlay() {
    const found = pluginOverlay(join(root, 'opt'), '/image');
    const shown = (path: string) => path.replace(`${root}/`, '');
    return found && `${shown(found.target)}: ${found.layers.map(shown).join(' over ')}`;
  }

  test('stay as they are when portmap is one', () => {
    put('opt/cni/bin/portmap');
    expect(overlay()).toBeUndefined();
  });

  test('stay as they are when the directory is a link to where portmap is', () => {
    put('lib/cni/portmap');
    mkdirSync(join(root, 'opt/cni'));
    symlinkSync(join(root, 'lib/cni'), join(root, 'opt/cni/bin'));
    expect(overlay()).toBeUndefined();
  });

  test("are the node image's when there is no such directory, or only a link to nowhere", () => {
    expect(overlay()).toBe('opt: /image/opt over opt');
    mkdirSync(join(root, 'opt/cni'));
    symlinkSync('/nowhere/at/all', join(root, 'opt/cni/bin'));
    expect(overlay()).toBe('opt: /image/opt over opt');
  });

  test('get those of the node image that are missing, portmap among them', () => {
    put('opt/cni/bin/bridge');
    expect(overlay()).toBe('opt/cni/bin: opt/cni/bin over /image/opt/cni/bin');
  });

  test('get them where the directory is a link, too', () => {
    put('lib/cni/bridge');
    mkdirSync(join(root, 'opt/cni'));
    symlinkSync(join(root, 'lib/cni'), join(root, 'opt/cni/bin'));
    expect(overlay()).toBe('lib/cni: lib/cni over /image/opt/cni/bin');
  });

  test.each(['a file that cannot be run', 'a directory', 'a link to nowhere'])(
    'make way for those of the node image when portmap is %s',
    (what) => {
      const portmap = 'opt/cni/bin/portmap';
      if (what === 'a directory') mkdirSync(join(root, portmap), { recursive: true });
      else if (what === 'a file that cannot be run') put(portmap, 0o644);
      else {
        put('opt/cni/bin/bridge');
        symlinkSync('/nowhere/at/all', join(root, portmap));
      }
      expect(overlay()).toBe('opt/cni/bin: /image/opt/cni/bin over opt/cni/bin');
    },
  );
});

test('a command in the lab has no proxy, which its network does not reach', () => {
  const env = {
    HTTPS_PROXY: 'a',
    https_proxy: 'a',
    HTTP_PROXY: 'a',
    ALL_PROXY: 'a',
    NO_PROXY: 'b',
    HOME: '/h',
  };
  const dist = { standIns: '/s', fallbacks: '/f' } as Distribution;
  const inLab = labEnvironment({ name: 'kind' } as ClusterRecord, dist, { env });
  expect(Object.keys(inLab).sort()).toEqual(['HOME', 'KUBECONFIG', 'NO_PROXY', 'PATH']);
});

test('a command in the lab finds our stand-ins, then what is the cluster’s own, then what the machine has', () => {
  const dist = { standIns: '/s', fallbacks: '/f' } as Distribution;
  const path = (own?: string) =>
    labEnvironment({ name: 'kind' } as ClusterRecord, dist, { own, env: { PATH: '/usr/bin' } }).PATH;
  expect(path('/own')).toBe('/s:/own:/usr/bin:/f');
  expect(path()).toBe('/s:/usr/bin:/f');
});
