/**
 * `make lab`: brings the how-to's cluster up (or takes the one that is up), deploys its three pods and shows what each
 * answers and what the doctor says. Two of the three are broken on purpose: that is where the how-to begins. Exit status 0 when it
 * could be shown.
 */
import { join } from 'node:path';
import { listClusters, requireRecord } from '../src/lab/cluster/record.ts';
import { prepareExample } from '../src/lab/tour/example.ts';
import { foreground } from '../src/sys/foreground.ts';
import { messageOf } from '../src/util/errors.ts';

const NODES = ['kind-control-plane', 'kind-worker', 'kind-worker2', 'kind-worker3'];
const INTERRUPTED = [130, 143, 129];

const root = join(import.meta.dir, '..');
const program = join(root, 'bin/hostport');
const example = join(root, 'examples/kind-cilium-portmap');

/** Runs the program on this terminal. It has Ctrl-C from there itself, and clears up; this script only waits. */
function hostport(...words: string[]): Promise<number> {
  return foreground([program, ...words], { stdin: 'ignore' });
}

async function bringUp(): Promise<number> {
  const undo = await prepareExample(example);
  const status = await hostport('create', 'cluster', '--config', join(example, 'kind/config'));
  if (status === 0) return 0;
  await undo();
  if (INTERRUPTED.includes(status)) {
    console.log('\nInterrupted: there is no cluster, and nothing of it is left. To start over: make lab');
  }
  return status;
}

/** Takes the cluster that is up, if it is the how-to's. */
async function takeUp(): Promise<void> {
  const { nodes } = await requireRecord('kind');
  const names = nodes.map(({ name }) => name);
  if (names.join() !== NODES.join()) {
    throw new Error(
      `a cluster "kind" is up that is not the how-to's: it has ${names.join(', ')}; delete it first: bin/hostport delete cluster`,
    );
  }
  console.log('Cluster "kind" is up already: deploying again. To start over: bin/hostport delete cluster');
}

function interrupted(status: number): number {
  if (INTERRUPTED.includes(status)) {
    console.log(
      '\nInterrupted: cluster "kind" is up. To go on: make lab; to remove it: bin/hostport delete cluster',
    );
  }
  return status;
}

async function lab(): Promise<number> {
  if ((await listClusters()).includes('kind')) await takeUp();
  else {
    const status = await bringUp();
    if (status !== 0) return status;
  }
  console.log("\nDeploying the how-to's three pods, each with hostPort: 80");
  const applied = await hostport('run', '--', 'kubectl', 'apply', '-f', join(example, 'manifests/static'));
  if (applied !== 0) return interrupted(applied);
  console.log('\nWhat each node answers on port 80:\n');
  const answered = await hostport('answers', '--settle', '30s');
  // 1 says that not every hostPort answers, which is what the how-to starts from; anything else that it could not be told.
  if (answered !== 0 && answered !== 1) return interrupted(answered);
  console.log('\nWhat the doctor says:\n');
  const told = await hostport('doctor');
  if (told !== 0 && told !== 1) return interrupted(told);
  console.log(told === 0 ? ALL_ANSWER : HOW_TO_MEND);
  return 0;
}

const ALL_ANSWER = '\nEvery hostPort answers. To start over: bin/hostport delete cluster && make lab';
const HOW_TO_MEND = `
In a new lab, kind-worker2 has no portmap plugin and kind-worker3 no conflist. Have both mended, with no pod made again:

  bin/hostport heal --yes

Or mend them by hand as the how-to does, from a shell in the lab; then the third worker's pod has to be made anew:

  bin/hostport shell
  sudo cp /opt/cni/bin/portmap /tmp/empty/bin/
  docker cp /tmp/cni/000-cilium-portmap.conflist kind-worker3:/etc/cni/net.d/000-cilium-portmap.conflist
  kubectl delete pod echo-kind-worker3
  kubectl apply -f examples/kind-cilium-portmap/manifests/static/echo-kind-worker3.yaml

Or watch the whole story told and checked, on a cluster of its own:

  bin/hostport delete cluster && bin/hostport tour`;

try {
  process.exitCode = await lab();
} catch (error) {
  process.stderr.write(`ERROR: ${messageOf(error)}\n`);
  process.exitCode = 2;
}
