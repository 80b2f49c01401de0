import { describe, expect, test } from 'bun:test';
import { pageCluster } from '../../../test/page/clusters.ts';
import { pageData } from '../../page/model.ts';
import { PageIndex } from '../../page/view/page-index.ts';
import { traceables } from './traceables.ts';

describe('what can be traced', () => {
  const of = (change: (diagnosis: ReturnType<typeof pageCluster>['diagnosis']) => void) => {
    const { diagnosis, ways } = pageCluster(1, 1, 'healthy');
    change(diagnosis);
    return traceables(new PageIndex(pageData({ diagnosis, ways, title: 't', version: '1' })));
  };

  test.each([
    ['TCP', undefined, 'tcp'],
    ['UDP', undefined, 'udp'],
    ['SCTP', '10.0.0.3', 'sctp'],
    ['TCP', 'fd00::3', 'tcp'],
  ] as const)('a hostPort of %s at %p', (protocol, hostIP, wanted) => {
    const found = of(({ paths }) => {
      paths[0]!.port = { protocol, hostPort: 8080, containerPort: 80, ...(hostIP && { hostIP }) };
    });
    expect(found).toMatchObject([{ node: 'worker-1', port: 8080, protocol: wanted }]);
  });

  test('of both address families once, and none without a node', () => {
    const twice = of(({ paths }) => {
      paths.push({ ...paths[0]!, family: 'IPv6' }, { ...paths[0]!, node: undefined });
      paths[0]!.family = 'IPv4';
    });
    expect(twice.map(({ label }) => label)).toEqual(['worker-1, TCP 80 (default/web-0-0)']);
  });
});
