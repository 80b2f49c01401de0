/**
 * Real Cilium from its own chart, on Kubernetes' own programs in the lab, as `make real` builds them: what answers with the settings that
 * matter for hostPorts, and what the doctor says of it. `make test-real` runs it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type CiliumRow, keepReport } from '../../scripts/cilium-report.ts';
import type { Diagnosis } from '../../src/path/model/finding.ts';
import { cgroupHierarchies } from '../../src/sys/cgroups.ts';
import { eventually } from '../e2e/eventually.ts';
import { Lab, leftovers } from '../e2e/lab.ts';
import { type Answers, CiliumLab, HOWTO_PLACE, realCilium } from './cilium-lab.ts';

const real = await realCilium();
const { missing } = real;
const why = missing ? ` (${missing})` : '';

const CREATE_MS = 360_000;
const SCENARIO_MS = 360_000;
const ALL: Answers = { client: true, node: true, loopback: true, pod: true };
const NONE: Answers = { client: false, node: false, loopback: false, pod: false };

/** What Cilium's agent would set, and is the whole machine's. */
const MACHINE = ['kernel/unprivileged_bpf_disabled', 'kernel/timer_migration', 'net/core/bpf_jit_enable'];
const machine = () => MACHINE.map((name) => [name, readFileSync(`/proc/sys/${name}`, 'utf8')]);

