import { afterAll, describe, expect, test } from 'bun:test';
import { existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Lab, labMissing, leftovers, PROGRAM, ROOT } from './lab.ts';

const missing = labMissing();

/** The fenced blocks of a section of the README, without their fences. */
function blocks(section: string): string[] {
  const text = readFileSync(join(ROOT, 'README.md'), 'utf8');
  const start = text.indexOf(`\n## ${section}\n`);
  expect(start).toBeGreaterThan(0);
  const end = text.indexOf('\n## ', start + 1);
  return [...text.slice(start, end).matchAll(/^```\n([^`]*)^```$/gm)].map((match) => match[1]!);
}

describe.skipIf(missing !== undefined)(`the README${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('readme');
  // The README's cluster has the how-to's name: a user's own of that name is not for a test to take.
  const taken = missing === undefined && existsSync('/var/lib/hostport/clusters/kind');
  afterAll(async () => {
    if (!taken) await lab.must('delete', 'cluster', '--name', 'kind');
    await lab.delete();
  });

  /** Where the how-to's link leads, and whether its directory is there. */
  const howtoFiles = () => ({
    link: lstatSync('/tmp/cni', { throwIfNoEntry: false })?.isSymbolicLink() && readlinkSync('/tmp/cni'),
    directory: existsSync('/tmp/empty'),
  });
  const found = howtoFiles();

  test('finds the name kind free', () => {
    expect(taken).toBe(false);
  });
  if (taken) return;

  test('make lab ends with the table it shows', async () => {
    const [commands, table] = blocks('Two commands');
    expect(commands).toMatch(/^make lab .*\nmake test /);
    // On a terminal of the usual width, as its reader has one.
    const ran = await lab.command(['script', '-qec', `stty cols 80 && make -C ${ROOT} lab`, '/dev/null'], {
      env: { NO_COLOR: '1', TERM: 'dumb' },
    });
    expect(ran.stdout).not.toMatch(/^error: /m);
    expect(ran.code).toBe(0);
    const shown = ran.stdout.replaceAll('\r\n', '\n');
    // Every line of the table in the README is a line of the output, but for widths and what "…" stands for.
    for (const line of table!.trim().split('\n')) {
      const parts = line
        .split(/ {2,}|…/)
        .map((part) => part.trim().replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
      expect(shown).toMatch(new RegExp(parts.join('.*')));
    }
    const page = /a page, for a browser: (file:\S+)$/m.exec(ran.stdout)?.[1];
    expect(readFileSync(fileURLToPath(page!), 'utf8')).toContain('2 of 3 hostPorts are broken');
  });

  test('the walk fixes the second worker by the plugin, the third by the conflist and a new pod', async () => {
    const [first, second, third] = blocks('Walk through it');
    const script = (block: string) => block.replace('bin/hostport shell\n', '');
    expect(first).toStartWith('bin/hostport shell\n');
    const shell = (block: string) =>
      lab.command([PROGRAM, 'shell'], { stdin: `set -e\ncd ${ROOT}\n${script(block)}` });
    lab.env.SHELL = '/bin/sh';
    const seen = await shell(first!);
    expect(seen.stdout).toContain('My hostname is: echo-kind-worker\n');
    expect(seen.stdout).toContain('-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT');
    expect(seen.code).toBe(0);
    const fixed = await shell(second!);
    expect(fixed.stdout).toContain('failed to find plugin "portmap" in path [/opt/cni/bin]');
    expect(fixed.stdout).toContain('My hostname is: echo-kind-worker2\n');
    expect(fixed.code).toBe(0);
    const remade = await shell(third!);
    expect(remade.stdout).toContain('My hostname is: echo-kind-worker3\n');
    expect(remade.code).toBe(0);
  });

  test('the doctor looks at a cluster, at one node from within, and at a cluster by the reports of its nodes', async () => {
    const [whole, local, reported] = blocks('On your own cluster').map((block) => block.trim().split('\n'));
    expect(whole).toHaveLength(1);
    const own = (command: string) =>
      command.replace('hostport', PROGRAM).replace('~/.kube/config', lab.env.KUBECONFIG!);
    const examined = await lab.command(['sh', '-c', own(whole![0]!)]);
    expect(examined.stdout).toMatch(/^kind-worker +echo-kind-worker +TCP 80 +(✓ +){7}✓$/m);
    expect(examined.code).toBe(0);
    for (const [command, why] of [
      [local![0]!, 'answered: not probed'],
      [local![1]!, 'probed only from kind-worker itself, not from another machine'],
    ] as const) {
      const within = await lab.inNode('kind-worker', 'sh', '-c', command);
      expect(within.stdout).toMatch(/^kind-worker +echo-kind-worker +TCP 80 +(✓ +){7}\?$/m);
      expect(within.stdout).toContain(why);
      expect(within.code).toBe(2);
    }
    const [report, doctor] = reported!;
    const directory = `mkdir -p /tmp/reported/reports; cd /tmp/reported; ${report} && cat reports/kind-worker.json`;
    const taken = await lab.inNode('kind-worker', 'sh', '-c', directory);
    mkdirSync(join(lab.scratch, 'reports'));
    lab.file('reports/kind-worker.json', taken.stdout);
    const seen = await lab.command(['sh', '-c', `cd ${lab.scratch} && ${own(doctor!)}`]);
    // What sends nothing cannot know what answers, and the other nodes have no report here.
    expect(seen.stdout).toMatch(/^kind-worker +echo-kind-worker +TCP 80 +(✓ +){7}\?$/m);
    expect(seen.stdout).toContain('kind-worker2');
    expect(seen.code).toBe(2);
  });

  test('every command of its table is there and has help with an example', async () => {
    const rows = [...readFileSync(join(ROOT, 'README.md'), 'utf8').matchAll(/^\| (`hostport .+?) \|/gm)];
    expect(rows.length).toBeGreaterThan(7);
    const words = rows.flatMap(([, cell]) =>
      [...cell!.matchAll(/`hostport ([^`]+)`/g)].flatMap(([, usage]) => {
        const verb = usage!.split(/ [[<A-Z-]/)[0]!.trim();
        const [head, rest] = verb.split(' ');
        return (rest ?? '').split('\\|').map((noun) => [head!, ...(noun === '' ? [] : [noun])]);
      }),
    );
    for (const verb of words) {
      const help = await lab.hostport(...verb, '--help');
      expect(`${verb.join(' ')}: ${help.code}`).toBe(`${verb.join(' ')}: 0`);
      expect(help.stdout).toContain('Example:');
    }
  });

  test('the doctor says what the document found by hand, and heals it without recreating a pod', async () => {
    await lab.must('delete', 'cluster', '--name', 'kind');
    expect((await lab.command(['make', '-C', ROOT, 'lab'])).code).toBe(0);
    const before = await startedPods();
    const sick = await diagnosis();
    expect(sick.code).toBe(1);
    expect(sick.findings).toEqual([
      ['portmap-not-chained', 'configured', 'kind-worker3'],
      ['plugin-missing', 'installed', 'kind-worker2'],
    ]);
    const healed = await lab.hostport('heal', '--yes');
    expect(`${healed.code}\n${healed.stdout}${healed.stderr}`).toStartWith('0\n');
    expect(healed.stdout).toMatch(/ heal --undo\n$/);
    // worker2's pod comes up by itself once the plugin is there, and then has to start listening.
    expect((await lab.hostport('answers', '--settle', '30s')).code).toBe(0);
    expect(await diagnosis()).toEqual({ code: 0, findings: [] });
    const after = await startedPods();
    for (const [name, pod] of after) {
      expect(pod.uid).toBe(before.get(name)!.uid);
      expect(pod.restarts).toBe(0);
    }
    // What ran keeps running: the third worker's pod was never stopped.
    for (const name of ['echo-kind-worker', 'echo-kind-worker3']) {
      expect(before.get(name)!.startedAt).toBeString();
      expect(after.get(name)!.startedAt).toBe(before.get(name)!.startedAt);
    }
  });

  test('a failure is injected where it can be: not where the configuration is mounted from outside', async () => {
    const refused = await lab.hostport('break', 'capability-missing', '--node', 'kind-worker');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(
      'cannot inject capability-missing: on kind-worker: /etc/cni/net.d/000-cilium-portmap.conflist is mounted into the node from outside',
    );
    const cluster = 'Cluster "kind" of the lab\n';
    expect(await lab.must('break', 'capability-missing')).toStartWith(
      `${cluster}capability-missing on kind-worker3,`,
    );
    expect((await diagnosis()).findings).toEqual([['capability-missing', 'configured', 'kind-worker3']]);
    const undone = await lab.must('unbreak');
    expect(undone).toStartWith(`${cluster}undone: capability-missing on kind-worker3\n`);
    // Attached while it was broken, the pod has no mapping.
    expect(undone).toContain('left to fix: pod-predates-chain on kind-worker3, of pod echo-kind-worker3; "');
    expect(await lab.must('unbreak')).toBe(`${cluster}Nothing to undo.\n`);
  });

  /** The doctor's exit status and what it found, in its order. */
  async function diagnosis(): Promise<{ code: number; findings: string[][] }> {
    const { code, stdout } = await lab.hostport('doctor', '-o', 'json');
    const { findings } = JSON.parse(stdout) as {
      findings: { code: string; stage: string; subject: { node: string } }[];
    };
    return { code, findings: findings.map((finding) => [finding.code, finding.stage, finding.subject.node]) };
  }

  async function startedPods() {
    const list = JSON.parse(await lab.must('run', '--', 'kubectl', 'get', 'pods', '-o', 'json')) as {
      items: {
        metadata: { name: string; uid: string };
        status: {
          containerStatuses?: { restartCount: number; state?: { running?: { startedAt: string } } }[];
        };
      }[];
    };
    return new Map(
      list.items.map(({ metadata, status }) => {
        const [container] = status.containerStatuses ?? [];
        return [
          metadata.name,
          {
            uid: metadata.uid,
            restarts: container?.restartCount,
            startedAt: container?.state?.running?.startedAt,
          },
        ];
      }),
    );
  }

  test('nothing is left of it, nor of what make lab made for its configuration', async () => {
    await lab.must('delete', 'cluster', '--name', 'kind');
    expect(leftovers('kind')).toEqual([]);
    expect(howtoFiles()).toEqual(found);
  });
});
