import { afterAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { findProcesses } from '../../src/sys/processes.ts';
import { waitFor } from '../../src/sys/wait.ts';
import { Lab, labMissing, leftovers } from './lab.ts';

const missing = labMissing();

/** A cluster of one node that publishes a port of it, and nothing else. */
const publishing = (hostPort: number, apiServerPort = 0) => `kind: Cluster
apiVersion: kind.sigs.k8s.io/v1alpha4
networking: {apiServerPort: ${apiServerPort}}
nodes:
- role: control-plane
  extraPortMappings:
  - {containerPort: 10250, hostPort: ${hostPort}}
`;

/** The ports that a cluster's record says are its own: the API server's and the mapped one. */
function recordedPorts(lab: Lab): [number, number] {
  const text = readFileSync(`/var/lib/hostport/clusters/${lab.name}/cluster.json`, 'utf8');
  const record = JSON.parse(text) as {
    apiServerPort: number;
    config: { nodes: { extraPortMappings: { hostPort: number }[] }[] };
  };
  return [record.apiServerPort, record.config.nodes[0]!.extraPortMappings[0]!.hostPort];
}

function gatewayOf(lab: Lab): number | undefined {
  const service = `/var/lib/hostport/clusters/${lab.name}/gateway`;
  return findProcesses(({ argv, cwd }) => argv[1] === 'gateway' && cwd() === service)[0]?.pid;
}

/** Whether somebody accepts connections there. */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

async function listening(): Promise<{ server: net.Server; port: number }> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as net.AddressInfo).port };
}

describe.skipIf(missing !== undefined)(`the gateway${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('gateway');
  afterAll(() => lab.delete());

  test('chooses open ports as it binds them, and has the same ones after it was killed', async () => {
    await lab.must(
      ...['create', 'cluster', '--name', lab.name, '--config', lab.file('config.yaml', publishing(0))],
    );
    const [api, mapped] = recordedPorts(lab);
    expect(Math.min(api, mapped)).toBeGreaterThan(0);
    expect(api).not.toBe(mapped);
    expect(await lab.must('get', 'kubeconfig', '--name', lab.name)).toContain(`https://127.0.0.1:${api}\n`);
    expect(await accepts(mapped)).toBe(true);
    const killed = gatewayOf(lab)!;
    process.kill(killed, 'SIGKILL');
    await waitFor(
      'another gateway that listens',
      async () => {
        const pid = gatewayOf(lab);
        return pid !== undefined && pid !== killed && (await accepts(api)) && (await accepts(mapped));
      },
      { timeoutMs: 15_000, intervalMs: 50 },
    );
    expect((await lab.kubectl(['get', '--raw', '/readyz'])).stdout).toContain('ok');
    expect(recordedPorts(lab)).toEqual([api, mapped]);
    await lab.must('delete', 'cluster', '--name', lab.name);
    expect(await accepts(api)).toBe(false);
    expect(await accepts(mapped)).toBe(false);
  });

  for (const what of ['the API server', 'a mapping']) {
    test(`says at once that the port of ${what} is taken, and nothing is left`, async () => {
      const { server, port } = await listening();
      try {
        const text = what === 'a mapping' ? publishing(port) : publishing(0, port);
        const ran = await lab.hostport(
          ...['create', 'cluster', '--name', lab.name, '--config', lab.file('taken.yaml', text)],
        );
        expect(ran.stderr).toContain(
          `error: cannot publish 127.0.0.1:${port}: another program listens there\n`,
        );
        expect(ran.code).toBe(1);
        expect(ran.stderr).not.toContain('Waiting');
        expect(leftovers(lab.name)).toEqual([]);
      } finally {
        await new Promise((resolve) => server.close(resolve));
      }
    });
  }
});
