/** The chart on Kubernetes' own programs, by Helm itself: installed, used by the doctor, upgraded, removed without a trace. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { builtPart } from '../../scripts/real/part.ts';
import { realPart } from '../../scripts/real/parts.ts';
import type { Diagnosis } from '../../src/path/model/finding.ts';
import { Lab, labMissing, PROGRAM, ROOT } from '../e2e/lab.ts';

const COMMAND_MS = 240_000;
const [kubernetes, helm] = await Promise.all(['kubernetes', 'helm'].map(realPart));
const unbuilt = (await Promise.all([kubernetes!, helm!].map(builtPart))).includes(undefined);
const missing = labMissing() ?? (unbuilt ? 'needs kubernetes and helm (make real)' : undefined);

/** Kinds of what a chart may create. */
const KINDS = [
  ...['daemonsets', 'pods', 'services', 'secrets', 'configmaps', 'serviceaccounts'],
  ...['clusterroles', 'clusterrolebindings', 'networkpolicies.networking.k8s.io'],
];

describe.skipIf(missing !== undefined)(`the chart on Kubernetes${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('real-chart');
  let before: string[];

  async function ran(argv: string[]): Promise<string> {
    const result = await lab.command(argv, { timeoutMs: COMMAND_MS });
    if (result.code !== 0) throw new Error(`${argv.join(' ')}: ${result.stdout}${result.stderr}`);
    return result.stdout;
  }
  const kubectl = (...words: string[]) => ran(['kubectl', ...words]);
  const chart = (verb: string, ...words: string[]) =>
    ran([join(helm!.directory, 'helm'), verb, 'hostport', ...words, '--namespace', 'kube-system', '--wait']);

  /** Names of all objects of the kinds, but for those that Kubernetes creates for itself at some time. */
  async function objects(): Promise<string[]> {
    const text = await kubectl('get', KINDS.join(','), '--all-namespaces', '-o', 'name');
    return text.split('\n').filter((name) => name !== '' && !/kube-root-ca|extension-apiserver/.test(name));
  }

  /** What the doctor does not know while no pod of its own has time to start. */
  async function unknownsOf(...words: string[]): Promise<Diagnosis['unknowns']> {
    const cluster = ['--kubeconfig', lab.env.KUBECONFIG!, '-o', 'json', '--timeout', '1ms'];
    const { stdout } = await lab.hostport('doctor', ...cluster, ...words);
    return (JSON.parse(stdout) as Diagnosis).unknowns;
  }

  /** Helm waits for all nodes but those that a DaemonSet may have unavailable. */
  const everywhere = () =>
    kubectl('-n', 'kube-system', 'rollout', 'status', 'daemonset/hostport-agent', '--timeout=90s');

  const daemonSetUid = () =>
    kubectl('-n', 'kube-system', 'get', 'daemonset', 'hostport-agent', '-o', 'jsonpath={.metadata.uid}');

  beforeAll(async () => {
    const create = ['create', 'cluster', '--name', lab.name, '--kubernetes', kubernetes!.version];
    await ran([PROGRAM, ...create]);
    await kubectl('wait', '--for=condition=Ready', 'node', '--all', '--timeout=60s');
    before = await objects();
  }, COMMAND_MS);
  afterAll(() => lab.delete(), 60_000);

  test(
    'it is installed, runs on every node, and the doctor asks it instead of creating pods',
    async () => {
      await chart('install', join(ROOT, 'deploy/chart'), '--timeout', '90s');
      await everywhere();
      // To probe from a node, an agent has to enter the namespaces of its pods, which one that observes may not.
      expect(await unknownsOf('--no-probe')).toEqual([]);
    },
    COMMAND_MS,
  );

  test(
    'an upgrade changes its mode in the same objects',
    async () => {
      const uid = await daemonSetUid();
      await chart('upgrade', join(ROOT, 'deploy/chart'), '--set', 'mode=heal', '--timeout', '90s');
      await everywhere();
      const pods = ['-n', 'kube-system', 'get', 'pods', '-l', 'hostport.dev/agent-mode=heal', '-o', 'name'];
      expect((await kubectl(...pods)).trim().split('\n')).toHaveLength(1);
      expect(await daemonSetUid()).toBe(uid);
      expect(await unknownsOf()).toEqual([]);
    },
    COMMAND_MS,
  );

  test(
    '"hostport agent uninstall" leaves it to Helm, by name',
    async () => {
      const { code, stderr } = await lab.hostport('agent', 'uninstall', '--kubeconfig', lab.env.KUBECONFIG!);
      expect(code).toBe(1);
      expect(stderr).toContain('is managed by Helm; use that');
    },
    COMMAND_MS,
  );

  test(
    'nothing of it is left',
    async () => {
      await chart('uninstall', '--timeout', '90s');
      await kubectl(
        '-n',
        'kube-system',
        'wait',
        '--for=delete',
        'pod',
        '-l',
        'app.kubernetes.io/name=hostport-agent',
        '--timeout=60s',
      );
      expect(await objects()).toEqual(before);
    },
    COMMAND_MS,
  );
});
