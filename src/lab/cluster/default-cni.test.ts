import { expect, test } from 'bun:test';
import { defaultConflist } from './default-cni.ts';

test.each([
  [['10.244.1.0/24'], ['0.0.0.0/0']],
  [
    ['10.244.1.0/24', 'fd00:10:244:1::/64'],
    ['0.0.0.0/0', '::/0'],
  ],
])('a pod has an address of each of %j, and a route out', (subnets, routes) => {
  const [{ ipam }] = JSON.parse(defaultConflist(subnets)).plugins;
  expect(ipam.ranges).toEqual(subnets.map((subnet) => [{ subnet }]));
  expect(ipam.routes).toEqual(routes.map((dst) => ({ dst })));
});
