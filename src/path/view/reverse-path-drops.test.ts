import { expect, test } from 'bun:test';
import { reversePathDrops } from './reverse-path-drops.ts';

const NAMES = 'TcpExt: SyncookiesSent IPReversePathFilter TWKilled';

test.each<[string, string, number | undefined]>([
  ['is in the column of its name', `${NAMES}\nTcpExt: 1 23 4\nIpExt: InNoRoutes\nIpExt: 9\n`, 23],
  [
    'is behind other tables',
    `IpExt: InNoRoutes IPReversePathFilter\nIpExt: 8 9\n${NAMES}\nTcpExt: 1 0 4\n`,
    0,
  ],
  ['may be between wide gaps', `TcpExt:  A   IPReversePathFilter\nTcpExt:  1   2\n`, 2],
  ['is not there under another name', 'TcpExt: SyncookiesSent\nTcpExt: 1\n', undefined],
  ['is not there without values', NAMES, undefined],
  ['is not in another table', 'IpExt: IPReversePathFilter\nIpExt: 1\n', undefined],
  ['is not in nothing', '', undefined],
])('the count %s', (_, netstat, drops) => {
  expect(reversePathDrops(netstat)).toBe(drops as number);
});
