import { expect, test } from 'bun:test';
import type { HealReport } from '../../src/agent/heal.ts';
import type { Diagnosis } from '../../src/path/model/finding.ts';
import { readProcFile } from '../../src/sys/processes.ts';
import { confinementOf, isMountReadOnly } from './confinement.ts';
import { eventually } from './eventually.ts';
import { type Lab, PROGRAM } from './lab.ts';
import { pidsIn } from './node-view.ts';

/** What tests of `heal` need of the tests of `doctor`: the cluster and its ways in. */
export interface HealedCluster {
  lab: Lab;
  nodes: readonly [controlPlane: string, worker: string, worker2: string];
  kubectl(...words: string[]): Promise<string>;
  inNode(node: string, ...argv: string[]): Promise<string>;
  /** Namespaces of runs. */
  runs(): Promise<string[]>;
}

type Object = Record<string, unknown>;

/** What of an object changes by itself: versions, who wrote what, times of status, what a node's runtime has pulled. */
function settled(value: unknown, isInStatus = false): unknown {
  if (Array.isArray(value)) return value.map((item) => settled(item, isInStatus));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => !['managedFields', 'resourceVersion', 'renewTime', 'images'].includes(key))
      .filter(([key]) => !isInStatus || !/Time$|^observedGeneration$/.test(key))
      .map(([key, field]) => [key, settled(field, isInStatus || key === 'status')]),
  );
}

/** The order of objects of one kind. */
function byName(a: unknown, b: unknown): number {
  const [x, y] = [a, b].map((object) => {
    const { namespace = '', name = '' } = (object as { metadata: { namespace?: string; name?: string } })
      .metadata;
    return `${namespace}/${name}`;
  }) as [string, string];
  return x < y ? -1 : Number(x > y);
}

const PLUGINS = '/opt/cni/bin';
const PORTMAP = `${PLUGINS}/portmap`;
/** Where a pod of a run sees its node. */
const HOST = '/host';

const lines = (text: string) => text.split('\n').filter(Boolean).sort();

