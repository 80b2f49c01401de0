/** What a lab must do whatever its control plane and its runtime are: the same tests, the same codes and verdicts. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { processesOf, pssBytes } from '../../bench/processes.ts';
import type { Pod } from '../../src/kube/types.ts';
import { requireRecord } from '../../src/lab/cluster/record.ts';
import { LabPlaces } from '../../src/lab/doctor/places.ts';
import type { Diagnosis } from '../../src/path/model/finding.ts';
import { applyObjects, createCatalogueCluster } from '../e2e/catalogue/cluster.ts';
import { everyFailure } from '../e2e/catalogue/every-failure.ts';
import { makeLanes } from '../e2e/catalogue/lane.ts';
import { untilHealthy } from '../e2e/catalogue/prove.ts';
import { eventually } from '../e2e/eventually.ts';
import { Lab, leftovers, PROGRAM, type Ran } from '../e2e/lab.ts';
import { recordFact } from './facts.ts';

const CREATE_MS = 240_000;
const PROVE_MS = 240_000;

/** What a cluster runs. */
export interface Subject {
  /** For people: `Kubernetes v1.36.1 on containerd 1.6`. */
  title: string;
  /** Names of its clusters begin with it. */
  prefix: string;
  /** Further words for `create cluster` and `tour`. */
  words: readonly string[];
  /** Why it cannot run here; undefined when it can. */
  missing: string | undefined;
  /** What its nodes report. */
  kubeletVersion: string;
  runtimeVersion: RegExp;
}

/** Declares the tests of a subject. */
export function acceptance(subject: Subject): void {
  const { title, prefix, words, missing } = subject;
  describe.skipIf(missing !== undefined)(named(subject, 'a lab'), () => everyday(subject));

  everyFailure({
    title: `${title}: every failure`,
    cluster: `${prefix}-catalogue`,
    isOnPages: false,
    missing,
    words,
    createMs: CREATE_MS,
    proveMs: PROVE_MS,
  });

  describe.skipIf(missing !== undefined)(named(subject, 'hostport tour'), () => {
    test(
      'meets every expectation of the how-to, and leaves nothing behind',
      async () => {
        const lab = new Lab(`${prefix}-tour`);
        const ran = await lab.command([PROGRAM, 'tour', ...words], { timeoutMs: CREATE_MS });
        expect(ran.stdout).toMatch(/^(\d+) of \1 expectations met$/m);
        expect(ran.code).toBe(0);
        expect(leftovers('kind')).toEqual([]);
        await lab.delete();
      },
      CREATE_MS,
    );
  });
}

export function named({ title, missing }: Subject, what: string): string {
  return `${title}: ${what}${missing === undefined ? '' : ` (${missing})`}`;
}

/** What kubectl is asked to do one after another, and what it prints. */
const VERBS: readonly (readonly [words: string, prints: RegExp])[] = [
  ['create deployment web --image=inanimate/echo-server --replicas=2', /deployment.apps\/web created/],
  ['rollout status deployment/web --timeout=60s', /successfully rolled out/],
  ['scale deployment/web --replicas=1', /deployment.apps\/web scaled/],
  ['get deployment web -o jsonpath={.spec.replicas}', /^1$/],
  ['label deployment web tier=front', /deployment.apps\/web labeled/],
  ['annotate deployment web note=mine', /deployment.apps\/web annotated/],
  ['patch deployment web --type=json -p [{"op":"add","path":"/metadata/labels/a","value":"b"}]', /patched/],
  ['patch deployment web --type=merge -p {"metadata":{"labels":{"a":null}}}', /patched/],
  ['patch deployment web -p {"spec":{"minReadySeconds":1}}', /patched/],
  ['get deployments -l tier=front,!a -o name', /^deployment.apps\/web\n$/],
  ['describe deployment web', /Replicas:\s+1 desired/],
  ['expose deployment web --port=80 --target-port=8080', /service\/web exposed/],
  ['rollout restart deployment/web', /deployment.apps\/web restarted/],
  ['rollout status deployment/web --timeout=60s', /successfully rolled out/],
  ['get events --field-selector reason=Scheduled', /Successfully assigned default\/web-/],
  ['delete service web', /service "web" deleted/],
  ['delete deployment web', /deployment.apps "web" deleted/],
];

