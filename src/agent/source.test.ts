import { beforeEach, describe, expect, test } from 'bun:test';
import { FakeCluster } from '../collect/reader/cluster.fake.ts';
import { configMaps } from '../kube/resources.ts';
import type { ChangeAtSource } from '../path/source/at-source.ts';
import { CNIS } from '../path/source/cnis.ts';
import { applyPatch, planPatches } from './source.ts';

const cilium = CNIS.find(({ name }) => name === 'Cilium')!;
const exclusive = cilium.changes.find(({ codes, since }) => codes.includes('conflist-renamed') && since)!;
const CHANGE: ChangeAtSource = {
  codes: ['conflist-renamed'],
  nodes: ['n1'],
  cni: { cni: cilium, version: '1.16.0', installer: 'other', evidence: [] },
  change: exclusive,
};
const NAME = 'cilium-config';
const SPACE = 'kube-system';

let cluster: FakeCluster;
beforeEach(() => {
  cluster = new FakeCluster();
});

const create = (data: Record<string, string>) =>
  cluster.create(configMaps, { metadata: { name: NAME, namespace: SPACE }, data });
const dataNow = async () => (await cluster.get(configMaps, NAME, SPACE)).data;
const plan = () => planPatches(cluster, [CHANGE], new AbortController().signal);

test('a change is planned from what is there, and then made, with nothing else changed', async () => {
  await create({ debug: 'true', 'cni-exclusive': 'true' });
  const [planned] = await plan();
  expect(planned!.patched).toMatchObject({ is: 'patch', shown: '{"data":{"cni-exclusive":"false"}}' });
  expect(await dataNow()).toEqual({ debug: 'true', 'cni-exclusive': 'true' });
  expect(await applyPatch(cluster, planned!)).toBeUndefined();
  expect(await dataNow()).toEqual({ debug: 'true', 'cni-exclusive': 'false' });
  expect((await plan())[0]!.patched).toEqual({ is: 'done' });
});

describe('it is not made', () => {
  test('without the right to it, which is asked for by its name', async () => {
    await create({});
    cluster.denied.add('patch configmaps');
    const [planned] = await plan();
    const why = `you may not patch configmaps/${NAME} in namespace ${SPACE}`;
    expect(planned!.patched).toEqual({ is: 'refused', why });
  });

  test('where there is no such object', async () => {
    expect((await plan())[0]!.patched).toEqual({ is: 'refused', why: `${SPACE}/${NAME} does not exist` });
  });

  test('where somebody else has changed it meanwhile', async () => {
    await create({});
    const [planned] = await plan();
    await cluster.update(configMaps, {
      ...(await cluster.get(configMaps, NAME, SPACE)),
      data: { 'cni-exclusive': 'false' },
    });
    expect(await applyPatch(cluster, planned!)).toBe(`${SPACE}/${NAME} has changed meanwhile`);
  });
});

test('what has no patch is left out', async () => {
  const { patch: _, ...change } = exclusive;
  expect(await planPatches(cluster, [{ ...CHANGE, change }], new AbortController().signal)).toEqual([]);
  expect(cluster.requests).toEqual([]);
});
