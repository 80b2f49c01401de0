import { beforeEach, describe, expect, test } from 'bun:test';
import { FakeCluster, quietOptions } from '../collect/reader/cluster.fake.ts';
import { type CollectOptions, withReaders } from '../collect/reader/collect.ts';
import { pods } from '../kube/resources.ts';
import { diagnose } from '../path/diagnose/diagnose.ts';
import { planHeal } from '../path/heal/plan.ts';
import type { NodeAction } from '../path/model/action.ts';
import { failureOn, podOn, smallWorld } from '../path/testing/small-world.ts';
import { clusterPatient, type ExpectingPatient } from './cluster-patient.ts';

const HEAL = '2026-01-01T00:00:00.000Z';
const WRITE: NodeAction = { do: 'write-file', path: '/etc/cni/net.d/a', content: '' };
const INSTALL: NodeAction = { do: 'install-plugin', name: 'portmap', directory: '/opt/cni/bin' };
const SYSCTL: NodeAction = { do: 'set-sysctl', name: 'net.ipv4.ip_forward', value: '1' };

let cluster: FakeCluster;
beforeEach(async () => {
  cluster = new FakeCluster();
  await cluster.addNode('n1');
});

/** A plan with these actions on n1. */
function planOf(...actions: NodeAction[]) {
  const failure = failureOn((scene) => scene.paths.map(({ subject }) => subject), {
    code: 'x',
    stage: 'configured',
    heal: () => ({
      by: 'steps',
      steps: actions.map((action) => ({ on: 'node', node: 'n1', why: 'so', action })),
    }),
  });
  return planHeal(diagnose(smallWorld([podOn('n1', 'a', 80)]), [failure]), { restart: false });
}

function withPatient<T>(use: (patient: ExpectingPatient) => Promise<T>): Promise<T> {
  const options: CollectOptions = quietOptions({ probes: false, changes: { lastMs: 0 } });
  return withReaders(
    cluster,
    options,
    (_, readers) => use(clusterPatient(readers!, cluster, HEAL)),
    cluster.open,
  );
}

/** The places that pods may write to, of each that was created for changes. */
function writable(): string[][] {
  return cluster.writers.map(({ spec }) =>
    spec!.volumes!.flatMap(({ name, hostPath }) => (name === 'host' ? [] : hostPath!.path)),
  );
}

describe('the pod of a node', () => {
  test('has what all steps of its plan need, and no second one is created for them', async () => {
    await withPatient(async (patient) => {
      patient.expect(planOf(WRITE, INSTALL));
      for (const action of [WRITE, INSTALL]) {
        expect(await patient.apply('n1', [action])).toMatchObject([{ outcome: 'done' }]);
      }
    });
    expect(writable()).toEqual([['/etc/cni/net.d', '/opt/cni/bin', '/var/lib/hostport']]);
  });

  test('is replaced when a later round needs something else', async () => {
    await withPatient(async (patient) => {
      patient.expect(planOf(WRITE));
      await patient.apply('n1', [WRITE]);
      patient.expect(planOf(SYSCTL));
      await patient.apply('n1', [SYSCTL]);
    });
    expect(writable()).toEqual([
      ['/etc/cni/net.d', '/var/lib/hostport'],
      ['/proc/sys/net', '/var/lib/hostport'],
    ]);
  });

  test('that does not start is the reason why the step failed', async () => {
    const failed = withPatient(async (patient) => {
      cluster.kubelets.set('n1', 'cannot-pull');
      patient.expect(planOf(WRITE));
      await patient.apply('n1', [WRITE]).catch(() => {});
      await patient.apply('n1', [WRITE]);
    });
    await expect(failed).rejects.toThrow('its pod has not started: ImagePullBackOff');
    // Each of them would be waited for.
    expect(writable()).toHaveLength(1);
    expect((await cluster.list(pods)).items).toEqual([]);
  });
});

test('a pod that is gone or recreated already is as wanted', async () => {
  const { metadata } = await cluster.create(pods, {
    metadata: { name: 'a', namespace: 'default' },
    spec: { containers: [] },
  });
  const pod = { namespace: 'default', name: 'a', uid: metadata!.uid! };
  await withPatient(async (patient) => {
    await patient.deletePod(pod);
    await patient.deletePod(pod);
  });
});
