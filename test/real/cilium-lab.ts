/** What the tests on real Cilium share: a cluster of real Kubernetes with Cilium from its own chart, and what a hostPort does in it. */
import { join } from 'node:path';
import { builtPart, type Part } from '../../scripts/real/part.ts';
import { realParts } from '../../scripts/real/parts.ts';
import type { Diagnosis } from '../../src/path/model/finding.ts';
import { type CommandOptions, EXAMPLE, type Lab, labMissing, PROGRAM } from '../e2e/lab.ts';

const REAL = join(import.meta.dir, '../../real/cilium');
const NEEDED = ['kubernetes', 'helm', 'cilium-sources', 'cilium-tools', 'cilium-images'];
/** Most of it is the compilation of the agents' programs for the kernel, on all nodes at once. */
const ROLLOUT = '240s';
const COMMAND_MS = 300_000;

export interface RealCilium {
  /** A part of `make real`. */
  part: (name: string) => Part;
  /** Why the tests cannot run; undefined when they can. */
  missing: string | undefined;
}

export async function realCilium(): Promise<RealCilium> {
  const parts = (await realParts()).filter(({ name }) => NEEDED.includes(name));
  let missing = labMissing();
  for (const each of parts) {
    if (missing === undefined && (await builtPart(each)) === undefined)
      missing = `needs ${each.name} (make real)`;
  }
  return { part: (name) => parts.find((each) => each.name === name)!, missing };
}

/** The how-to's configuration, and where a node has it. */
export const HOWTO = join(EXAMPLE, 'kind/cni/000-cilium-portmap.conflist');
export const HOWTO_PLACE = '/etc/cni/net.d/000-cilium-portmap.conflist';