function everyday({ title, prefix, words, kubeletVersion, runtimeVersion }: Subject): void {
  const lab = new Lab(prefix);
  const control = `${prefix}-control-plane`;
  const worker = `${prefix}-worker`;
  const nodes = [control, worker, `${worker}2`];
  const interrupted = new AbortController();

  async function kubectl(...argv: string[]): Promise<string> {
    const ran = await lab.kubectl(argv);
    if (ran.code !== 0) throw new Error(`kubectl ${argv.join(' ')}: exit ${ran.code}\n${ran.stderr}`);
    return ran.stdout;
  }

  beforeAll(async () => {
    const began = performance.now();
    const workers = await createCatalogueCluster(lab, 2, words.length === 0 ? undefined : words);
    recordFact(title, 'three nodes Ready, s', (performance.now() - began) / 1000);
    await using places = new LabPlaces(await requireRecord(lab.name), PROGRAM);
    const lanes = await makeLanes(places, lab, workers, interrupted.signal);
    await Promise.all(lanes.map((lane) => untilHealthy(lane)));
  }, CREATE_MS);

  afterAll(async () => {
    interrupted.abort(new Error('the test is over'));
    await lab.delete();
    expect(leftovers(lab.name)).toEqual([]);
  }, CREATE_MS);

  test('has nodes of its versions, which the record names', async () => {
    const info = async (field: string) =>
      (await kubectl('get', 'nodes', '-o', `jsonpath={.items[*].status.nodeInfo.${field}}`)).split(' ');
    expect(await info('kubeletVersion')).toEqual(nodes.map(() => kubeletVersion));
    for (const version of await info('containerRuntimeVersion')) expect(version).toMatch(runtimeVersion);
    const { engine } = await requireRecord(lab.name);
    expect(engine?.kind).toBe(words.includes('--kubernetes') ? 'kubernetes' : 'own');
  });

  test('keeps pods off its control plane, and lets a kubelet do what is its own only', async () => {
    // Its own taint for a node that was not ready goes a moment after it is.
    await eventually('its control plane to have the taint of one, and no other', async () => {
      const taints = ['get', 'node', control, '-o', 'jsonpath={.spec.taints[*].key}'];
      return (await kubectl(...taints)) === 'node-role.kubernetes.io/control-plane';
    });
    const label = `label node ${worker} node-role.kubernetes.io/mine= --kubeconfig=/etc/kubernetes/kubelet.conf`;
    const refused = await lab.inNode(worker, 'kubectl', ...label.split(' '));
    expect(refused.stderr).toContain('is not allowed to modify labels: node-role.kubernetes.io/mine');
  });

  test('has pods that answer, and that kubectl can log and enter', async () => {
    await lab.must('answers', '--name', lab.name, '--settle', '20s');
    expect(await kubectl('logs', 'echo', '-n', `on-${worker}`)).not.toBe('');
    expect(await kubectl('exec', 'echo', '-n', `on-${worker}`, '--', 'hostname')).toBe('echo\n');
  });

  test(
    "does what kubectl's verbs say",
    async () => {
      for (const [verb, prints] of VERBS) expect(await kubectl(...verb.split(' '))).toMatch(prints);
    },
    CREATE_MS,
  );

  test('takes some memory', () => {
    const bytes = processesOf(lab.name).reduce((sum, { pid }) => sum + pssBytes(pid), 0);
    recordFact(title, 'memory of three nodes, MB', bytes / 1e6);
    expect(bytes).toBeGreaterThan(0);
  });

  test('has an agent that writes a mapping again', async () => {
    const watch = `hostport heal --watch --kubeconfig /etc/kubernetes/kubelet.conf`;
    const agent = lab.start([PROGRAM, 'exec', worker, '--', ...watch.split(' ')]);
    try {
      await agent.until(new RegExp(`watching ${worker}`));
      const flushed = await lab.inNode(worker, 'iptables', '-t', 'nat', '-F', 'CNI-HOSTPORT-DNAT');
      expect(flushed.stderr).toBe('');
      await agent.until(/mapping-missing .*: healed/);
      await lab.must('answers', '--name', lab.name, '--settle', '20s');
    } finally {
      // A signal to the command here would not reach the one in the node.
      await lab.inNode(worker, 'pkill', '-INT', '-f', '^[^ ]*hostport heal --watch');
      await agent.exited;
    }
  });

  test(
    'survives that each of its programs is killed',
    async () => {
      for (const node of nodes) {
        const services = await lab.inNode(node, 'sh', '-c', 'cd /etc/sv && echo kube* containerd');
        for (const name of services.stdout.trim().split(' '))
          await lab.inNode(node, 'sv', 'kill', `/etc/sv/${name}`);
      }
      await eventually(
        'the API server to be back',
        async () => (await lab.kubectl(['get', '--raw', '/readyz'])).stdout === 'ok',
      );
      await kubectl('wait', '--for=condition=Ready', 'node', '--all', '--timeout=60s');
      await lab.must('answers', '--name', lab.name, '--settle', '20s');
    },
    CREATE_MS,
  );

  test('has a doctor for which each refused read is an unknown', async () => {
    const reports = join(lab.scratch, 'reports');
    mkdirSync(reports);
    for (const node of nodes) {
      const { stdout } = await lab.inNode(node, 'hostport', 'node-report', '--node', node);
      writeFileSync(join(reports, `${node}.json`), stdout);
    }
    const admin = await Bun.file(lab.env.KUBECONFIG!).text();
    /** The diagnosis of a service account of its own with this role, once that is obeyed. */
    async function seenBy(account: string, role: string): Promise<Ran> {
      await kubectl('create', 'serviceaccount', account);
      const binding = ['create', 'clusterrolebinding', account, `--clusterrole=${role}`];
      await kubectl(...binding, `--serviceaccount=default:${account}`);
      const token = (await kubectl('create', 'token', account)).trim();
      const config = lab.file(`${account}.kubeconfig`, admin.replace(/token: \S+/, `token: ${token}`));
      const can = ['auth', 'can-i', 'list', 'pods', '-A', '--kubeconfig', config];
      if (role !== 'nothing')
        await eventually('the role to be obeyed', async () => (await lab.kubectl(can)).stdout === 'yes\n');
      return lab.hostport('doctor', '--kubeconfig', config, '--reports', reports, '-o', 'json');
    }
    const summary = ({ stdout }: Ran) => {
      const { findings, paths, unknowns } = JSON.parse(stdout) as Diagnosis;
      return {
        findings,
        refused: unknowns
          .filter(({ why }) => why.includes('forbidden'))
          .map(({ what }) => what)
          .sort(),
        verdicts: new Set(
          paths.flatMap(({ stages }) =>
            Object.entries(stages).map(([stage, { verdict }]) => `${stage} ${verdict}`),
          ),
        ),
      };
    };
    const whole = await lab.hostport(
      'doctor',
      '--kubeconfig',
      lab.env.KUBECONFIG!,
      '--reports',
      reports,
      '-o',
      'json',
    );
    expect(whole.stderr).toBe('');
    const { verdicts } = summary(whole);
    // Without probes.
    expect([...verdicts].filter((each) => !each.endsWith(' ok'))).toEqual(['answered unknown']);
    expect(summary(await seenBy('viewer', 'view'))).toEqual({ findings: [], refused: ['nodes'], verdicts });
    await kubectl('create', 'clusterrole', 'pods-only', '--verb=get,list', '--resource=pods');
    const few = await seenBy('of-pods', 'pods-only');
    expect(few.code).toBe(2);
    expect(summary(few)).toEqual({
      findings: [],
      refused: ['events', 'network policies', 'nodes', 'services'],
      verdicts,
    });
    await kubectl('create', 'clusterrole', 'nothing', '--verb=get', '--resource=configmaps');
    const none = await seenBy('of-nothing', 'nothing');
    expect(none).toMatchObject({ code: 2, stdout: '' });
    expect(none.stderr).toContain('pods is forbidden');
  });

  test.each(['Deployment', 'DaemonSet'])(
    'breaks a pod of a %s, and has it again under its name',
    async (kind) => {
      const of = { app: 'held' };
      const template = {
        metadata: { labels: of },
        spec: {
          terminationGracePeriodSeconds: 1,
          containers: [
            {
              name: 'echo',
              image: 'inanimate/echo-server',
              imagePullPolicy: 'IfNotPresent',
              ports: [{ containerPort: 8080, hostPort: 8099 }],
            },
          ],
        },
      };
      const replicas = kind === 'Deployment' ? { replicas: 2 } : {};
      const spec = { ...replicas, selector: { matchLabels: of }, template };
      const controller = {
        apiVersion: 'apps/v1',
        kind,
        metadata: { name: 'held', namespace: 'default' },
        spec,
      };
      await applyObjects(lab, [controller]);
      await kubectl('rollout', 'status', `${kind}/held`, '--timeout=60s');
      const held = async () => {
        const { items } = JSON.parse(await kubectl('get', 'pods', '-l', 'app=held', '-o', 'json'));
        return (items as Pod[]).map(({ metadata }) => ({ name: metadata!.name!, uid: metadata!.uid! }));
      };
      const before = await held();
      expect(before).toHaveLength(2);
      const { name } = before[0]!;
      await lab.must('break', 'plugin-missing', '--name', lab.name, '--pod', name);
      await eventually('the doctor to find that', async () => {
        const { stdout } = await lab.hostport('doctor', '--name', lab.name, '-o', 'json');
        const { findings } = JSON.parse(stdout) as Diagnosis;
        return findings.map(({ code }) => code).join() === 'plugin-missing';
      });
      await lab.must('unbreak', '--name', lab.name);
      await kubectl('wait', '--for=condition=Ready', 'pod', '-l', 'app=held', '--timeout=60s');
      await kubectl('rollout', 'status', `${kind}/held`, '--timeout=60s');
      const after = await held();
      expect(after.map((pod) => pod.name).sort()).toEqual(before.map((pod) => pod.name).sort());
      const isSame = (pod: { uid: string }) => before.some(({ uid }) => uid === pod.uid);
      expect(after.filter((pod) => !isSame(pod)).map((pod) => pod.name)).toEqual([name]);
      await kubectl('delete', kind, 'held', '--timeout=60s');
      await kubectl('wait', '--for=delete', 'pod', '-l', 'app=held', '--timeout=60s');
    },
    CREATE_MS,
  );

  test('is found healthy', async () => {
    const ran = await lab.hostport('doctor', '--name', lab.name, '-o', 'json');
    expect((JSON.parse(ran.stdout) as Diagnosis).findings).toEqual([]);
    expect(ran.code).toBe(0);
  });
}
