import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { HOST_PORT_TAKEN } from '../src/portmap/backend.ts';
import { Topology } from '../src/portmap/testing/topology.ts';
import { prepareHostIp } from './portmap-host-ip.ts';

// Two pods with one port, each for other clients: outside (10.79.0.1) and other (10.80.0.1) -- node -- a namespace that stands for both pods.

const PROBE = join(import.meta.dir, '../src/portmap/testing/probe.ts');
const NETWORK = 'conditions-test';
let lab: Topology;

beforeAll(async () => {
  lab = await Topology.create();
  await prepareHostIp(lab);
  await lab.namespace('other');
  await lab.join('other', '10.80.0.1/24', 'node', '10.80.0.2/24');
});
afterAll(() => lab.dispose());

type Backend = 'iptables' | 'nftables';
const from = (backend: Backend, network: string) =>
  backend === 'iptables' ? ['-s', network] : ['ip', 'saddr', network];

function call(verb: string, backend: Backend, id: string, network: string, containerPort: number) {
  const config = {
    ...{ cniVersion: '1.1.0', name: NETWORK, type: 'portmap', backend },
    ...{ capabilities: { portMappings: true }, conditionsV4: from(backend, network) },
    runtimeConfig: { portMappings: [{ hostPort: 80, containerPort, protocol: 'tcp' }] },
    prevResult: { cniVersion: '1.1.0', ips: [{ address: '10.89.0.10/24' }] },
  };
  return lab.cni('node', join(lab.plugins, 'portmap'), verb, { id, netns: lab.path('pod'), config });
}

async function answer(client: string, address: string): Promise<string> {
  const { code, stdout } = await lab.run(client, [process.execPath, 'run', PROBE, 'tcp', address, '80']);
  return code === 0 ? stdout.split(' ')[0]! : 'nobody';
}
const answers = async () => [await answer('outside', '10.79.0.2'), await answer('other', '10.80.0.2')];

describe.each<[Backend, Backend]>([
  ['nftables', 'nftables'],
  ['iptables', 'iptables'],
  ['iptables', 'nftables'],
  ['nftables', 'iptables'],
])('the first by %s, the second by %s', (first, second) => {
  test('each client gets the pod that is for it; what overlaps is refused; each goes by itself', async () => {
    const [near, far] = ['10.79.0.0/24', '10.80.0.0/24'];
    const done = { code: 0, stderr: '' };
    expect(await call('ADD', first, 'one', near, 8080)).toMatchObject(done);
    expect(await call('ADD', second, 'two', far, 8081)).toMatchObject(done);
    expect(await answers()).toEqual(['8080', '8081']);
    expect(await call('CHECK', first, 'one', near, 8080)).toMatchObject(done);
    expect(await call('CHECK', second, 'two', far, 8081)).toMatchObject(done);

    const third = await call('ADD', second, 'three', '10.80.0.0/25', 8080);
    expect(third.document).toMatchObject({
      code: HOST_PORT_TAKEN,
      msg: expect.stringContaining('tcp 80 of container two of network conditions-test'),
      details: expect.stringMatching(
        /^both may have a packet: ".*10\.80\.0\.0\/25" here, ".*10\.80\.0\.0\/24" there$/,
      ),
    });
    expect(await call('DEL', first, 'one', near, 8080)).toMatchObject(done);
    expect(await answers()).toEqual(['nobody', '8081']);
    expect(await call('ADD', first, 'one', near, 8080)).toMatchObject(done);
    expect(await answers()).toEqual(['8080', '8081']);
    for (let i = 0; i < 2; i++) {
      expect(await call('DEL', second, 'two', far, 8081)).toMatchObject(done);
      expect(await call('DEL', first, 'one', near, 8080)).toMatchObject(done);
    }
    expect(await answers()).toEqual(['nobody', 'nobody']);
    const rules = [...(await lab.natRules('node')), await lab.ok('node', ['nft', 'list', 'ruleset'])].join(
      '\n',
    );
    expect(rules).not.toContain(NETWORK);
    expect(rules).not.toContain('CNI-DN-');
  });
});
