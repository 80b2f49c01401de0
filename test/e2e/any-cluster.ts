import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import type { Diagnosis } from '../../src/path/model/finding.ts';
import type { NodeReport } from '../../src/path/model/node-report.ts';
import { known } from '../../src/path/model/observed.ts';
import { readProcFile } from '../../src/sys/processes.ts';
import { healTests } from './any-heal.ts';
import { confinementOf } from './confinement.ts';
import { eventually } from './eventually.ts';
import { Lab, PROGRAM } from './lab.ts';
import { pidsIn } from './node-view.ts';

/** What the node's own daemons create and remove. */
const ITS_OWN = /^\/(?:run\/(?:containerd|hostport|runit|sv)|var\/lib\/etcd)/;
/** The label of the namespaces of runs. */
export const RUNS = 'hostport.dev/doctor-run';

/** The arguments of a process; none when it has ended. */
const argvOf = (pid: number) => readProcFile(`/proc/${pid}/cmdline`).split('\0');

const echo = (name: string, node: string) => `apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec:
  nodeName: ${node}
  terminationGracePeriodSeconds: 0
  containers:
  - name: echo
    image: inanimate/echo-server
    ports: [{containerPort: 8080, hostPort: 80}]
`;

/** A cluster of the lab to examine, and why it cannot be created. */
export interface AnyCluster {
  title: string;
  /** Of the cluster. */
  name: string;
  /** Further words of `create cluster`. */
  words: readonly string[];
  missing: string | undefined;
}

/** Creates a cluster with one control plane and these workers, on each of which a pod with a hostPort runs: `echo1` and so on. */
export async function createAnyCluster(
  lab: Lab,
  words: readonly string[],
  workers: readonly string[],
): Promise<void> {
  const config = lab.file(
    'config.yaml',
    `kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n${'- role: worker\n'.repeat(workers.length)}`,
  );
  const create = [PROGRAM, 'create', 'cluster', '--name', lab.name, '--config', config, ...words];
  expect(await lab.command(create, { timeoutMs: 240_000 })).toMatchObject({ code: 0 });
  const pods = workers.map((worker, index) => ({ name: `echo${index + 1}`, worker }));
  const manifests = pods.map(({ name, worker }) => echo(name, worker)).join('---\n');
  await lab.mustKubectl('apply', '-f', lab.file('pods.yaml', manifests));
  const ready = ['wait', '--for=condition=Ready', ...pods.map(({ name }) => `pod/${name}`)];
  await lab.mustKubectl(...ready, '--timeout=60s');
}

/**
 * A cluster of the lab, examined as any other: by its kubeconfig, from the machine's own network, where nothing of it can be reached but its API.
 */
