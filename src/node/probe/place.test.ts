import { describe, expect, test } from 'bun:test';
import { namespaceIdentity } from '../../sys/netns.ts';
import type { ProbeJob } from './order.ts';
import { probeJobSchema } from './order.ts';
import { assertPlace } from './place.ts';

const job = (place: ProbeJob['place'], address = '127.0.0.1'): ProbeJob => ({
  place,
  timeoutMs: 100,
  orders: [
    { vantage: 'node', node: 'n', podUid: 'u', protocol: 'TCP', hostPort: 80, target: { address, port: 80 } },
  ],
});

describe('nothing is sent', () => {
  test.each<[string, ProbeJob, string]>([
    ['from another namespace than the one named', job({ namespace: '4:1' }), 'not in the network namespace'],
    ['when the namespace is gone', job({ path: '/run/netns/none' }), 'is gone'],
    [
      'to a foreign address from just anywhere',
      job({ only: 'own-addresses' }, '192.0.2.1'),
      '192.0.2.1 is not an address',
    ],
    ['to a foreign IPv6 address', job({ only: 'own-addresses' }, '2001:db8::1'), 'nothing is sent'],
    ['to a name', job({ only: 'own-addresses' }, 'example.org'), 'nothing is sent'],
  ])('%s', (_, asked, why) => expect(() => assertPlace(asked)).toThrow(why));
});

test('the namespace that all threads stand in is fine, by identity and by path; so are own addresses', () => {
  const here = '/proc/self/ns/net';
  assertPlace(job({ namespace: namespaceIdentity(here)! }));
  assertPlace(job({ path: here }));
  assertPlace(job({ only: 'own-addresses' }));
});

test('a job without a place is no job', () => {
  expect(probeJobSchema.safeParse({ orders: [] }).success).toBe(false);
});
