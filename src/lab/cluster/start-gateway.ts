import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Distribution } from '../../sys/distribution.ts';
import { readIfExists } from '../../sys/files.ts';
import { waitFor } from '../../sys/wait.ts';
import { UserError } from '../../util/errors.ts';
import type { GatewayConfig, GatewayReport } from './gateway.ts';
import { NODE_NETWORK } from './network.ts';
import { API_PORT } from './node-files.ts';
import { clusterPaths, labNetns, netnsPath } from './paths.ts';
import type { ClusterRecord } from './record.ts';
import { runScript } from './run-script.ts';
import type { ClusterSecrets } from './secrets.ts';

/** Longer than the program takes to start on a machine that is busy starting nodes. */
const START_MS = 20_000;

/**
 * Starts the gateway of a cluster under runit's supervisor, outside the nodes, and waits until it listens. Ports that were
 * left open (0) are chosen by the kernel when they are bound, so nobody can take one in between; the record then holds which:
 * the API server's, and those of `extraPortMappings`.
 * @throws UserError when a port cannot be bound.
 */
export async function startGateway(
  record: ClusterRecord,
  secrets: ClusterSecrets,
  dist: Distribution,
  signal: AbortSignal,
): Promise<void> {
  const paths = clusterPaths(record.name);
  await mkdir(paths.gatewayService, { recursive: true });
  await mkdir(paths.pki, { recursive: true, mode: 0o700 });
  const pki = (name: string) => join(paths.pki, name);
  await Promise.all([
    writeFile(pki('registry-ca.crt'), secrets.registry.ca),
    writeFile(pki('registry.crt'), secrets.registry.cert),
    writeFile(pki('registry.key'), secrets.registry.key, { mode: 0o600 }),
  ]);
  const { networking, nodes } = record.config;
  const mappings = nodes.flatMap((node, index) =>
    node.extraPortMappings.map((mapping) => ({ mapping, address: record.nodes[index]!.address })),
  );
  const gateway: GatewayConfig = {
    netns: netnsPath(labNetns(record.name)),
    ports: [
      {
        listen: { host: networking.apiServerAddress, port: networking.apiServerPort },
        target: {
          host: record.nodes.find(({ role }) => role === 'control-plane')!.address,
          port: API_PORT,
        },
      },
      ...mappings.map(({ mapping, address }) => ({
        listen: { host: mapping.listenAddress, port: mapping.hostPort },
        target: { host: address, port: mapping.containerPort },
      })),
    ],
    report: join(paths.gatewayService, 'ports.json'),
    registry: [
      '--listen',
      `${NODE_NETWORK.gateway}:5000`,
      '--layout',
      dist.images,
      '--tls-cert-file',
      pki('registry.crt'),
      '--tls-private-key-file',
      pki('registry.key'),
      '--client-ca-file',
      pki('registry-ca.crt'),
    ],
  };
  const configFile = join(paths.gatewayService, 'gateway.json');
  await writeFile(configFile, JSON.stringify(gateway, null, 2));
  const run = runScript([dist.program, 'gateway', configFile], paths.log);
  await writeFile(join(paths.gatewayService, 'run'), run, { mode: 0o755 });
  const supervisor = spawn('runsv', [paths.gatewayService], { detached: true, stdio: 'ignore' });
  await once(supervisor, 'spawn');
  supervisor.unref();

  const [apiServerPort, ...mapped] = await boundPorts(gateway.report, paths.log, signal);
  record.apiServerPort = apiServerPort!;
  for (const [index, { mapping }] of mappings.entries()) mapping.hostPort = mapped[index]!;
}

async function boundPorts(report: string, log: string, signal: AbortSignal): Promise<number[]> {
  let logged = '';
  const text = await waitFor(
    'the gateway to listen',
    async () => {
      const seen = await readIfExists(report);
      if (seen === undefined) logged = (await readIfExists(log)) ?? '';
      return seen;
    },
    { timeoutMs: START_MS, intervalMs: 5, signal, describe: () => logged.slice(-1000).trim() },
  );
  const started = JSON.parse(text) as GatewayReport;
  if ('error' in started) throw new UserError(started.error);
  return started.ports;
}
