import { beforeEach, describe, expect, test } from 'bun:test';
import { FakeApi } from '../../kube/client.fake.ts';
import { events, pods } from '../../kube/resources.ts';
import type { Event, Pod } from '../../kube/types.ts';
import type { LabPlaces } from '../doctor/places.ts';
import type { FaultDoor } from './fault.ts';
import { labFaultDoor } from './lab-door.ts';

const POD: Pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'same-port', namespace: 'default' },
  spec: { containers: [{ name: 'c', image: 'i' }] },
};

let api: FakeApi;
let door: FaultDoor;
beforeEach(() => {
  api = new FakeApi();
  const places = { record: { name: 'lab', nodes: [] } } as unknown as LabPlaces;
  door = labFaultDoor(places, api, new AbortController().signal);
});

/** A pod that is gone, and the complaint about it that stays. */
async function complain(reason: string): Promise<void> {
  const { metadata } = await api.get(pods, 'same-port', 'default');
  await api.create(events, {
    metadata: { namespace: 'default', generateName: 'e-' },
    involvedObject: { kind: 'Pod', namespace: 'default', name: 'same-port', uid: metadata!.uid },
    reason,
  } as Event);
}

describe('reasons of events', () => {
  test('are of the pod that has the name now, and not of one that had it before', async () => {
    await door.apply([POD as Record<string, unknown>]);
    await complain('Unhealthy');
    expect(await door.eventReasons('default', 'same-port')).toEqual(['Unhealthy']);
    await door.remove('Pod', 'default', 'same-port');
    expect(await door.eventReasons('default', 'same-port')).toEqual([]);
    await door.apply([POD as Record<string, unknown>]);
    expect(await door.eventReasons('default', 'same-port')).toEqual([]);
    await complain('BackOff');
    expect(await door.eventReasons('default', 'same-port')).toEqual(['BackOff']);
  });
});

describe('an object of somebody else that has the name', () => {
  beforeEach(async () => {
    await api.create(pods, POD);
  });

  test('is an error, and not taken for the own one', async () => {
    await expect(door.apply([POD as Record<string, unknown>])).rejects.toThrow(
      'Pod default/same-port exists already, and is not changed; remove it, or choose a pod of another namespace with --pod',
    );
  });

  test('is not removed', async () => {
    await door.remove('Pod', 'default', 'same-port');
    expect((await api.get(pods, 'same-port', 'default')).metadata?.name).toBe('same-port');
  });
});

test('pods of a node that are ready, and no others', async () => {
  const create = async (name: string, nodeName: string, ready: 'True' | 'False') => {
    const pod = await api.create(pods, {
      ...POD,
      metadata: { name, namespace: 'default' },
      spec: { ...POD.spec!, nodeName },
    });
    const status = { conditions: [{ type: 'Ready', status: ready }] };
    await api.update(pods, { ...pod, status } as Pod, 'status');
  };
  await create('ready', 'n1', 'True');
  await create('starting', 'n1', 'False');
  await create('elsewhere', 'n2', 'True');
  expect(await door.readyPods('n1')).toEqual([{ namespace: 'default', name: 'ready' }]);
});

test('removing what is not there is fine', async () => {
  await door.remove('Pod', 'default', 'same-port');
});
