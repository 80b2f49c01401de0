/**
 * `make lab`: brings the how-to's cluster up (or takes the one that is up), deploys its three pods and shows what each
 * answers. Two of the three are broken on purpose: that is where the how-to begins.
 */
import { join } from 'node:path';
import { prepareExample } from '../src/lab/tour/example.ts';

const root = join(import.meta.dir, '..');
const program = join(root, 'bin/hostport');
const example = join(root, 'examples/kind-cilium-portmap');

const clusters = Bun.spawnSync([program, 'get', 'clusters', '-o', 'json']).stdout.toString();
if ((JSON.parse(clusters) as string[]).includes('kind')) {
  console.log('Cluster "kind" is up already; to start over: bin/hostport delete cluster');
} else {
  await prepareExample(example);
  run(['create', 'cluster', '--config', join(example, 'kind/config')]);
}
console.log("\nDeploying the how-to's three pods, each with hostPort: 80");
run(['run', '--', 'kubectl', 'apply', '-f', join(example, 'manifests/static')]);
console.log('\nWhat each node answers on port 80:\n');
// Exit status 1 says that not every hostPort answers, which is what the how-to starts from.
const { exitCode } = Bun.spawnSync([program, 'answers', '--settle', '30s'], {
  stdio: ['ignore', 'inherit', 'inherit'],
});
if (exitCode !== 0 && exitCode !== 1) process.exit(exitCode ?? 1);
if (exitCode === 0) {
  console.log('\nEvery hostPort answers. To start over: bin/hostport delete cluster && make lab');
} else {
  console.log(`
In a new lab, kind-worker2 has no portmap plugin and kind-worker3 no conflist. Mend them as the how-to does, from a shell in
the lab; the third worker's pod has to be made anew, because its network was made without the chain:

  bin/hostport shell
  sudo cp /opt/cni/bin/portmap /tmp/empty/bin/
  docker cp /tmp/cni/000-cilium-portmap.conflist kind-worker3:/etc/cni/net.d/000-cilium-portmap.conflist
  kubectl delete pod echo-kind-worker3
  kubectl apply -f examples/kind-cilium-portmap/manifests/static/echo-kind-worker3.yaml

and look again with "bin/hostport answers". Or watch the whole story told and checked, on a cluster of its own:

  bin/hostport delete cluster && bin/hostport tour`);
}

function run(words: string[]): void {
  const { exitCode: status } = Bun.spawnSync([program, ...words], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) process.exit(status);
}
