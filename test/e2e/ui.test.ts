/** `hostport ui` on a lab: what its page sees, does and refuses, by the requests that a browser sends. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { traceDocumentSchema } from '../../src/path/trace/document.ts';
import { waitFor } from '../../src/sys/wait.ts';
import type { Difference } from '../../src/ui/difference.ts';
import type { Moment } from '../../src/ui/history.ts';
import type { LabState, TrafficShown, WatchState } from '../../src/ui/protocol.ts';
import { Lab, labMissing, PROGRAM, type Started } from './lab.ts';
import { OpenPage } from './open-page.ts';

const missing = labMissing();
const WORKERS = ['ui-worker', 'ui-worker2'];

const pod = (node: string) => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: `on-${node}` } },
  spec: {
    nodeName: node,
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        ...{ name: 'web', image: 'busybox', imagePullPolicy: 'IfNotPresent' },
        command: ['httpd', '-f', '-p', '80', '-h', '/tmp'],
        ports: [{ containerPort: 80, hostPort: 80 }],
      },
    ],
  },
});

describe.skipIf(missing !== undefined)(`hostport ui${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('ui');
  let program: Started;
  let page: OpenPage;
  const begin = async (...words: string[]) => {
    const started = lab.start([PROGRAM, 'ui', ...words]);
    const [, url] = await started.until(/^Open (http:\S+)$/m);
    return { started, page: await OpenPage.open(url!) };
  };
  const isBroken = ({ mappings }: Moment) => mappings.broken > 0;
  const isWell = ({ mappings }: Moment) => mappings.good === 2 && mappings.broken === 0;

  beforeAll(async () => {
    const config = lab.file(
      'config.yaml',
      'kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n- role: worker\n- role: worker\n',
    );
    await lab.must('create', 'cluster', '--name', lab.name, '--config', config);
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items: WORKERS.map(pod) });
    const ran = await lab.kubectl(['create', '-f', '-'], { stdin: list });
    if (ran.code !== 0) throw new Error(ran.stderr);
    await lab.mustKubectl('wait', '--for=condition=Ready', 'pod', '--all', '--timeout=60s');
    ({ started: program, page } = await begin('--name', lab.name));
  });
  afterAll(async () => {
    await program?.stop();
    await lab.delete();
  });

  test('shows that all is OK, and what answers', async () => {
    expect(page.start).toMatchObject({ kind: 'lab', title: 'Cluster "ui" of the lab' });
    await page.untilNow('both to work', isWell);
    const { ports: probed } = await page.until<TrafficShown>('traffic', ({ ports }) =>
      ports.every(({ strip }) => strip.endsWith('aaa')),
    );
    expect(probed.map(({ node, pod: name, port }) => [node, name, port]).sort()).toEqual(
      WORKERS.map((node) => [node, `on-${node}`, 'TCP 80']),
    );
  });

  test('breaks, shows what changed, and undoes', async () => {
    const before = await page.untilNow('both to work', isWell);
    const done = await page.order('break', { code: 'mapping-missing', node: WORKERS[0] });
    expect(done).toMatchObject({ status: 200, ok: true });
    expect(done.text).toStartWith('mapping-missing on ui-worker, for pod on-ui-worker: ');
    // A look that was under way has seen a part of it only.
    await waitFor(
      'the cause',
      async () => {
        const { id } = await page.untilNow('one to be broken', isBroken);
        const seen = (await (await page.get(`difference?from=${before.id}&to=${id}`)).json()) as Difference;
        return seen.found.some(({ code }) => code === 'mapping-missing');
      },
      { timeoutMs: 30_000, intervalMs: 100 },
    );
    await page.until<TrafficShown>('traffic', ({ ports }) =>
      ports.some(({ node, strip }) => node === WORKERS[0] && strip.endsWith('rr')),
    );
    expect(await page.order('undo', {})).toMatchObject({
      ...{ ok: true, text: 'undone: mapping-missing on ui-worker' },
    });
    await page.untilNow('both to work', isWell);
  });

  test('traces a real packet, and says where it dies', async () => {
    await page.order('break', { code: 'mapping-missing', node: WORKERS[1] });
    const order = { node: WORKERS[1], port: 80, protocol: 'tcp', from: 'outside' };
    const { trace } = await page.order('trace', order);
    expect(traceDocumentSchema.parse(trace)).toMatchObject({
      ...{ outcome: 'died', death: { code: 'mapping-missing' } },
    });
    await page.order('undo', {});
    const again = await page.order('trace', order);
    expect(traceDocumentSchema.parse(again.trace).outcome).toBe('answered');
  });

  test('shows what a terminal breaks, and heals it', async () => {
    await page.untilNow('both to work', isWell);
    await lab.must('break', 'ip-forward-off', '--name', lab.name, '--node', WORKERS[0]!);
    await page.until<LabState>('lab', ({ injected }) => injected[0]?.code === 'ip-forward-off');
    await page.untilNow('one to be broken', isBroken);
    expect(await page.order('heal', { restart: false })).toMatchObject({ ok: true });
    await page.untilNow('both to work', isWell);
    await page.order('undo', {});
  });

  test.each([
    ['break', { code: 'no-such-failure' }, 400, 'cannot break: no failure is called "no-such-failure"'],
    ['break', { code: 'mapping-missing', node: 'nowhere' }, 400, 'node "nowhere" not found in cluster "ui"'],
    [
      'trace',
      { node: 'nowhere', port: 80, protocol: 'tcp', from: 'outside' },
      400,
      'node "nowhere" not found in cluster "ui"',
    ],
  ])('what cannot be done is said: %s %j', async (what, body, status, said) => {
    const answer = await page.order(what, body);
    expect(answer).toMatchObject({ status, ok: false });
    expect(answer.text).toContain(said);
  });

  test('survives a restart of the API server', async () => {
    const node = 'ui-control-plane';
    await lab.mustAskNode(node, 'sv', 'stop', '/etc/sv/kube-apiserver');
    const trouble = await page.until<WatchState>('watch', ({ state }) => state === 'trouble');
    expect(trouble.detail).not.toBe('');
    expect((await page.moments()).length).toBeGreaterThan(0);
    await lab.mustAskNode(node, 'sv', 'start', '/etc/sv/kube-apiserver');
    await page.until<WatchState>('watch', ({ state }) => state === 'waiting');
    await page.order('break', { code: 'mapping-missing', node: WORKERS[0] });
    await page.untilNow('one to be broken', isBroken);
    await page.order('undo', {});
    await page.untilNow('both to work', isWell);
  });

  test('the same cluster as any other: it is examined by pods, and nothing can be changed', async () => {
    const kubeconfig = `${lab.scratch}/kubeconfig`;
    const { started, page: other } = await begin('--kubeconfig', kubeconfig, '--context', 'kind-ui');
    try {
      expect(other.start.kind).toBe('cluster');
      expect(other.start.faults).toBeUndefined();
      await other.untilNow('both to work', isWell);
      for (const [what, body] of [
        ['break', { code: 'mapping-missing', node: WORKERS[0] }],
        ['heal', { restart: true }],
        ['undo', {}],
      ] as const) {
        expect(await other.order(what, body)).toMatchObject({ status: 403 });
      }
    } finally {
      await started.stop();
    }
    expect(await started.exited).toBe(130);
    const { stdout } = await lab.kubectl(['get', 'pods', '-A', '-o', 'name']);
    expect(stdout).not.toContain('hostport');
  });

  test('ends by Ctrl-C, with the status of an interruption', async () => {
    const { started, page: other } = await begin('--name', lab.name);
    await other.untilNow('a look', () => true);
    started.interrupt();
    expect(await started.exited).toBe(130);
    expect(started.printed).toEndWith('Ctrl-C ends it.\n');
    await expect(other.moments()).rejects.toThrow();
  });
});