export function anyCluster({ title, name, words, missing }: AnyCluster): void {
  const NODES = [`${name}-control-plane`, `${name}-worker`, `${name}-worker2`];
  const [, WORKER, WORKER2] = NODES as [string, string, string];

  describe.skipIf(missing !== undefined)(`${title}: any cluster${missing ? ` (${missing})` : ''}`, () => {
    const lab = new Lab(name);
    const doctor = (...words: string[]) =>
      lab.hostport('doctor', '--kubeconfig', lab.env.KUBECONFIG!, ...words);
    let before: Awaited<ReturnType<typeof state>>;

    beforeAll(async () => {
      await createAnyCluster(lab, words, [WORKER, WORKER2]);
      // Whoever examines a cluster for the first time has its image pulled, which stays in the runtime's store.
      const ran = await doctor();
      expect(ran).toMatchObject({ code: 0 });
      before = await state();
    }, 360_000);
    afterAll(() => lab.delete(), 60_000);

    const kubectl = (...words: string[]) => lab.mustKubectl(...words);

    const inNode = (node: string, ...argv: string[]) => lab.mustAskNode(node, ...argv);

    /** All that the doctor could leave behind: objects of the API by name, and of each node files, mounts, sandboxes, processes and rules. */
    async function state() {
      const kinds =
        'namespaces,pods,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,secrets,configmaps';
      const objects = await kubectl('get', kinds, '-A', '-o', 'name', '--sort-by=.metadata.name');
      const nodes = await Promise.all(
        NODES.map(async (node) => {
          const report = JSON.parse(
            await inNode(node, 'hostport', 'node-report', '--node', node),
          ) as NodeReport;
          // What is not ready any more, a kubelet removes when it gets to it.
          const sandboxes = known(report.sandboxes)
            ?.filter(({ ready }) => ready)
            .map(({ name }) => name)
            .sort();
          const find =
            'find /etc /opt /run /var/lib /tmp /root /usr/local -xdev -path /var/lib/containerd -prune -o';
          const files = await inNode(
            node,
            ...find.split(' '),
            ...['-not', '-type', 's', '-printf', '%p %s %m\n'],
          );
          const mounts = await inNode(node, 'awk', '{print $5}', '/proc/1/mountinfo');
          const rules = await inNode(node, 'iptables-save');
          return {
            node,
            sandboxes,
            files: lines(files)
              .filter((line) => !ITS_OWN.test(line))
              // Daemons write their files; configurations and plugins stay as they are.
              .map((line) => (/^\/(?:etc|opt)\//.test(line) ? line : line.replace(/ \d+ /, ' '))),
            mounts: lines(mounts),
            rules: rules.replace(/^#.*$|\[\d+:\d+\]/gm, ''),
          };
        }),
      );
      return { objects: lines(objects), nodes };
    }

    /** Waits until everything is as it was: a kubelet removes the directories of a pod after the pod. */
    async function expectUnchanged(): Promise<void> {
      let seen = before;
      const isSame = async () => {
        seen = await state();
        return Bun.deepEquals(seen, before);
      };
      // The comparison below says what differs.
      await eventually('everything to be as it was', isSame, { timeoutMs: 15_000 }).catch(() => {});
      expect(seen).toEqual(before);
    }

    const lines = (text: string) => text.split('\n').filter(Boolean).sort();
    const runs = async () => lines(await kubectl('get', 'namespaces', '-l', RUNS, '-o', 'name'));

    test('a healthy cluster ends with status 0, and nothing of the doctor is left', async () => {
      const ran = await doctor('-o', 'json');
      expect(ran.code).toBe(0);
      const { paths, findings, unknowns } = JSON.parse(ran.stdout) as Diagnosis;
      expect(paths.map(({ stages }) => stages.answered.verdict)).toEqual(['ok', 'ok']);
      expect({ findings, unknowns }).toEqual({ findings: [], unknowns: [] });
      await expectUnchanged();
    });

    test('nobody has to wait for the verdict until everything is removed', async () => {
      const started = lab.start([PROGRAM, 'doctor', '--kubeconfig', lab.env.KUBECONFIG!]);
      expect(await started.exited).toBe(0);
      const removal = started.printed.indexOf('removing what was created');
      expect(removal).toBeGreaterThan(started.printed.indexOf('DE declared'));
      expect(await runs()).toEqual([]);
    });

    test('its own context means the lab, which needs no pods; where that is named, it is a cluster as any other', async () => {
      const context = `kind-${lab.name}`;
      expect(await lab.hostport('doctor')).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(new RegExp(`^Cluster "${lab.name}" of the lab\\n\\n`)),
        stderr: '',
      });
      const refused = await lab.hostport('doctor', '--parallel', '2');
      expect(refused).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(`cannot use --parallel: cluster "${lab.name}" is examined from`),
      });
      const named = await lab.hostport('doctor', '--context', context, '--parallel', '2');
      expect(named.code).toBe(0);
      expect(named.stderr).toContain('examining nodes');
      expect(named.stdout).toStartWith(
        `Cluster "${lab.name}" of the lab, context "${context}" of ${lab.env.KUBECONFIG}\n\n`,
      );
      expect(await lab.hostport('doctor', '--context', context, '--cleanup')).toMatchObject({
        code: 0,
        stdout: 'nothing to remove\n',
      });
    });

    test('of chosen pods and nodes, only the nodes that hold them are examined', async () => {
      const planned = await doctor('--dry-run=client', '-o', 'json', '--pod', 'default/echo2');
      const { items } = JSON.parse(planned.stdout) as { items: { spec?: { nodeName?: string } }[] };
      expect(items.flatMap(({ spec }) => spec?.nodeName ?? [])).toEqual([WORKER2]);
      // Nobody else sends probes to a node that is examined alone.
      const alone = await doctor('--node', WORKER, '-o', 'json');
      expect(alone.code).toBe(2);
      const { paths, unknowns } = JSON.parse(alone.stdout) as Diagnosis;
      expect(unknowns).toEqual([]);
      expect(paths.map(({ node, stages }) => [node, stages.forwarded.verdict])).toEqual([[WORKER, 'ok']]);
      expect(paths[0]!.stages.answered.reason).toContain('not from another machine');
      expect(await doctor('-n', 'default', '-o', 'markdown')).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^## All 2 hostPorts work\./),
      });
      const none = await doctor('-n', 'default', '-l', 'app=none');
      expect(none.code).toBe(2);
      expect(none.stderr).toContain('cannot examine pods: none of ');
      expect(await runs()).toEqual([]);
    });

    test('an anonymous archive has the same verdicts, and no name of the cluster', async () => {
      const archive = `${lab.file('cluster', '')}.tar.gz`;
      const ran = await doctor('-o', 'json', '--save', archive, '--anonymise');
      const again = await lab.hostport('doctor', '--from', archive, '-o', 'json');
      expect([ran.code, again.code]).toEqual([0, 0]);
      const verdicts = ({ paths }: Diagnosis) => paths.map(({ stages }) => stages);
      const [plain, anonymous] = [ran, again].map(({ stdout }) => JSON.parse(stdout) as Diagnosis);
      expect(verdicts(anonymous!)).toEqual(verdicts(plain!));
      const unpacked = Bun.spawnSync(['tar', '-xzOf', archive]).stdout.toString();
      expect(unpacked).toContain('node-1');
      for (const named of [...NODES, 'echo1', 'echo2', '172.17.0.']) expect(unpacked).not.toContain(named);
    });

    test('of a broken cluster each cause is named, as by the lab itself', async () => {
      await lab.must('break', 'plugin-missing', '--node', WORKER, '--name', lab.name);
      await lab.must('break', 'mapping-missing', '--node', WORKER2, '--name', lab.name);
      try {
        const ran = await doctor('-o', 'json');
        expect(ran.code).toBe(1);
        const { findings } = JSON.parse(ran.stdout) as Diagnosis;
        expect(findings.map(({ code, subject }) => `${code} ${subject.node}`).sort()).toEqual([
          `mapping-missing ${WORKER2}`,
          `plugin-missing ${WORKER}`,
        ]);
      } finally {
        await lab.must('unbreak', '--name', lab.name);
      }
      expect(await runs()).toEqual([]);
    });

    test('a program is sent into an image of others that is on the nodes', async () => {
      const ran = await doctor('--image', 'busybox', '-o', 'json');
      expect({ code: ran.code, stderr: ran.stderr }).toMatchObject({ code: 0 });
      expect((JSON.parse(ran.stdout) as Diagnosis).unknowns).toEqual([]);
      expect(await runs()).toEqual([]);
    });

    test('an image that cannot be pulled leaves nodes unknown, with what the runtime says', async () => {
      const ran = await doctor('--image', 'registry.invalid/none:1', '-o', 'json');
      expect(ran.code).toBe(2);
      const { unknowns } = JSON.parse(ran.stdout) as Diagnosis;
      expect(unknowns.map(({ node }) => node).sort()).toEqual(NODES);
      for (const { why } of unknowns) expect(why).toMatch(/Image.*registry\.invalid\/none:1/s);
      expect(await runs()).toEqual([]);
    });

    test('cordoned and tainted nodes are examined', async () => {
      await kubectl('cordon', WORKER);
      await kubectl('taint', 'node', WORKER2, 'maintenance=now:NoExecute');
      try {
        const ran = await doctor('-o', 'json', '--no-probe');
        const { unknowns } = JSON.parse(ran.stdout) as Diagnosis;
        expect(unknowns).toEqual([]);
      } finally {
        await kubectl('uncordon', WORKER);
        await kubectl('taint', 'node', WORKER2, 'maintenance-');
        // The taint evicted it.
        await kubectl('apply', '-f', lab.file('echo2.yaml', echo('echo2', WORKER2)));
        await kubectl('wait', '--for=condition=Ready', 'pod/echo2', '--timeout=60s');
        before = await state();
      }
    });

    test('nodes that are objects only are unknown with the reason, and do not hold up others', async () => {
      const fake = (name: string, os: string, arch: string, ready: string) => ({
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name, labels: { 'kubernetes.io/os': os, 'kubernetes.io/arch': arch } },
        status: {
          conditions: [{ type: 'Ready', status: ready, reason: 'KubeletReady' }],
          nodeInfo: { operatingSystem: os, architecture: arch },
        },
      });
      const list = [fake('windows', 'windows', 'amd64', 'True'), fake('arm', 'linux', 'arm64', 'True')];
      const items = list.map(({ status, ...node }) => node);
      const nodes = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
      await kubectl('apply', '-f', lab.file('nodes.json', nodes));
      try {
        for (const { metadata, status } of list) {
          const patch = JSON.stringify({ status });
          await kubectl('patch', 'node', metadata.name, '--subresource=status', '-p', patch);
        }
        const ran = await doctor('-o', 'json', '--timeout', '10s');
        const { unknowns, paths } = JSON.parse(ran.stdout) as Diagnosis;
        expect(Object.fromEntries(unknowns.map(({ node, why }) => [node, why]))).toEqual({
          arm: expect.stringMatching(/its pod has not started: Pending.*waited 10 s/),
          windows: expect.stringContaining('only Linux nodes are examined'),
        });
        expect(paths.map(({ stages }) => stages.answered.verdict)).toEqual(['ok', 'ok']);
      } finally {
        await kubectl('delete', 'node', 'windows', 'arm');
        // Of DaemonSets: no kubelet ends them.
        for (const node of ['windows', 'arm']) {
          const their = ['-A', `--field-selector=spec.nodeName=${node}`];
          await kubectl('delete', 'pods', ...their, '--force', '--grace-period=0');
        }
      }
      expect(await runs()).toEqual([]);
    });

    test('the processes of its pods have the capabilities, the seccomp filter and the read-only root that are documented', async () => {
      const started = lab.start([PROGRAM, 'doctor', '--kubeconfig', lab.env.KUBECONFIG!]);
      let seen: ReturnType<typeof confinementOf> | undefined;
      let wanted: string[] | undefined;
      await eventually(
        'a pod of the run and its process',
        async () => {
          const [pid] = pidsIn(lab, WORKER, 'hostport').filter((one) => argvOf(one).includes('node-wait'));
          if (pid === undefined) return false;
          const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'utf8');
          seen = confinementOf(read('status'), read('mountinfo'));
          const { items } = JSON.parse(await kubectl('get', 'pods', '-A', '-l', RUNS, '-o', 'json'));
          wanted = items[0]?.spec.containers[0].securityContext.capabilities.add;
          return wanted !== undefined;
        },
        { intervalMs: 20 },
      );
      started.interrupt();
      await started.exited;
      const capabilities = wanted!.toSorted();
      expect(capabilities).toContain('DAC_READ_SEARCH');
      expect(seen).toMatchObject({
        ...{ effective: capabilities, bounding: capabilities },
        ...{ hasSeccomp: true, isRootReadOnly: true },
      });
      await expectUnchanged();
    });

    test('a Ctrl-C leaves nothing behind', async () => {
      const started = lab.start([PROGRAM, 'doctor', '--kubeconfig', lab.env.KUBECONFIG!]);
      await started.until(/examining nodes/);
      await eventually(
        'pods of the run',
        async () => (await kubectl('get', 'pods', '-A', '-l', RUNS, '-o', 'name')) !== '',
      );
      started.interrupt();
      expect(await started.exited).toBe(130);
      expect(started.printed).toContain('removing what was created');
      await expectUnchanged();
    });

    test('what a kill leaves behind is removed on request, and two runs at once do not hinder each other', async () => {
      const started = lab.start([PROGRAM, 'doctor', '--kubeconfig', lab.env.KUBECONFIG!]);
      await started.until(/examining nodes/);
      await eventually('the namespace of the run', async () => (await runs()).length > 0);
      started.kill();
      const [left] = await runs();
      const both = await Promise.all([doctor(), doctor()]);
      expect(both.map(({ code }) => code)).toEqual([0, 0]);
      expect(await runs()).toEqual([left!]);
      // When its pods have ended by themselves, the next run removes it.
      const name = left!.replace('namespace/', '');
      await kubectl('annotate', '--overwrite', 'namespace', name, 'hostport.dev/ends=2020-01-01T00:00:00Z');
      expect(await doctor('--no-probe')).toMatchObject({ code: 2 });
      await eventually('the namespace to go', async () => (await runs()).length === 0);

      const other = lab.start([PROGRAM, 'doctor', '--kubeconfig', lab.env.KUBECONFIG!]);
      await other.until(/examining nodes/);
      await eventually('the namespace of the run', async () => (await runs()).length > 0);
      other.kill();
      const [again] = await runs();
      expect(await doctor('--cleanup')).toMatchObject({
        code: 0,
        stdout: `removed ${again!.replace('/', ' ')}\n`,
      });
      expect(await doctor('--cleanup')).toMatchObject({ code: 0, stdout: 'nothing to remove\n' });
      await expectUnchanged();
    });

    test('a dry run prints what would be created, which the API accepts, and creates nothing', async () => {
      const ran = await doctor('--dry-run=client', '-o', 'yaml', '--work-namespace', 'default');
      expect(ran.code).toBe(0);
      const created = await kubectl(
        'create',
        '--dry-run=server',
        '-o',
        'name',
        '-f',
        lab.file('dry.yaml', ran.stdout),
      );
      expect(lines(created)).toHaveLength(NODES.length);
      expect(await runs()).toEqual([]);
    });

    test('without the right to create pods the diagnosis is that of the API, and says what is missing', async () => {
      await kubectl('create', 'serviceaccount', 'viewer');
      await kubectl(
        'create',
        'clusterrole',
        'viewer',
        '--verb=list',
        '--resource=nodes,pods,services,events',
      );
      await kubectl(
        'create',
        'clusterrolebinding',
        'viewer',
        '--clusterrole=viewer',
        '--serviceaccount=default:viewer',
      );
      try {
        const token = (await kubectl('create', 'token', 'viewer')).trim();
        const config = await kubectl('config', 'view', '--raw', '--minify', '--flatten', '-o', 'json');
        const as = JSON.parse(config);
        as.users = [{ name: as.users[0].name, user: { token } }];
        const path = lab.file('viewer.json', JSON.stringify(as));
        const ran = await lab.hostport('doctor', '--kubeconfig', path, '-o', 'json');
        expect(ran.code).toBe(2);
        expect(ran.stderr).toMatch(
          /warning: nodes are not examined: you may not create, delete, get namespaces; /,
        );
        const { unknowns, paths } = JSON.parse(ran.stdout) as Diagnosis;
        expect(paths.map(({ stages }) => stages.scheduled.verdict)).toEqual(['ok', 'ok']);
        expect(unknowns.filter(({ node }) => node !== undefined)).toHaveLength(NODES.length);
      } finally {
        await kubectl('delete', 'clusterrolebinding/viewer', 'clusterrole/viewer', 'serviceaccount/viewer');
      }
      await expectUnchanged();
    });

    test('the agent is asked where it is installed, and no pod is waited for', async () => {
      await lab.must('agent', 'install', '--name', lab.name, '--heal');
      try {
        // No pod starts in this time.
        const ran = await doctor('-o', 'json', '--timeout', '1ms');
        const { unknowns, paths } = JSON.parse(ran.stdout) as Diagnosis;
        expect(unknowns).toEqual([]);
        expect(paths.map(({ stages }) => stages.answered.verdict)).toEqual(['ok', 'ok']);
      } finally {
        await lab.must('agent', 'uninstall', '--name', lab.name);
      }
      expect(await runs()).toEqual([]);
    });

    healTests({ lab, nodes: [NODES[0]!, WORKER, WORKER2], kubectl, inNode, runs });
  });
}
