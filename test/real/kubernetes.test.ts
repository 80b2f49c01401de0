/**
 * The lab on Kubernetes' own programs, as `make real` builds them: pods run and their hostPorts answer, the doctor finds nothing on what is
 * healthy, and each failure as exactly what it is, and a deletion leaves nothing. `make test-real` runs it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { builtPart } from '../../scripts/real/part.ts';
import { realPart } from '../../scripts/real/parts.ts';
import { requireRecord } from '../../src/lab/cluster/record.ts';
import { LabPlaces } from '../../src/lab/doctor/places.ts';
import type { Diagnosis } from '../../src/path/model/finding.ts';
import { createCatalogueCluster } from '../e2e/catalogue/cluster.ts';
import { everyFailure } from '../e2e/catalogue/every-failure.ts';
import { makeLanes } from '../e2e/catalogue/lane.ts';
import { untilHealthy } from '../e2e/catalogue/prove.ts';
import { eventually } from '../e2e/eventually.ts';
import { Lab, labMissing, leftovers, PROGRAM } from '../e2e/lab.ts';

const source = await realPart('kubernetes');
const missing =
  labMissing() ??
  ((await builtPart(source)) === undefined ? `needs Kubernetes ${source.version} (make real)` : undefined);
const why = missing ? ` (${missing})` : '';

const MACHINE = ['kernel/panic', 'kernel/panic_on_oops', 'vm/overcommit_memory', 'vm/panic_on_oom'];
const CREATE_MS = 240_000;
const PROVE_MS = 240_000;

describe.skipIf(missing !== undefined)(`a lab of Kubernetes' own programs${why}`, () => {
  const lab = new Lab('real');
  const interrupted = new AbortController();

  async function kubectl(...words: string[]): Promise<string> {
    const ran = await lab.kubectl(words);
    if (ran.code !== 0) throw new Error(`kubectl ${words.join(' ')}: exit ${ran.code}\n${ran.stderr}`);
    return ran.stdout;
  }

  // What a kubelet would set, and is the whole machine's.
  const machine = () => MACHINE.map((name) => [name, readFileSync(`/proc/sys/${name}`, 'utf8')]);
  const before = machine();

  beforeAll(async () => {
    const nodes = await createCatalogueCluster(lab, 2, ['--kubernetes', source.version]);
    await using places = new LabPlaces(await requireRecord(lab.name), PROGRAM);
    const lanes = await makeLanes(places, lab, nodes, interrupted.signal);
    await Promise.all(lanes.map((lane) => untilHealthy(lane)));
  }, CREATE_MS);

  afterAll(async () => {
    interrupted.abort(new Error('the test is over'));
    await lab.delete();
    expect(leftovers(lab.name)).toEqual([]);
  }, CREATE_MS);

  test('has nodes of that version, which the record names', async () => {
    const versions = await kubectl(
      'get',
      'nodes',
      '-o',
      'jsonpath={.items[*].status.nodeInfo.kubeletVersion}',
    );
    expect(versions.split(' ')).toEqual([source.version, source.version, source.version]);
    expect((await requireRecord(lab.name)).engine).toMatchObject({
      kind: 'kubernetes',
      version: source.version,
    });
  });

  test('keeps pods off its control plane, and lets a kubelet do what is its own only', async () => {
    // Its own taint for a node that was not ready goes a moment after it is.
    await eventually('its control plane to have the taint of one, and no other', async () => {
      const taints = ['get', 'node', 'real-control-plane', '-o', 'jsonpath={.spec.taints[*].key}'];
      return (await kubectl(...taints)) === 'node-role.kubernetes.io/control-plane';
    });
    const label = [
      'label',
      'node',
      'real-worker',
      'node-role.kubernetes.io/mine=',
      '--kubeconfig=/etc/kubernetes/kubelet.conf',
    ];
    const refused = await lab.inNode('real-worker', 'kubectl', ...label);
    expect(refused.stderr).toContain('is not allowed to modify labels: node-role.kubernetes.io/mine');
  });

  test('has pods that answer, and that kubectl can log and enter', async () => {
    await lab.must('answers', '--name', lab.name, '--settle', '20s');
    expect(await kubectl('logs', 'echo', '-n', 'on-real-worker')).not.toBe('');
    expect(await kubectl('exec', 'echo', '-n', 'on-real-worker', '--', 'hostname')).toBe('echo\n');
  });

  test("leaves the machine's settings as they are", () => expect(machine()).toEqual(before));

  test(
    'survives that each of its programs is killed',
    async () => {
      for (const node of ['real-control-plane', 'real-worker', 'real-worker2']) {
        const services = await lab.inNode(node, 'sh', '-c', 'cd /etc/sv && echo kube*');
        for (const name of services.stdout.trim().split(' '))
          await lab.inNode(node, 'sv', 'kill', `/etc/sv/${name}`);
      }
      await eventually(
        'the API server to be back',
        async () => (await kubectl('get', '--raw', '/readyz')) === 'ok',
      );
      await kubectl('wait', '--for=condition=Ready', 'node', '--all', '--timeout=60s');
      await lab.must('answers', '--name', lab.name, '--settle', '20s');
    },
    CREATE_MS,
  );

  test('is found healthy', async () => {
    const ran = await lab.hostport('doctor', '--name', lab.name, '-o', 'json');
    expect((JSON.parse(ran.stdout) as Diagnosis).findings).toEqual([]);
    expect(ran.code).toBe(0);
  });
});

everyFailure({
  title: "every failure on Kubernetes' own programs",
  cluster: 'real-catalogue',
  isOnPages: false,
  missing,
  words: ['--kubernetes', source.version],
  createMs: CREATE_MS,
  proveMs: PROVE_MS,
});

describe.skipIf(missing !== undefined)(`hostport tour on Kubernetes' own programs${why}`, () => {
  test(
    'meets every expectation of the how-to, and leaves nothing behind',
    async () => {
      const lab = new Lab('real-tour');
      const ran = await lab.command([PROGRAM, 'tour', '--kubernetes', source.version], {
        timeoutMs: CREATE_MS,
      });
      expect(ran.stdout).toMatch(/^(\d+) of \1 expectations met$/m);
      expect(ran.code).toBe(0);
      expect(leftovers('kind')).toEqual([]);
      await lab.delete();
    },
    CREATE_MS,
  );
});
