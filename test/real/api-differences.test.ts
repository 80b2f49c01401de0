/**
 * The lab's API server against Kubernetes' own: the same requests to both, whose answers may differ only where
 * docs/decisions/differences-of-the-api.md says so. Needs what `make real` builds, and etcd; no cluster.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { builtPart } from '../../scripts/real/part.ts';
import { realPart } from '../../scripts/real/parts.ts';
import { EtcdStorage } from '../../src/lab/apiserver/etcd-storage.ts';
import { TestServer } from '../../src/lab/apiserver/test-server.fake.ts';
import { TestEtcd } from '../../src/lab/etcd/test-etcd.fake.ts';
import { RELEASE } from '../../src/lab/kubernetes/release.ts';
import { KubeApiServer } from './api-server.ts';
import { type Difference, differences } from './compare.ts';
import { ask } from './exchange.ts';
import { knownDifferences } from './known-differences.ts';
import { OPERATIONS } from './operations.ts';
import { schemaDifferences } from './schema-differences.ts';

const source = await realPart('kubernetes');
const directory = (await builtPart(source)) && source.directory;
const why = directory === undefined ? ` (needs Kubernetes ${source.version}: make real)` : '';
const START_MS = 120_000;

describe.skipIf(directory === undefined)(`two API servers${why}`, () => {
  let etcd: TestEtcd;
  let own: TestServer;
  let real: KubeApiServer;

  beforeAll(async () => {
    etcd = await TestEtcd.start();
    [own, real] = await Promise.all([
      TestServer.start(new EtcdStorage(etcd.client())),
      KubeApiServer.start(join(directory!, 'kube-apiserver')),
    ]);
  }, START_MS);

  afterAll(async () => {
    await Promise.all([own?.stop(), real?.stop()]);
    await etcd?.stop();
  });

  test('are of one version', async () => {
    const version = (await real.ask('GET', '/version')).body;
    expect(version.gitVersion).toBe(RELEASE.version);
    expect((await own.ask('GET', '/version')).body).toMatchObject({
      major: version.major,
      minor: version.minor,
    });
  });

  test(
    `answer ${OPERATIONS.length} requests alike, but for what is in the table`,
    async () => {
      const [ours, theirs] = await Promise.all([ask(own, OPERATIONS), ask(real, OPERATIONS)]);
      const known = knownDifferences();
      const matched = new Set<string>();
      const unknown: (Difference & { operation: string })[] = [];
      for (const [operation, said] of ours) {
        for (const difference of differences(said, theirs.get(operation))) {
          const row = known.find((candidate) => candidate.matches(operation, difference));
          if (row === undefined) unknown.push({ operation, ...difference });
          else matched.add(row.row);
        }
      }
      expect(unknown).toEqual([]);
      expect(known.map(({ row }) => row).filter((row) => !matched.has(row))).toEqual([]);
    },
    START_MS,
  );

  test('publish the same schema of every kind that the lab serves', async () => {
    expect(await schemaDifferences(own, real)).toEqual([]);
  });
});
