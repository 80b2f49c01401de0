import { describe, expect, test } from 'bun:test';
import { pageCluster } from '../../../test/page/clusters.ts';
import { pageData } from '../model.ts';
import { linkTo, placeOf } from './links.ts';
import { type Filter, NO_FILTER, OTHER_PORTS, PageIndex } from './page-index.ts';
import { verdictOf } from './verdict.ts';

const indexOf = (cluster: ReturnType<typeof pageCluster>) =>
  new PageIndex(pageData({ ...cluster, title: 'x', version: '1' }));

const index = indexOf(pageCluster(40, 3, 'broken'));

describe('a filter', () => {
  test.each<[Partial<Filter>, number]>([
    [{}, 120],
    [{ state: 'broken' }, 30],
    [{ state: 'unknown' }, 3],
    [{ state: 'risk' }, 10],
    [{ state: 'good' }, 77],
    [{ code: 'plugin-missing' }, 30],
    [{ stage: 'installed' }, 33],
    // What only follows is not at fault there.
    [{ stage: 'translated' }, 3],
    [{ node: 'worker-2' }, 3],
    [{ node: 'worker-2', namespace: 'shop' }, 1],
    [{ node: 'worker' }, 0],
    [{ search: 'worker-2 ' }, 33],
    [{ search: 'SHOP web-1-' }, 1],
    [{ search: 'plugin-missing 8002' }, 10],
    [{ search: 'nothing' }, 0],
    [{ port: 'TCP 80' }, 40],
    [{ port: 'TCP 800' }, 0],
  ])('%j lets %i through', (filter, count) => {
    expect(index.matching({ ...NO_FILTER, ...filter })).toHaveLength(count);
  });

  test('puts the worst first, then nodes by their numbers', () => {
    const nodes = index.matching(NO_FILTER).map((path) => index.node(path));
    expect(nodes.slice(0, 9)).toEqual(
      ['worker-2', 'worker-6', 'worker-10'].flatMap((node) => [node, node, node]),
    );
    expect(index.stateOf(index.matching(NO_FILTER).at(-1)!)).toBe('good');
  });
});

describe('the map', () => {
  test('has every mapping once', () => {
    const paths = index.matching(NO_FILTER);
    const { columns, rows } = index.mapOf(paths);
    expect(columns).toEqual(['TCP 80', 'TCP 8001', 'TCP 8002']);
    expect(rows).toHaveLength(40);
    expect(rows.flatMap(({ cells }) => cells.flat()).sort()).toEqual([...paths].sort());
    expect(rows.map(({ state }) => state).slice(9, 12)).toEqual(['broken', 'unknown', 'risk']);
  });

  test('puts the ports that few have into one column', () => {
    const many = indexOf(pageCluster(2, 20, 'healthy'));
    const { columns, rows } = many.mapOf(many.matching(NO_FILTER));
    expect(columns).toHaveLength(12);
    expect(columns.at(-1)).toBe(OTHER_PORTS);
    expect(rows[0]!.cells.at(-1)).toHaveLength(9);
  });
});

test('a mapping is found by its key, and no other', () => {
  for (let path = 0; path < index.length; path++) expect(index.pathOf(index.keyOf(path))).toBe(path);
  expect(index.pathOf('')).toBeUndefined();
});

describe('a link', () => {
  const filter: Filter = {
    search: 'a & b=c #1',
    state: 'risk',
    stage: 'attached',
    code: 'x-y',
    node: 'ä/%',
    namespace: '?',
    port: 'TCP [::1]:80',
  };
  test.each([
    { cause: '', mapping: '', filter: NO_FILTER },
    { cause: 'plugin-missing.2', mapping: '', filter: NO_FILTER },
    { cause: '', mapping: 'node a/b TCP 80 IPv6', filter },
  ])('%j leads back to its place', (place) => {
    expect(placeOf(linkTo(place))).toEqual(place);
  });

  test('of what there is not is no condition', () => {
    expect(placeOf('#state=worse&stage=__proto__&else=1').filter).toEqual(NO_FILTER);
  });
});

describe('the verdict', () => {
  test.each<[string, ReturnType<typeof pageCluster>]>([
    ['No pod asks for a hostPort.', pageCluster(2, 0, 'healthy')],
    [
      'No pod that asks for a hostPort was seen, but 2 nodes could not be examined.',
      pageCluster(2, 0, 'unknown'),
    ],
    ['The hostPort works.', pageCluster(1, 1, 'healthy')],
    ['All 4 hostPorts work.', pageCluster(2, 2, 'healthy')],
    ['4 of 4 hostPorts are unknown; no broken hostPort was found.', pageCluster(2, 2, 'unknown')],
    ['1 of 2 hostPorts is broken: 1 cause on 1 node.', pageCluster(2, 1, 'broken')],
    ['1 of 3 hostPorts is broken: 1 cause on 1 node; 1 is at risk.', pageCluster(3, 1, 'broken')],
  ])('%s', (verdict, cluster) => {
    expect(verdictOf(indexOf(cluster))).toBe(verdict);
  });

  test('where none was chosen', () => {
    const none = { ...pageCluster(2, 0, 'healthy'), title: 'x', version: '1', examined: 3 };
    expect(verdictOf(new PageIndex(pageData(none)))).toBe('No hostPort matches; 3 hostPorts were examined.');
  });

  test('with hostPorts that work, and a node that could not be examined', () => {
    const healthy = pageCluster(1, 1, 'healthy');
    const { unknowns } = pageCluster(1, 1, 'unknown').diagnosis;
    const made = indexOf({ ...healthy, diagnosis: { ...healthy.diagnosis, unknowns } });
    expect(verdictOf(made)).toBe('The hostPort works, but 1 node could not be examined.');
  });

  test('with one at risk and none broken', () => {
    const { diagnosis, ways } = pageCluster(3, 1, 'broken');
    const paths = diagnosis.paths.filter(({ stages }) => stages.installed.verdict !== 'broken');
    const findings = diagnosis.findings.filter(({ severity }) => severity !== 'broken');
    expect(verdictOf(indexOf({ diagnosis: { ...diagnosis, paths, findings }, ways }))).toBe(
      'All 2 hostPorts work, but 1 is at risk.',
    );
  });
});
