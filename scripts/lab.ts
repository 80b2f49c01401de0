/**
 * `make lab`: creates the how-to's cluster (or uses the one that is up), deploys its three pods, and shows what each answers and
 * what the doctor says. Two of the three are broken on purpose: that is where the how-to begins. Exit status 0 when all of this was
 * shown.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { listClusters, requireRecord } from '../src/lab/cluster/record.ts';
import { prepareExample } from '../src/lab/tour/example.ts';
import { untilPluginsAreThere } from '../src/lab/tour/plugins-there.ts';
import { realExec } from '../src/sys/exec.ts';
import { captureForeground, foreground } from '../src/sys/foreground.ts';
import { messageOf } from '../src/util/errors.ts';

const NODES = ['kind-control-plane', 'kind-worker', 'kind-worker2', 'kind-worker3'];
const INTERRUPTED = [130, 143, 129];

const root = join(import.meta.dir, '..');
const program = join(root, 'bin/hostport');
const example = join(root, 'examples/kind-cilium-portmap');
/** The doctor's page of the lab; `make clean` removes it. */
const page = join(root, 'dist/lab.html');

/** Runs the program on this terminal. It receives Ctrl-C itself, and clears up; this script only waits. */
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

/** Checks that the cluster that is up is the how-to's. */
async function useRunning(): Promise<void> {
  const { nodes } = await requireRecord('kind');
  const names = nodes.map(({ name }) => name);
  if (names.join() !== NODES.join()) {
    throw new Error(
      `cannot use the running cluster "kind": it is not the how-to's, its nodes are ${names.join(', ')}; delete it first: bin/hostport delete cluster`,
    );
  }
  console.log('Cluster "kind" is already up: deploying again. To start over: bin/hostport delete cluster');
}

function interrupted(status: number): number {
  if (INTERRUPTED.includes(status)) {
    console.log(
      '\nInterrupted: cluster "kind" is up. To continue: make lab; to delete it: bin/hostport delete cluster',
    );
  }
  return status;
}

/** Writes what the doctor says as a page. */
async function drawPage(): Promise<number> {
  const { status, stdout } = await captureForeground([program, 'doctor', '--name', 'kind', '-o', 'html'], {
    env: process.env,
    stdin: 'ignore',
  });
  if (status !== 0 && status !== 1) return status;
  // Whoever has the page open never reads half of it.
  writeFileSync(`${page}.new`, stdout);
  renameSync(`${page}.new`, page);
  return 0;
}

async function lab(): Promise<number> {
  if ((await listClusters()).includes('kind')) await useRunning();
  else {
    const status = await bringUp();
    if (status !== 0) return status;
  }
  await untilPluginsAreThere(NODES.slice(1), realExec);
  console.log("\nDeploying the how-to's three pods, each with hostPort: 80");
  const applied = await hostport('run', '--', 'kubectl', 'apply', '-f', join(example, 'manifests/static'));
  if (applied !== 0) return interrupted(applied);
  console.log('\nWhat each node answers on port 80:\n');
  const answered = await hostport('answers', '--name', 'kind', '--settle', '30s');
  // 1 means that not every hostPort answers, which is where the how-to starts; anything else is a failure.
  if (answered !== 0 && answered !== 1) return interrupted(answered);
  console.log('\nWhat the doctor says:\n');
  const diagnosed = await hostport('doctor', '--name', 'kind');
  if (diagnosed !== 0 && diagnosed !== 1) return interrupted(diagnosed);
  console.log(diagnosed === 0 ? ALL_ANSWER : HOW_TO_FIX);
  const drawn = await drawPage();
  if (drawn !== 0) return interrupted(drawn);
  console.log(SEE_IT);
  // The last line, as the README says.
  console.log(`\nThe same as a page, for a browser: ${pathToFileURL(page)}`);
  return 0;
}

const ALL_ANSWER = '\nEvery hostPort answers. To start over: bin/hostport delete cluster && make lab';
const HOW_TO_FIX = `
In a new lab, kind-worker2 has no portmap plugin and kind-worker3 no conflist. To fix both without recreating a pod:

  bin/hostport heal --yes

Or fix them by hand as the how-to does, from a shell in the lab; then the third worker's pod must be recreated:

  bin/hostport shell
  sudo cp /opt/cni/bin/portmap /tmp/empty/bin/
  docker cp /tmp/cni/000-cilium-portmap.conflist kind-worker3:/etc/cni/net.d/000-cilium-portmap.conflist
  kubectl delete pod echo-kind-worker3
  kubectl apply -f examples/kind-cilium-portmap/manifests/static/echo-kind-worker3.yaml

Or replay the whole how-to, checked step by step, on a cluster of its own:

  bin/hostport delete cluster && bin/hostport tour`;

const SEE_IT = `
To see it live in a browser, where buttons break and heal it, too:

  bin/hostport ui`;

try {
  process.exitCode = await lab();
} catch (error) {
  process.stderr.write(`error: ${messageOf(error)}\n`);
  process.exitCode = 2;
}
