import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ClusterConfig, ExtraMount } from './config/types.ts';
import { isUnfinished, removeUnfinished } from './unfinished.ts';

describe('a file that was never completed', () => {
  test.each([
    ['.cilium-cni.0a1b2c3d4e5f.tmp', true],
    ['.loopback.0a1b2c3d4e5f.tmp', true],
    ['.portmap.1234.tmp', true],
    ['.hostport.1234.tmp', true],
    ['.0a1b2c3d4e5f.tmp', true],
    ['.1234.tmp', false],
    ['.cilium-cni.tmp', false],
    ['cilium-cni', false],
    ['cilium-cni.0a1b2c3d4e5f.tmp', false],
    ['.cilium-cni.0a1b2c3d4e5f.tmp.bak', false],
    ['.somebody.0a1b2c3d4e5f.tmp', false],
    ['.cilium-cni.0A1B2C3D4E5F.tmp', false],
  ])('%s: %p', (name, expected) => expect(isUnfinished(name)).toBe(expected));
});

describe('what is removed with a cluster', () => {
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'hostport-unfinished-'));
    mkdirSync(join(root, 'cni/bin'), { recursive: true });
    for (const name of ['.cilium-cni.0a1b2c3d4e5f.tmp', '.mine.1.tmp', 'cilium-cni', 'portmap']) {
      writeFileSync(join(root, 'cni/bin', name), name);
    }
    mkdirSync(join(root, 'cni/bin/.portmap.1.tmp'));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  function clusterWith(containerPath: string, hostPath: string, more: Partial<ExtraMount> = {}) {
    const mount = {
      containerPath,
      hostPath,
      readOnly: false,
      type: 'Directory',
      propagation: 'None',
      ...more,
    };
    return { nodes: [{ extraMounts: [] }, { extraMounts: [mount] }] } as unknown as ClusterConfig;
  }
  const left = () => readdirSync(join(root, 'cni/bin')).toSorted();
  const ALL = ['.cilium-cni.0a1b2c3d4e5f.tmp', '.mine.1.tmp', '.portmap.1.tmp', 'cilium-cni', 'portmap'];

  test.each([
    ['the plugin directory', '/opt/cni/bin', 'cni/bin'],
    ['what it is in', '/opt/cni', 'cni'],
    ['what that is in', '/opt', '.'],
    ['the configuration directory', '/etc/cni/net.d', 'cni/bin'],
  ])('the unfinished plugin in %s, and nothing else', (_, containerPath, hostPath) => {
    const cluster = clusterWith(containerPath, join(root, hostPath));
    removeUnfinished(cluster, []);
    expect(left()).toEqual(ALL.filter((name) => !name.startsWith('.cilium-cni')));
    removeUnfinished(cluster, []);
  });

  test.each([
    ['a mount that only reads', '/opt/cni/bin', 'cni/bin', { readOnly: true }],
    ['another directory', '/opt/other', 'cni/bin', {}],
    ['a directory in it', '/opt/cni/bin/sub', 'cni/bin', {}],
    ['a file', '/opt/cni/bin', 'cni/bin', { type: 'File' }],
    ['a directory that is gone', '/opt/cni', 'gone', {}],
  ] as const)('nothing behind %s', (_, containerPath, hostPath, more) => {
    removeUnfinished(clusterWith(containerPath, join(root, hostPath), more), []);
    expect(left()).toEqual(ALL);
  });

  test('nothing where nodes of another cluster may be writing, whatever way they have it mounted', () => {
    symlinkSync(join(root, 'cni'), join(root, 'link'));
    const other = clusterWith('/opt/cni', join(root, 'link'));
    removeUnfinished(clusterWith('/opt/cni/bin', join(root, 'cni/bin')), [other]);
    expect(left()).toEqual(ALL);
  });
});
