import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { FakeApi } from '../../../kube/client.fake.ts';
import { nodes } from '../../../kube/resources.ts';
import { realExec } from '../../../sys/exec.ts';
import { waitFor } from '../../../sys/wait.ts';
import { Agent } from '../agent.ts';
import { agentOverSocket } from '../cni/agent-api.ts';

/**
 * The stand-in's agent as a process with an API in memory: `bun agent-process.ts DIRECTORY PLUGINS NODE NODE…`, where a NODE is
 * `name=podCIDR=InternalIP` and the first is its own. Says `ready` once it has written the CNI configuration.
 */
const [directory, plugins, ...described] = process.argv.slice(2) as [string, string, ...string[]];
const api = new FakeApi();
for (const text of described) {
  const [name, podCIDR, address] = text.split('=') as [string, string, string];
  await api.create(nodes, { metadata: { name }, spec: { podCIDR } });
  await api.patch(
    nodes,
    name,
    undefined,
    'merge',
    { status: { addresses: [{ type: 'InternalIP', address }] } },
    'status',
  );
}
const stopping = new AbortController();
process.on('SIGTERM', () => stopping.abort(new Error('terminated')));
const agent = new Agent({
  client: api,
  exec: realExec,
  nodeName: described[0]!.split('=')[0]!,
  pluginSource: plugins,
  pluginTarget: join(directory, 'opt/cni/bin'),
  configTarget: join(directory, 'etc/cni/net.d'),
  statePath: join(directory, 'ipam.json'),
  socket: join(directory, 'cilium.sock'),
  cniExclusive: process.env.CNI_EXCLUSIVE !== 'false',
  cniChainingMode: 'none',
  nativeCidr: '192.168.0.0/16',
  log: (line) => console.error(line),
});
const running = agent.run(stopping.signal);
const config = join(directory, 'etc/cni/net.d/05-cilium.conflist');
// The socket of a killed agent is still there, so its being there says nothing.
const answers = () =>
  agentOverSocket(join(directory, 'cilium.sock'))
    .connect(0)
    .then(
      () => true,
      () => false,
    );
await Promise.race([
  running,
  waitFor('the CNI configuration and the socket', async () => existsSync(config) && (await answers()), {
    timeoutMs: 10_000,
  }),
]);
console.log('ready');
await running;
process.exit(0);
