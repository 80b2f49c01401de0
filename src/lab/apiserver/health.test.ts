import { expect, test } from 'bun:test';
import { type HealthCheck, healthOf, isPublicHealthPath } from './health.ts';

const broken = () => Promise.reject(new Error('connection refused'));
const fine: HealthCheck[] = [
  { name: 'ping', check() {} },
  { name: 'etcd', async check() {} },
  { name: 'shutdown', check() {}, readinessOnly: true },
];
const without = (name: string): HealthCheck[] =>
  fine.map((check) => (check.name === name ? { ...check, check: broken } : check));

// As kube-apiserver v1.36.1 answers.
test.each([
  ['/readyz', fine, 200, 'ok'],
  ['/livez?verbose', fine, 200, '[+]ping ok\n[+]etcd ok\nlivez check passed\n'],
  ['/readyz?verbose', fine, 200, '[+]ping ok\n[+]etcd ok\n[+]shutdown ok\nreadyz check passed\n'],
  ['/healthz', without('etcd'), 500, '[+]ping ok\n[-]etcd failed: reason withheld\nhealthz check failed\n'],
  ['/livez', without('shutdown'), 200, 'ok'],
  ['/readyz?exclude=etcd', without('etcd'), 200, 'ok'],
  [
    '/readyz?verbose&exclude=etcd&exclude=foo&exclude=bar',
    without('etcd'),
    200,
    '[+]ping ok\n[+]etcd excluded: ok\n[+]shutdown ok\n' +
      'warn: some health checks cannot be excluded: no matches for "bar", "foo"\nreadyz check passed\n',
  ],
  ['/livez/etcd', fine, 200, 'ok'],
  ['/livez/etcd', without('etcd'), 500, 'internal server error: connection refused\n'],
])('%s', async (url, checks, code, text) => {
  const [path, query] = url.split('?') as [string, string?];
  const log: string[] = [];
  const answer = await healthOf(checks, path, new URLSearchParams(query), (line) => log.push(line));
  expect(answer).toEqual({ code, text });
  const withheld = text.includes('withheld');
  expect(log).toEqual(withheld ? ['healthz: etcd: connection refused'] : []);
});

test('checks and paths that are not there', async () => {
  for (const path of ['/livez/shutdown', '/readyz/no', '/healthzz', '/version', '/']) {
    expect(await healthOf(fine, path, new URLSearchParams(), () => {})).toBeUndefined();
  }
  expect(['/readyz', '/livez', '/healthz', '/livez/etcd', '/metrics'].map(isPublicHealthPath)).toEqual([
    true,
    true,
    true,
    false,
    false,
  ]);
});