/** A control plane and a worker without a CNI. */
const KIND = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking: {disableDefaultCNI: true, podSubnet: 10.244.0.0/16}
nodes: [{role: control-plane}, {role: worker}]
`;

/** One pod with a hostPort. Under the name that another had, it is another. */
const POD = (node: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'echo' },
  spec: {
    nodeName: node,
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        name: 'echo',
        image: 'inanimate/echo-server',
        imagePullPolicy: 'IfNotPresent',
        ports: [{ containerPort: 8080, hostPort: 80 }],
      },
    ],
  },
});

/** Who gets an answer from port 80: a client outside the nodes, the node by its address, the node by 127.0.0.1, the pod itself. */
export interface Answers {
  client: boolean;
  node: boolean;
  loopback: boolean;
  pod: boolean;
}

export class CiliumLab {
  readonly lab: Lab;
  readonly worker: string;
  readonly #real: RealCilium;

  constructor(lab: Lab, real: RealCilium) {
    this.lab = lab;
    this.worker = `${lab.name}-worker`;
    this.#real = real;
  }

  /** Makes the cluster of a configuration without a CNI, with Cilium's images in its nodes. */
  async create(kind = KIND): Promise<void> {
    const { name } = this.lab;
    const kubernetes = this.#real.part('kubernetes').version;
    const config = this.lab.file('kind.yaml', kind);
    const images = join(this.#real.part('cilium-images').directory, 'images.tar');
    const create = ['create', 'cluster', '--name', name, '--config', config, '--kubernetes', kubernetes];
    await this.#ran([PROGRAM, ...create, '--node-memory', '3Gi']);
    await this.#ran([PROGRAM, 'load', 'image-archive', '--name', name, images]);
  }

  /** Installs Cilium with these values beside those of real/cilium, or changes them, and waits until its agents run with them. */
  async install(values: Readonly<Record<string, string>>): Promise<void> {
    const all = { rollOutCiliumPods: 'true', ...values };
    const set = Object.entries(all).flatMap(([name, value]) => ['--set', `${name}=${value}`]);
    const options = ['--namespace', 'kube-system', '--values', join(REAL, 'values.yaml'), ...set];
    await this.#helm('upgrade', '--install', 'cilium', this.#chart, ...options);
    const rollout = ['-n', 'kube-system', 'rollout', 'status', `--timeout=${ROLLOUT}`];
    await this.kubectl(...rollout, 'daemonset/cilium');
    await this.kubectl(...rollout, 'deployment/cilium-operator');
    await this.kubectl('wait', '--for=condition=Ready', 'node', '--all', '--timeout=120s');
  }

  /** Every name of a value that the chart knows, joined by dots. */
  async chartValues(): Promise<Set<string>> {
    const values: unknown = Bun.YAML.parse(await this.#helm('show', 'values', this.#chart));
    return new Set(namesIn(values));
  }

  /** Creates the pod and waits until it is ready. */
  async createPod(): Promise<void> {
    await this.#ran(['kubectl', 'apply', '-f', '-'], { stdin: JSON.stringify(POD(this.worker)) });
    await this.kubectl('wait', '--for=condition=Ready', 'pod/echo', '--timeout=90s');
  }

  /** Deletes it and waits until it is gone; its attachment is then, too. */
  async deletePod(): Promise<void> {
    await this.kubectl('delete', 'pod', 'echo', '--ignore-not-found', '--timeout=90s');
  }

  async podUid(): Promise<string> {
    return this.kubectl('get', 'pod', 'echo', '-o', 'jsonpath={.metadata.uid}');
  }

  /** Puts the how-to's configuration onto the worker, as a person would with an editor. */
  async putHowTo(): Promise<void> {
    const stdin = await Bun.file(HOWTO).text();
    const tee = ['exec', '-i', this.worker, '--', 'tee', HOWTO_PLACE];
    await this.#ran([PROGRAM, ...tee], { stdin });
  }

  async confFiles(): Promise<string[]> {
    return (await this.onWorker('ls', '/etc/cni/net.d')).split('\n').filter(Boolean);
  }

  async onWorker(...argv: string[]): Promise<string> {
    return this.#ran([PROGRAM, 'exec', this.worker, '--', ...argv]);
  }

  async answers(): Promise<Answers> {
    const address = await this.kubectl('get', 'node', this.worker, '-o', ADDRESS);
    const curl = (to: string) => ['curl', '-sS', '-o', '/dev/null', '-m', '5', `http://${to}`];
    const { lab, worker } = this;
    const all = [
      lab.inLab(...curl(address)),
      lab.inNode(worker, ...curl(address)),
      lab.inNode(worker, ...curl('127.0.0.1')),
      lab.inNode(worker, 'ip', 'netns', 'exec', await this.#podNamespace(), ...curl(address)),
    ];
    const [client, node, loopback, pod] = (await Promise.all(all)).map(({ code }) => code === 0);
    return { client: client!, node: node!, loopback: loopback!, pod: pod! };
  }

  /** Name of the network namespace of the one pod that has its own. */
  async #podNamespace(): Promise<string> {
    const names = (await this.onWorker('ls', '/run/netns')).split('\n').filter(Boolean);
    if (names.length !== 1)
      throw new Error(`${this.worker} has ${names.length} namespaces of pods: ${names.join(', ')}`);
    return names[0]!;
  }

  async doctor(): Promise<Diagnosis> {
    return JSON.parse((await this.lab.hostport('doctor', '--name', this.lab.name, '-o', 'json')).stdout);
  }

  /** The machine's cgroups to which programs are attached, by bpftool(8). */
  async cgroupsWithPrograms(root: string): Promise<string[]> {
    const tools = join(this.#real.part('cilium-tools').directory, 'root');
    const env = {
      LD_LIBRARY_PATH: ['usr/lib', 'lib'].map((name) => `${tools}/${name}/x86_64-linux-gnu`).join(':'),
    };
    const tree = await this.#ran([`${tools}/usr/sbin/bpftool`, 'cgroup', 'tree', root], { env });
    return tree.split('\n').filter((line) => line.startsWith('/'));
  }

  async kubectl(...words: string[]): Promise<string> {
    return this.#ran(['kubectl', ...words]);
  }

  get #chart(): string {
    return join(this.#real.part('cilium-sources').directory, 'sources/chart');
  }

  #helm(...words: string[]): Promise<string> {
    return this.#ran([join(this.#real.part('helm').directory, 'helm'), ...words]);
  }

  async #ran(argv: string[], options: CommandOptions = {}): Promise<string> {
    const ran = await this.lab.command(argv, { timeoutMs: COMMAND_MS, ...options });
    if (ran.code !== 0) throw new Error(`${argv.join(' ')}: exit ${ran.code}\n${ran.stdout}${ran.stderr}`);
    return ran.stdout;
  }
}

const ADDRESS = 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}';

function namesIn(value: unknown, path: readonly string[] = []): string[] {
  const own = path.length === 0 ? [] : [path.join('.')];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return own;
  return [...own, ...Object.entries(value).flatMap(([name, below]) => namesIn(below, [...path, name]))];
}
