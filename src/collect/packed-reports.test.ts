import { expect, test } from 'bun:test';
import { PackedReports } from './packed-reports.ts';
import { emptyReport } from './reader/cluster.fake.ts';

test('reports are as they were added, and one that cannot be read is unknown', () => {
  const packed = new PackedReports();
  const report = { ...emptyReport('n1'), takenAt: '2026-01-01T00:00:00Z' };
  packed.add('n1', { value: report });
  packed.add('n2', { unknown: 'it does not answer' });
  packed.addText('n3', JSON.stringify({ ...report, node: 'n3', later: 'a field' }), 'n3.json');
  packed.addText('n4', '{"apiVersion":', 'n4.json');
  expect(packed.size).toBe(4);
  expect([...packed.all()]).toEqual([
    ['n1', { value: report }],
    ['n2', { unknown: 'it does not answer' }],
    ['n3', { value: { ...report, node: 'n3' } }],
    ['n4', { unknown: 'n4.json: not JSON (14 characters)' }],
  ]);
  expect(packed.all().get('n5')).toBeUndefined();
});
