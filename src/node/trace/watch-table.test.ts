import { describe, expect, test } from 'bun:test';
import type { TracedFlow } from '../../path/model/flow-trace.ts';
import {
  clearDocuments,
  deleteDocument,
  deviceDocument,
  isPlainName,
  isWatchTable,
  watchDocument,
} from './watch-table.ts';

const flow: TracedFlow = {
  ...{ protocol: 'TCP', family: 'ipv4', address: '192.0.2.1', port: 8080 },
  ...{ sourcePort: 61_001, containerPort: 80 },
};
const watch = { name: 'hostport-trace-1', flow, byConnection: false };

describe('the table that watches', () => {
  test('traces the ports of the flow alone, in both directions', () => {
    const rules = [...watchDocument(watch).matchAll(/^.*nftrace.*$/gm)].map(([rule]) => rule);
    const wanted = [
      'tcp sport 61001 tcp dport 8080 meta nftrace set 1',
      'tcp sport { 8080, 80 } tcp dport 61001 meta nftrace set 1',
    ];
    expect(rules).toEqual([...wanted, ...wanted]);
  });

  test('decides nothing', () => {
    for (const document of [
      watchDocument({ ...watch, byConnection: true }),
      deviceDocument(watch, ['eth0']),
    ]) {
      expect(document).not.toMatch(/\b(drop|reject|queue|redirect|dnat|snat|mark set)\b/);
      expect(document).not.toMatch(/policy (?!accept)/);
    }
  });

  test('looks at connections only where somebody does already', () => {
    expect(watchDocument(watch)).not.toContain('ct ');
    expect(watchDocument({ ...watch, byConnection: true })).toContain('ct original proto-src 61001');
  });

  test.each(['a b', 'eth0"', '-x', 'x;y', '', '{', 'a\nb'])('a device called %p is refused', (name) => {
    expect(isPlainName(name)).toBe(false);
    expect(() => deviceDocument(watch, [name])).toThrow('not a plain name');
    expect(() => deleteDocument([{ family: 'inet', name }])).toThrow('not a plain name');
  });

  test('is of no more devices than a chain takes', () => {
    const devices = Array.from({ length: 257 }, (_, i) => `lxc${i}`);
    expect(() => deviceDocument(watch, devices)).toThrow('257 devices');
    expect(deviceDocument(watch, devices.slice(1))).toContain('lxc256');
  });

  test('is known by its name', () => {
    expect(isWatchTable({ name: 'hostport-trace-ff' })).toBe(true);
    expect(isWatchTable({ name: 'hostport' })).toBe(false);
    expect(isWatchTable({ name: 'hostport-trace-x;y' })).toBe(false);
  });

  test("is deleted ahead of those of other runs, and nobody else's keeps it", () => {
    const of = (name: string, family = 'inet') => ({ family, name });
    const own = 'hostport-trace-ff';
    const tables = [
      of('hostport-trace-a b'),
      of('hostport-trace-00'),
      of(own),
      of(own, 'netdev'),
      of('filter'),
    ];
    expect(clearDocuments(tables, own)).toEqual([
      'delete table inet hostport-trace-ff\ndelete table netdev hostport-trace-ff\n',
      'delete table inet hostport-trace-00\n',
    ]);
    expect(clearDocuments([of('filter')], own)).toEqual([]);
  });
});
