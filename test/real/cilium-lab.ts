/** What the tests on real Cilium share: a cluster of real Kubernetes with Cilium from its own chart, and what a hostPort does in it. */
import { join } from 'node:path';
import { builtPart, type Part } from '../../scripts/real/part.ts';
import { realParts } from '../../scripts/real/parts.ts';
import { applyObjects, ECHO, echoPod } from '../e2e/catalogue/cluster.ts';
import { eventually } from '../e2e/eventually.ts';
import { EXAMPLE, type Lab, labMissing } from '../e2e/lab.ts';

const REAL = join(import.meta.dir, '../../real/cilium');
const NEEDED = ['kubernetes', 'helm', 'cilium-sources', 'cilium-images'];
/** Compiling the agent's programs for the kernel takes most of it, on all nodes at once. */
const ROLLOUT = '300s';

/** What `make real` has built for them, by name; with the reason why they cannot run. */
export async function ciliumParts(): Promise<{ part: (name: string) => Part; missing: string | undefined }> {
  const parts = (await realParts()).filter(({ name }) => NEEDED.includes(name));
  const part = (name: string) => parts.find((each) => each.name === name)!;
  let missing = labMissing();
  for (const each of parts) {
    if (missing === undefined && (await builtPart(each)) === undefined)
      missing = `needs ${each.name} (make real)`;
  }
  return { part, missing };
}

/** The how-to's configuration, and where a node has it. */
export const HOWTO = join(EXAMPLE, 'kind/cni/000-cilium-portmap.conflist');
export const HOWTO_PLACE = '/etc/cni/net.d/000-cilium-portmap.conflist';

/** A lab with Cilium installed by Helm. */
export class CiliumLab {
  readonly lab: Lab;
  readonly #part: (name: string) => Part;
  readonly workers: readonly string[];

  constructor(lab: Lab, part: (name: string) => Part) {
    this.lab = lab;
    this.#part = part;
    this.workers = [`${lab.name}-worker`, `${lab.name}-worker2`];
  }

  /** The cluster, without a CNI, with Cilium's images in its nodes. */
  async create(): Promise<void> {
    await this.#must([
      'create',
      'cluster',
      '--name',
      this.lab.name,
      '--config',
      join(REAL, 'kind.yaml'),
      '--kubernetes',
      this.#part('kubernetes').version,
      '--node-memory',
      '2Gi',
    ]);
    await this.#must([
      'load',
      'image-archive',
      '--name',
      this.lab.name,
      join(this.#part('cilium-images').directory, 'images.tar'),
    ]);
  }

  /** Installs Cilium with these values on top of those of real/cilium, or changes them, and waits until its agents run with them. */
  async install(values: Readonly<Record<string, string>>): Promise<void> {
    const helm = join(this.#part('helm').directory, 'helm');
    const chart = join(this.#part('cilium-sources').directory, 'sources/chart');
    const set = Object.entries({
      rollOutCiliumPods: 'true',
      'operator.rollOutPods': 'true',
      ...values,
    }).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
    await this.#ran([
      helm,
      'upgrade',
      '--install',
      'cilium',
      chart,
      '--namespace',
      'kube-system',
      '--values',
      join(REAL, 'values.yaml'),
      ...set,
    ]);
    await this.kubectl('-n', 'kube-system', 'rollout', 'status', 'daemonset/cilium', `--timeout=${ROLLOUT}`);
    await this.kubectl(
      '-n',
      'kube-system',
      'rollout',
      'status',
      'deployment/cilium-operator',
      `--timeout=${ROLLOUT}`,
    );
    await this.kubectl('wait', '--for=condition=Ready', 'node', '--all', '--timeout=120s');
  }

  /** One echo pod with hostPort 80 on each worker, created now. */
  async createPods(): Promise<void> {
    const namespaces = this.workers.map((node) => ({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: `on-${node}` },
    }));
    await applyObjects(this.lab, namespaces);
    await applyObjects(
      this.lab,
      this.workers.map((node) => echoPod(`on-${node}`, node)),
    );
    for (const node of this.workers)
      await this.kubectl('-n', `on-${node}`, 'wait', '--for=condition=Ready', `pod/${ECHO}`, '--timeout=90s');
  }

  /** Removes them, and waits until their nodes have nothing of them. */
  async deletePods(): Promise<void> {
    for (const node of this.workers)
      await this.kubectl('-n', `on-${node}`, 'delete', 'pod', ECHO, '--ignore-not-found', '--timeout=90s');
    for (const node of this.workers) {
      await eventually(`${node} to have no sandbox of an echo pod`, async () => {
        const pods = await this.lab.inNode(node, 'crictl-pods');
        return pods.stdout === '';
      });
    }
  }

  async kubectl(...words: string[]): Promise<string> {
    return this.#ran(['kubectl', ...words]);
  }

  async #must(words: string[]): Promise<string> {
    return this.lab.must(...words);
  }

  async #ran(argv: string[]): Promise<string> {
    const ran = await this.lab.command(argv, { timeoutMs: 400_000 });
    if (ran.code !== 0) throw new Error(`${argv.join(' ')}: exit ${ran.code}\n${ran.stdout}${ran.stderr}`);
    return ran.stdout;
  }
}
