import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { HOST_PORT_TAKEN } from '../src/portmap/backend.ts';
import { REFERENCE, Topology } from '../src/portmap/testing/topology.ts';
import {
  answersOfHostIp,
  callHostIp,
  type HostIpSubject,
  ONE_POD,
  prepareHostIp,
  TWO_PODS,
} from './portmap-host-ip.ts';

// The distribution's reference knows no nftables; the current one, on both backends, is in test/real.
let lab: Topology;

beforeAll(async () => {
  lab = await Topology.create();
  await prepareHostIp(lab);
});
afterAll(() => lab.dispose());

const subjects: Record<string, () => HostIpSubject> = {
  'ours, iptables': () => ({ plugin: join(lab.plugins, 'portmap'), backend: 'iptables' }),
  'ours, nftables': () => ({ plugin: join(lab.plugins, 'portmap'), backend: 'nftables' }),
  "the distribution's reference": () => ({ plugin: join(REFERENCE, 'portmap'), backend: undefined }),
};

describe.each(Object.keys(subjects))('%s', (name) => {
  test.each(ONE_POD)('one pod, $name: the first of a request has the address', async ({ ports, answers }) => {
    const subject = subjects[name]!();
    expect(await callHostIp(lab, subject, 'ADD', 'one', ports)).toMatchObject({ code: 0 });
    expect(await answersOfHostIp(lab)).toEqual([...answers]);
    expect(await callHostIp(lab, subject, 'DEL', 'one', ports)).toMatchObject({ code: 0 });
    expect(await answersOfHostIp(lab)).toEqual(['nobody', 'nobody']);
  });

  test.each(TWO_PODS)('two living pods, $name', async ({ first, second, reference }) => {
    const subject = subjects[name]!();
    expect(await callHostIp(lab, subject, 'ADD', 'one', [first])).toMatchObject({ code: 0 });
    const answers = await answersOfHostIp(lab);
    const added = await callHostIp(lab, subject, 'ADD', 'two', [second]);
    if (name.startsWith('ours')) {
      expect(added.document).toMatchObject({ code: HOST_PORT_TAKEN, msg: expect.stringContaining(' one ') });
      expect(await answersOfHostIp(lab)).toEqual(answers);
    } else {
      expect(added).toMatchObject({ code: 0 });
      expect(await answersOfHostIp(lab)).toEqual([...reference]);
    }
    await callHostIp(lab, subject, 'DEL', 'two', [second]);
    await callHostIp(lab, subject, 'DEL', 'one', [first]);
    expect(await answersOfHostIp(lab)).toEqual(['nobody', 'nobody']);
  });
});