describe.skipIf(missing !== undefined)(`real Cilium in the lab${why}`, () => {
  const lab = new Lab('real-cilium');
  const cilium = new CiliumLab(lab, real);
  const before = missing === undefined ? machine() : [];
  const cgroups = cgroupHierarchies().find(({ version }) => version === 2)?.mount ?? '';
  const ofNode = (node: string) => join(cgroups, `hostport-${lab.name}-${node}`);

  beforeAll(async () => {
    await cilium.create();
  }, CREATE_MS);

  afterAll(async () => {
    await keepReport(real.part('cilium-images').version, rows);
    await lab.delete();
    expect(leftovers(lab.name)).toEqual([]);
    const left = await cilium.cgroupsWithPrograms(cgroups);
    expect(left.filter((path) => path.includes(lab.name))).toEqual([]);
    expect(machine()).toEqual(before);
  }, CREATE_MS);

  const rows: CiliumRow[] = [];

  /** Notes for the report what the cluster is like with a setting; the test of that setting says what it must be. */
  async function seen(scenario: string): Promise<{ answers: Answers; diagnosis: Diagnosis }> {
    const answers = await cilium.answers();
    const diagnosis = await cilium.doctor();
    const findings = diagnosis.findings.map(({ code, severity }) => `${code} ${severity}`);
    rows.push({ scenario, answers, findings });
    return { answers, diagnosis };
  }

  /** Gives Cilium these values with no pod there, and creates the pod afterwards. */
  async function withValues(values: Record<string, string>, prepare?: () => Promise<void>): Promise<void> {
    await cilium.deletePod();
    await cilium.onWorker('rm', '-f', HOWTO_PLACE, `${HOWTO_PLACE}.cilium_bak`);
    await cilium.install(values);
    await prepare?.();
    await cilium.createPod();
  }

  async function isHealthy(scenario: string): Promise<Diagnosis> {
    // Where Cilium maps the ports itself, its agent does so some time after the pod is ready.
    await eventually('the hostPort to answer', async () => (await cilium.answers()).client);
    const { answers, diagnosis } = await seen(scenario);
    expect(answers).toEqual(ALL);
    const { findings, paths } = diagnosis;
    expect(findings).toEqual([]);
    const verdicts = paths.flatMap(({ stages }) => Object.values(stages).map(({ verdict }) => verdict));
    expect(verdicts).toEqual(verdicts.map(() => 'ok'));
    expect(verdicts.length).toBeGreaterThan(0);
    return diagnosis;
  }

  test(
    'chained by cni.chainingMode=portmap: everything answers, and nothing is found',
    async () => {
      await withValues({ 'cni.chainingMode': 'portmap' });
      const text = await cilium.kubectl(
        '-n',
        'kube-system',
        'get',
        'ds',
        'cilium',
        '-o',
        'jsonpath={..image}',
      );
      const images = [...new Set(text.split(' '))];
      expect(images).toEqual([`quay.io/cilium/cilium:${real.part('cilium-images').version}`]);
      expect(await cilium.confFiles()).toEqual(['05-cilium.conflist']);
      await isHealthy('`cni.chainingMode=portmap`');
    },
    SCENARIO_MS,
  );

  test(
    'what the agent would undo is not injected, and nothing is changed',
    async () => {
      const before = [await cilium.confFiles(), await cilium.podUid()];
      const refused = await lab.hostport('break', 'conflist-renamed', '--name', lab.name);
      expect(refused.code).toBe(1);
      expect(refused.stderr).toContain(`on ${cilium.worker}: an agent watches /etc/cni/net.d`);
      expect([await cilium.confFiles(), await cilium.podUid()]).toEqual(before);
    },
    SCENARIO_MS,
  );

  test(
    'the same with endpoint routes',
    async () => {
      await withValues({ 'cni.chainingMode': 'portmap', 'endpointRoutes.enabled': 'true' });
      expect(await cilium.onWorker('ip', 'route')).toMatch(/^10\.244\.\S+ dev lxc\S+/m);
      await isHealthy('`cni.chainingMode=portmap`, `endpointRoutes.enabled=true`');
    },
    SCENARIO_MS,
  );

  test(
    "the how-to's file with cni.exclusive=true: renamed at once, and found as what it is",
    async () => {
      await withValues({ 'cni.exclusive': 'true' }, async () => {
        await cilium.putHowTo();
        await eventually('the agent to rename it', async () => {
          const files = await cilium.confFiles();
          return files.join(' ') === '000-cilium-portmap.conflist.cilium_bak 05-cilium.conflist';
        });
      });
      const { answers, diagnosis } = await seen("the how-to's file, `cni.exclusive=true`");
      expect(answers).toEqual(NONE);
      const { findings, paths } = diagnosis;
      expect(findings.map(({ code, severity }) => `${code} ${severity}`)).toEqual([
        'conflist-renamed broken',
      ]);
      expect(findings[0]!.message).toEndWith('is not used; attached without portmap: echo');
      expect(paths[0]!.stages.attached.verdict).toBe('muted');
    },
    SCENARIO_MS,
  );

  test(
    'heal does not fight the agent, and names values that the chart of this version has',
    async () => {
      const [finding] = (await cilium.doctor()).findings;
      const named = [
        ...`${finding!.remedy}`.matchAll(/\b(?:cni|hostPort|nodePort)\.[A-Za-z]+|kubeProxyReplacement/g),
      ];
      const names = [...new Set(named.map(([name]) => name))];
      expect(names.sort()).toEqual(['cni.chainingMode', 'cni.exclusive']);
      const known = await cilium.chartValues();
      expect(names.filter((name) => !known.has(name))).toEqual([]);
      expect(known.has('hostPort.enabled')).toBe(false);
      const files = await cilium.confFiles();
      const healed = await lab.hostport('heal', '--name', lab.name, '--yes');
      expect(healed.stdout).toContain('by hand: ');
      expect(await cilium.confFiles()).toEqual(files);
    },
    SCENARIO_MS,
  );

  test(
    'the same file with cni.exclusive=false: it stays, and everything answers',
    async () => {
      await withValues({ 'cni.exclusive': 'false' }, () => cilium.putHowTo());
      expect(await cilium.confFiles()).toEqual(['000-cilium-portmap.conflist', '05-cilium.conflist']);
      await isHealthy("the how-to's file, `cni.exclusive=false`");
    },
    SCENARIO_MS,
  );

  test(
    'there conflist-renamed is injected, found, undone and healed',
    async () => {
      const files = await cilium.confFiles();
      await lab.must('break', 'conflist-renamed', '--name', lab.name);
      expect(await cilium.confFiles()).toEqual(['000-cilium-portmap.conflist.cilium_bak', '05-cilium.conf']);
      await eventually('the doctor to find it', async () => {
        const { findings } = await cilium.doctor();
        return findings.map(({ code }) => code).join() === 'conflist-renamed';
      });
      await lab.must('unbreak', '--name', lab.name);
      expect(await cilium.confFiles()).toEqual(files);
      // The pod was created without portmap.
      await lab.must('heal', '--name', lab.name, '--yes', '--restart');
      await eventually('nothing to be found', async () => {
        const { findings } = await cilium.doctor();
        return findings.length === 0 && (await cilium.answers()).client;
      });
      expect(await cilium.answers()).toEqual(ALL);
    },
    SCENARIO_MS,
  );

  test("no program is attached to the machine's cgroups, nor to a node's without kube-proxy replacement", async () => {
    const all = await cilium.cgroupsWithPrograms(cgroups);
    expect(all.filter((path) => path === cgroups || path.includes(lab.name))).toEqual([]);
    // Where the agents would attach them is the node's own.
    for (const node of [cilium.worker, `${lab.name}-control-plane`]) {
      const inode = await lab.inNode(node, 'stat', '-c', '%i', '/run/cilium/cgroupv2');
      expect(Number(inode.stdout)).toBe(statSync(ofNode(node)).ino);
    }
  });

  test(
    "kube-proxy replacement maps hostPorts itself: recognised, and its programs are on the nodes' own cgroups",
    async () => {
      const address = await cilium.kubectl(
        'get',
        'endpointslices',
        'kubernetes',
        '-o',
        'jsonpath={..addresses[0]}',
      );
      await withValues({ kubeProxyReplacement: 'true', k8sServiceHost: address, k8sServicePort: '6443' });
      const [path] = (await isHealthy('`kubeProxyReplacement=true`, no portmap')).paths;
      expect(path!.stages.configured.reason).toContain("Cilium's kube-proxy replacement maps the ports of");
      const attached = (await cilium.cgroupsWithPrograms(cgroups)).filter(
        (each) => each === cgroups || each.includes(lab.name),
      );
      expect(attached.sort()).toEqual([ofNode(`${lab.name}-control-plane`), ofNode(cilium.worker)]);
    },
    SCENARIO_MS,
  );

  test("the machine's settings are as they were", () => expect(machine()).toEqual(before));
});