/** Heals a cluster of the lab as any other: by its kubeconfig. */
export function healTests({ lab, nodes, kubectl, inNode, runs }: HealedCluster): void {
  const [, WORKER, WORKER2] = nodes;
  const byPods = (verb: string, ...words: string[]) =>
    lab.command([PROGRAM, verb, '--kubeconfig', lab.env.KUBECONFIG!, ...words], { timeoutMs: 180_000 });
  const codes = (text: string) =>
    (JSON.parse(text) as Diagnosis).findings.map(({ code, subject }) => `${code} ${subject.node}`).sort();

  /** Everything that can be listed, but Events and leases. */
  async function objects(): Promise<Record<string, unknown>> {
    const listed = await kubectl('api-resources', '--verbs=list', '-o', 'name');
    const kinds = lines(listed).filter((kind) => !/^(?:events|leases)\b/.test(kind));
    const seen = await Promise.all(
      kinds.map(async (kind) => {
        const { items } = JSON.parse(await kubectl('get', kind, '-A', '-o', 'json')) as { items: Object[] };
        // Not every kind is listed in one order.
        return [kind, items.map((item) => settled(item)).sort(byName)] as const;
      }),
    );
    return Object.fromEntries(seen);
  }

  /** Of a node: files by their digests, rules, and settings of the network. */
  async function node(name: string) {
    const find = ['/etc/cni', '/opt/cni', '/run/hostport', '-type', 'f', '-exec', 'sha256sum', '{}', '+'];
    const files = await inNode(name, 'sh', '-c', 'find "$@" 2>/dev/null || :', 'sh', ...find);
    const rules = await inNode(name, 'iptables-save');
    const settings = await inNode(name, 'sh', '-c', 'grep -rs . /proc/sys/net || :');
    return {
      files: Object.fromEntries(
        lines(files).map((line) => [line.slice(66), line.slice(0, 64)] as [string, string]),
      ),
      rules: lines(rules.replace(/^#.*$|\[\d+:\d+\]/gm, '')),
      // How many connections there are, and what the kernel counts and draws.
      settings: lines(settings).filter((line) => !/count|_ids:|random|flush|stat/.test(line)),
    };
  }

  const nodeState = async () =>
    Object.fromEntries(await Promise.all(nodes.map(async (name) => [name, await node(name)] as const)));

  test('heal fixes what doctor names, and nothing else differs from before', async () => {
    const before = { objects: await objects(), nodes: await nodeState() };
    await lab.must('break', 'mapping-missing', '--node', WORKER2, '--name', lab.name);
    await inNode(
      WORKER,
      'sh',
      '-c',
      'mv /opt/cni/bin/portmap /root/portmap && sysctl -q -w net.ipv4.ip_forward=0',
    );
    const broken = await byPods('doctor', '-o', 'json');
    expect(broken.code).toBe(1);
    const found = [`ip-forward-off ${WORKER}`, `mapping-missing ${WORKER2}`, `plugin-missing ${WORKER}`];
    expect(codes(broken.stdout)).toEqual(found);

    const shown = await byPods('heal', '--dry-run');
    expect(shown.code).toBe(1);
    expect(shown.stdout).toContain('Nothing was changed');
    expect(shown.stdout).toStartWith(`Cluster "${lab.name}" of the lab, context "kind-${lab.name}"`);
    // Without a terminal, nobody is asked.
    expect(await byPods('heal')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('Nothing was changed'),
    });
    expect(codes((await byPods('doctor', '-o', 'json')).stdout)).toEqual(found);

    const healed = await byPods('heal', '--yes', '-o', 'json');
    expect({ code: healed.code, out: healed.stdout }).toMatchObject({ code: 0 });
    const report = JSON.parse(healed.stdout) as HealReport;
    expect(report.healed.map(({ finding, outcome }) => `${finding.code} ${outcome}`).sort()).toEqual([
      'ip-forward-off healed',
      'mapping-missing healed',
      'plugin-missing healed',
    ]);
    expect(await byPods('doctor')).toMatchObject({ code: 0 });
    const said = lines(
      await kubectl(
        'get',
        'events',
        '-A',
        '-o',
        'jsonpath={range .items[?(@.reason=="HostPortHealed")]}{.involvedObject.kind} {.involvedObject.name} {.message}{"\\n"}{end}',
      ),
    );
    for (const what of [
      `Node ${WORKER} plugin-missing: installed /opt/cni/bin/portmap`,
      'Pod echo1 ip-forward-off: net.ipv4.ip_forward: 0 is now 1',
    ]) {
      expect(said).toContain(what);
    }
    expect(said.some((line) => line.startsWith('Pod echo2 mapping-missing: portmap of '))).toBe(true);

    const after = { objects: await objects(), nodes: await nodeState() };
    // The plugin that is brought along may be of another build than the node's.
    after.nodes[WORKER]!.files[PORTMAP] = before.nodes[WORKER]!.files[PORTMAP]!;
    expect(after).toEqual(before);
    expect(await runs()).toEqual([]);
    await inNode(WORKER, 'rm', '/root/portmap');
    await lab.must('unbreak', '--name', lab.name);
  }, 240_000);

  test('undo puts back what the last heal changed, refuses what changed since, and is done once', async () => {
    const conf = (await inNode(WORKER, 'sh', '-c', 'ls /etc/cni/net.d/*.conflist | head -n 1')).trim();
    const good = await inNode(WORKER, 'cat', conf);
    const list = JSON.parse(good) as { plugins: { type: string }[] };
    const bad = JSON.stringify({ ...list, plugins: list.plugins.filter(({ type }) => type !== 'portmap') });
    const write = (content: string) =>
      inNode(WORKER, 'sh', '-c', 'printf %s "$1" > "$2"', 'sh', content, conf);
    const state = async () => lines(await inNode(WORKER, 'sh', '-c', 'sha256sum /etc/cni/net.d/*'));
    await write(bad);
    try {
      const broken = await state();
      expect(await byPods('heal', '--yes', '--only', 'portmap-not-chained', '-o', 'wide')).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/restore the files .*heal --kubeconfig \S+ --undo\n$/),
      });
      expect(await state()).not.toEqual(broken);
      const shown = await byPods('heal', '--undo');
      expect(shown.code).toBe(1);
      expect(shown.stdout).toContain(WORKER);
      expect(shown.stdout).not.toContain(`\n${WORKER2}\n`);

      const changed = JSON.parse((await byPods('heal', '--undo', '--dry-run', '-o', 'json')).stdout) as {
        nodes: { last: { files: { path: string }[] } }[];
      };
      const path = changed.nodes[0]!.last.files[0]!.path;
      const healed = await inNode(WORKER, 'cat', path);
      await inNode(WORKER, 'sh', '-c', 'echo >> "$1"', 'sh', path);
      const refused = await byPods('heal', '--undo', '--yes');
      expect(refused).toMatchObject({
        code: 1,
        stdout: expect.stringContaining(`${path}: changed since the heal`),
      });
      await inNode(WORKER, 'sh', '-c', 'printf %s "$1" > "$2"', 'sh', healed, path);

      expect(await byPods('heal', '--undo', '--yes')).toMatchObject({ code: 0 });
      expect(await state()).toEqual(broken);
      // In the lab, too, there is nothing left to be done.
      const again = await lab.hostport('heal', '--undo', '--yes', '--name', lab.name);
      expect(again).toMatchObject({
        code: 0,
        stdout: expect.stringContaining(': already as before the heal\n'),
      });
      expect(await state()).toEqual(broken);
    } finally {
      await write(good);
    }
    expect(await byPods('doctor')).toMatchObject({ code: 0 });
    expect(await runs()).toEqual([]);
  }, 240_000);

  test('the change at the source is shown, and made on request', async () => {
    const conf = (await inNode(WORKER, 'sh', '-c', 'ls /etc/cni/net.d/*.conflist | head -n 1')).trim();
    const good = await inNode(WORKER, 'cat', conf);
    const write = (content: string) =>
      inNode(WORKER, 'sh', '-c', 'printf %s "$1" > "$2"', 'sh', content, conf);
    const flannel = { name: 'cbr0', cniVersion: '1.0.0', plugins: [{ type: 'flannel' }] };
    const manifest = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'kube-flannel-cfg', namespace: 'kube-flannel' },
      data: { 'net-conf.json': '{}', 'cni-conf.json': JSON.stringify(flannel) },
    };
    await kubectl('create', 'namespace', 'kube-flannel');
    try {
      await kubectl('apply', '-f', lab.file('flannel.json', JSON.stringify(manifest)));
      await write(JSON.stringify({ ...JSON.parse(good), plugins: flannel.plugins }));
      const only = ['--only', 'portmap-not-chained', '-o', 'wide'];
      const { stdout } = await byPods('heal', '--dry-run', ...only);
      expect(stdout).toContain(
        `at the source: portmap-not-chained on ${WORKER}\n  chain portmap in the list that flannel installs (flannel: `,
      );
      expect(stdout).toContain(`heal --kubeconfig ${lab.env.KUBECONFIG} --at-source changes it`);

      const { stderr } = await byPods('heal', '--yes', '--at-source', ...only);
      expect(stderr).toContain('patched ConfigMap kube-flannel/kube-flannel-cfg\n');
      const { data } = JSON.parse(
        await kubectl('-n', 'kube-flannel', 'get', 'configmap', 'kube-flannel-cfg', '-o', 'json'),
      ) as { data: Record<string, string> };
      expect(data['net-conf.json']).toBe('{}');
      expect(JSON.parse(data['cni-conf.json']!)).toEqual({
        ...flannel,
        plugins: [{ type: 'flannel' }, { type: 'portmap', capabilities: { portMappings: true } }],
      });
    } finally {
      await byPods('heal', '--undo', '--yes');
      await write(good);
      await kubectl('delete', 'namespace', 'kube-flannel');
    }
    expect(await byPods('doctor')).toMatchObject({ code: 0 });
  }, 240_000);

  test('a heal by an image of others, into which program and plugin are sent', async () => {
    await inNode(WORKER, 'mv', '/opt/cni/bin/portmap', '/root/portmap');
    try {
      const healed = await byPods('heal', '--yes', '--image', 'busybox');
      expect({ code: healed.code, out: healed.stdout }).toMatchObject({ code: 0 });
      expect(await inNode(WORKER, 'stat', '-c', '%a', '/opt/cni/bin/portmap')).toBe('755\n');
    } finally {
      await inNode(WORKER, 'mv', '/root/portmap', '/opt/cni/bin/portmap');
    }
    expect(await runs()).toEqual([]);
  }, 180_000);

  test('the process of a pod that heals has the capabilities and the writable places that its steps need, and no others', async () => {
    await inNode(WORKER, 'mv', PORTMAP, '/root/portmap');
    try {
      const started = lab.start([PROGRAM, 'heal', '--yes', '--kubeconfig', lab.env.KUBECONFIG!]);
      let status = '';
      let mounts = '';
      await eventually(
        'a process with the directory of the plugin mounted',
        () => {
          const seen = pidsIn(lab, WORKER, 'hostport').map((pid) =>
            ['status', 'mountinfo'].map((file) => readProcFile(`/proc/${pid}/${file}`)),
          );
          const found = seen.find(([, mountinfo]) => isMountReadOnly(mountinfo!, HOST + PLUGINS) === false);
          if (found !== undefined) [status, mounts] = found as [string, string];
          return found !== undefined;
        },
        { timeoutMs: 60_000, intervalMs: 20 },
      );
      expect(await started.exited).toBe(0);
      const capabilities = ['DAC_OVERRIDE', 'DAC_READ_SEARCH', 'SYS_CHROOT'];
      expect(confinementOf(status, mounts)).toMatchObject({
        ...{ effective: capabilities, bounding: capabilities },
        ...{ hasSeccomp: true, isRootReadOnly: true },
      });
      const places = [HOST, HOST + PLUGINS, `${HOST}/var/lib/hostport`, `${HOST}/etc/cni/net.d`];
      expect(places.map((place) => isMountReadOnly(mounts, place))).toEqual([true, false, false, undefined]);
      expect(await inNode(WORKER, 'stat', '-c', '%a', PORTMAP)).toBe('755\n');
    } finally {
      await inNode(WORKER, 'mv', '/root/portmap', PORTMAP);
    }
    expect(await runs()).toEqual([]);
  }, 180_000);

  test('a heal in an existing namespace, which stays, and in which nothing is left', async () => {
    await kubectl('create', 'namespace', 'tools');
    await kubectl('label', 'namespace', 'tools', 'pod-security.kubernetes.io/enforce=privileged');
    await inNode(WORKER, 'mv', PORTMAP, '/root/portmap');
    try {
      const healed = await byPods('heal', '--yes', '--work-namespace', 'tools');
      expect({ code: healed.code, out: healed.stdout }).toMatchObject({ code: 0 });
      expect(await inNode(WORKER, 'stat', '-c', '%a', PORTMAP)).toBe('755\n');
      expect(await kubectl('get', 'pods', '-n', 'tools', '-o', 'name')).toBe('');
      expect(await kubectl('get', 'namespace', 'tools', '-o', 'jsonpath={.status.phase}')).toBe('Active');
      expect(await runs()).toEqual([]);
    } finally {
      await inNode(WORKER, 'mv', '/root/portmap', PORTMAP);
      await kubectl('delete', 'namespace', 'tools');
    }
  }, 180_000);

  test('after a kill its pods end by themselves, and the next run removes the rest', async () => {
    await inNode(WORKER, 'mv', PORTMAP, '/root/portmap');
    try {
      const killed = lab.start([PROGRAM, 'heal', '--yes', '--kubeconfig', lab.env.KUBECONFIG!]);
      await killed.until(/changing /);
      await eventually('a pod that may change its node', async () =>
        (await kubectl('get', 'pods', '-A', '-o', 'name')).includes('/heal1-'),
      );
      killed.kill();
      await killed.exited;
      // That of the first look may be about to go: its removal has been asked for.
      let found: string[] = [];
      await eventually('the namespace of the last batch alone', async () => {
        found = await runs();
        return found.length <= 1;
      });
      const [left] = found;
      const name = left!.replace('namespace/', '');
      const pods = lines(await kubectl('get', 'pods', '-n', name, '-o', 'name'));
      expect(pods.length).toBeGreaterThan(1);
      // Their time comes within minutes: it is brought forward.
      const over = JSON.stringify({ spec: { activeDeadlineSeconds: 1 } });
      for (const pod of pods) await kubectl('patch', '-n', name, pod, '--type=merge', '-p', over);
      const reasons = 'jsonpath={range .items[*]}{.status.phase} {.status.reason}{"\\n"}{end}';
      await eventually(
        'the pods to end',
        async () => {
          const ended = lines(await kubectl('get', 'pods', '-n', name, '-o', reasons));
          return ended.length === pods.length && ended.every((line) => line === 'Failed DeadlineExceeded');
        },
        { timeoutMs: 60_000 },
      );
      // It may have been killed just after the fix; without probes that is inconclusive.
      expect([1, 2]).toContain((await byPods('doctor', '--no-probe')).code);
      expect(await runs()).toEqual([left!]);
      // Since the namespace says until when its pods may run, the next run knows when they have ended.
      await kubectl('annotate', '--overwrite', left!, 'hostport.dev/ends=2020-01-01T00:00:00Z');
      expect([1, 2]).toContain((await byPods('doctor', '--no-probe')).code);
      await eventually('the namespace to go', async () => (await runs()).length === 0);
    } finally {
      // A heal that was killed may have installed it.
      await inNode(WORKER, 'mv', '/root/portmap', PORTMAP);
    }
    expect(await byPods('doctor')).toMatchObject({ code: 0 });
  }, 240_000);

  test('a Ctrl-C while it heals leaves no pods, and after a kill clean-up removes them', async () => {
    await inNode(WORKER, 'mv', '/opt/cni/bin/portmap', '/root/portmap');
    try {
      const argv = [PROGRAM, 'heal', '--yes', '--kubeconfig', lab.env.KUBECONFIG!];
      const started = lab.start(argv);
      await started.until(/changing /);
      await eventually('pods of the run', async () => (await runs()).length > 0);
      started.interrupt();
      expect(await started.exited).toBe(130);
      expect(await runs()).toEqual([]);

      const other = lab.start(argv);
      await other.until(/changing /);
      await eventually('a pod that may change its node', async () =>
        (await kubectl('get', 'pods', '-A', '-o', 'name')).includes('/heal1-'),
      );
      const pods = JSON.parse(
        await kubectl('get', 'pods', '-A', '-l', 'hostport.dev/doctor-run', '-o', 'json'),
      ) as {
        items: { spec: { activeDeadlineSeconds?: number } }[];
      };
      other.kill();
      for (const { spec } of pods.items) expect(spec.activeDeadlineSeconds).toBeLessThanOrEqual(1800);
      expect(await byPods('doctor', '--cleanup')).toMatchObject({ code: 0 });
      expect(await runs()).toEqual([]);
    } finally {
      await inNode(WORKER, 'mv', '/root/portmap', '/opt/cni/bin/portmap');
    }
  }, 180_000);
}
