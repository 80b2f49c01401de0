import { beforeEach, describe, expect, test } from 'bun:test';
import { kindByName } from '../../kube/kinds.ts';
import { leapingNow } from '../../sys/clock.fake.ts';
import type { Clock } from '../../sys/clock.ts';
import { parseSubnet } from '../../util/cidr.ts';
import { ClusterAdmission } from './admission.ts';
import { type ApiObject, keyOf } from './objects.ts';
import { FakeStorage } from './storage.fake.ts';

const podKind = kindByName('v1', 'Pod')!;

describe('the account of a pod that is created with its namespace', () => {
  let storage: FakeStorage;
  let slept: number;
  let meanwhile: () => Promise<unknown>;
  const clock: Clock = {
    now: leapingNow(),
    monotonic: () => slept,
    sleep: async (ms) => {
      slept += ms;
      await meanwhile();
    },
  };

  async function put(kind: string, name: string, namespace = ''): Promise<void> {
    const object = { apiVersion: 'v1', kind, metadata: { name, namespace } };
    await storage.put(keyOf(kindByName('v1', kind)!, namespace, name), JSON.stringify(object), 0);
  }

  async function admit(serviceAccountName?: string): Promise<ApiObject> {
    const admission = new ClusterAdmission({ storage, serviceRange: parseSubnet('10.96.0.0/16')!, clock });
    const pod: ApiObject = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a', namespace: 'new' },
      spec: { containers: [], serviceAccountName },
    };
    await admission.create(podKind, pod);
    return pod;
  }

  beforeEach(async () => {
    storage = new FakeStorage();
    slept = 0;
    meanwhile = async () => {};
    await put('Namespace', 'new');
  });

  test('is not waited for when it is there', async () => {
    await put('ServiceAccount', 'default', 'new');
    expect((await admit()).spec?.serviceAccountName).toBe('default');
    expect(slept).toBe(0);
  });

  test('is waited for', async () => {
    meanwhile = async () => {
      if (slept === 1000) await put('ServiceAccount', 'default', 'new');
    };
    expect((await admit()).spec?.serviceAccountName).toBe('default');
    expect(slept).toBe(1000);
  });

  test('is missed after two seconds', async () => {
    await expect(admit()).rejects.toThrow('error looking up service account new/default');
    expect(slept).toBe(2000);
  });

  test('is missed at once when it is another than the default one', async () => {
    await expect(admit('other')).rejects.toThrow('error looking up service account new/other');
    expect(slept).toBe(0);
  });
});
