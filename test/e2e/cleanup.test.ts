import { afterEach, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Lab, labMissing, leftovers, PROGRAM } from './lab.ts';

const missing = labMissing();

/** What a creation has said when it is stopped, and how many milliseconds later: each time something else is under way. */
const MOMENTS: readonly (readonly [said: string, ms: number])[] = [
  ['Creating cluster', 0],
  ['Ensuring node image', 0],
  ['Ensuring node image', 60],
  ['Ensuring node image', 160],
  ['Preparing nodes', 0],
  ['Preparing nodes', 150],
  ['Starting control-plane', 0],
  ['Installing CNI', 20],
];

const BROKEN_YAML = 'contexts: [';

/** How far a deletion has come when it is killed, as seen on the machine, in the order of its stages. */
const DELETIONS: readonly (readonly [when: string, isSeen: (lab: Lab) => boolean])[] = [
  ['at its start', (lab) => existsSync(`/run/hostport/clusters/${lab.name}.lock`)],
  ['when the gateway has ended', (lab) => !leftovers(lab.name).some((line) => line.includes('runsv '))],
  ['when the node is gone', (lab) => !existsSync(`${stateOf(lab)}/runc/${lab.name}-control-plane`)],
  ['when the network is gone', (lab) => !existsSync(`/run/netns/hostport-${lab.name}`)],
  ['when the context is gone', (lab) => !contextsOf(lab).includes(`kind-${lab.name}`)],
  ['while its files are being removed', (lab) => !existsSync(`${stateOf(lab)}/nodes`)],
];

/** The end of a creation that was stopped by Ctrl-C. */
const INTERRUPTED = /^error: interrupted by SIGINT\n$/m;

describe.skipIf(missing !== undefined)(
  `what a cluster leaves behind${missing ? ` (${missing})` : ''}`,
  () => {
    const labs: Lab[] = [];
    afterEach(async () => {
      for (const lab of labs.splice(0)) await lab.delete();
    });
    function labNamed(name: string): Lab {
      const lab = new Lab(name);
      labs.push(lab);
      return lab;
    }

    test('nothing after delete, and delete again is not an error', async () => {
      const lab = labNamed('clean1');
      await lab.must('create', 'cluster', '--name', lab.name);
      expect(leftovers(lab.name).map((line) => line.split(' ')[0])).toEqual(
        expect.arrayContaining(['process', 'file', 'cgroup']),
      );
      await lab.must('delete', 'cluster', '--name', lab.name);
      expect(leftovers(lab.name)).toEqual([]);
      expect(contextsOf(lab)).not.toContain(`kind-${lab.name}`);
      await lab.must('delete', 'cluster', '--name', lab.name);
    });

    test('nothing after a creation that fails', async () => {
      const lab = labNamed('clean2');
      // A default CNI that the API server refuses: everything else is up by then.
      const manifest = lab.file(
        'cni.yaml',
        'apiVersion: v1\nkind: Pod\nmetadata: {name: BAD_NAME}\nspec: {}\n',
      );
      const config = lab.file(
        'config.yaml',
        `kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha4\nnodes:\n- role: control-plane\n  extraMounts:\n  - {hostPath: ${manifest}, containerPath: /kind/manifests/default-cni.yaml}\n`,
      );
      const ran = await lab.hostport('create', 'cluster', '--name', lab.name, '--config', config);
      expect(ran.code).toBe(1);
      expect(ran.stderr).toContain('BAD_NAME');
      expect(leftovers(lab.name)).toEqual([]);
      expect(contextsOf(lab)).not.toContain(`kind-${lab.name}`);
    });

    for (const [index, [said, ms]] of MOMENTS.entries()) {
      const moment = `${ms} ms after "${said}"`;

      test(`nothing after Ctrl-C ${moment}`, async () => {
        const lab = labNamed(`int${index}`);
        const creation = startCreation(lab, said);
        await creation.hasSaid(said);
        await sleep(ms);
        creation.signal('SIGINT');
        expect(await creation.ended).toEqual({ code: 130, said: expect.stringMatching(INTERRUPTED) });
        expect(leftovers(lab.name)).toEqual([]);
        expect(contextsOf(lab)).not.toContain(`kind-${lab.name}`);
      });

      test(`nothing after kill -9 ${moment}, and delete`, async () => {
        const lab = labNamed(`kill${index}`);
        const creation = startCreation(lab, said);
        await creation.hasSaid(said);
        await sleep(ms);
        creation.kill();
        await creation.ended;
        await lab.must('delete', 'cluster', '--name', lab.name);
        expect(leftovers(lab.name)).toEqual([]);
        expect(contextsOf(lab)).not.toContain(`kind-${lab.name}`);
      });
    }

    test('every step of a creation is one in which it is stopped here', async () => {
      const lab = labNamed('steps');
      const { stderr } = await lab.hostport('create', 'cluster', '--name', lab.name);
      // A step is reported when it ends, so each reported step stands for the step that follows.
      const reported = [
        'Creating cluster',
        ...stderr.matchAll(/^ ✓ (.+?) [\d.]+s$/gm).map(([, title]) => title!),
      ];
      expect(reported.length).toBeGreaterThan(5);
      const missed = reported
        .slice(0, -1)
        .filter((title) => !MOMENTS.some(([said]) => title.startsWith(said)));
      expect(missed).toEqual([]);
    });

    for (const [how, signal, code] of [
      ['Ctrl-C', 'SIGINT', 130],
      ['SIGTERM', 'SIGTERM', 143],
    ] as const) {
      test(`nothing after ${how} while nodes are waited for that do not get Ready`, async () => {
        const lab = labNamed(`waiting-${code}`);
        const creation = start(lab, 'create', '--config', neverReady(lab));
        await creation.hasSaid('Installing CNI');
        await sleep(200);
        creation.signal(signal);
        expect(await creation.ended).toEqual({
          code,
          said: expect.stringContaining(`interrupted by ${signal}`),
        });
        expect(leftovers(lab.name)).toEqual([]);
        expect(contextsOf(lab)).not.toContain(`kind-${lab.name}`);
      });
    }

    for (const [index, [when, isSeen]] of DELETIONS.entries()) {
      test(`nothing after a deletion was killed with -9 ${when}, and another`, async () => {
        const lab = labNamed(`kill-delete${index}`);
        await lab.must('create', 'cluster', '--name', lab.name);
        const deletion = start(lab, 'delete');
        while (!isSeen(lab) && !deletion.hasEnded()) await sleep(1);
        deletion.kill();
        await deletion.ended;
        const left = leftovers(lab.name).filter((line) => !line.endsWith('.lock'));
        // As long as anything is left the cluster is listed, so that its user knows what to delete.
        if (left.length > 0) expect((await lab.must('get', 'clusters')).split('\n')).toContain(lab.name);
        await lab.must('delete', 'cluster', '--name', lab.name);
        expect(leftovers(lab.name)).toEqual([]);
        expect(contextsOf(lab)).not.toContain(`kind-${lab.name}`);
      });
    }

    test('a cluster without its record is not mistaken for one that does not exist', async () => {
      const lab = labNamed('halfmade');
      mkdirSync(stateOf(lab), { recursive: true });
      const half = await lab.hostport('get', 'nodes', '--name', lab.name);
      expect(half.stderr).toContain(
        `cluster "halfmade" is incomplete: it is still being created, its creation or deletion was interrupted, or its record is damaged; if no command is working on it, delete it with "${PROGRAM} delete cluster --name halfmade"`,
      );
      await lab.must('delete', 'cluster', '--name', lab.name);
      const none = await lab.hostport('get', 'nodes', '--name', lab.name);
      expect(none.stderr).toContain('cluster "halfmade" does not exist');
    });

    test('delete --kubeconfig takes the context out of that file only; a relative one is that of the creation', async () => {
      const lab = labNamed('chosen');
      const inScratch = (...words: string[]) =>
        lab.command(['env', `--chdir=${lab.scratch}`, PROGRAM, ...words, '--name', lab.name]);
      const created = await inScratch('create', 'cluster', '--kubeconfig', 'mine.yaml');
      expect(created.code).toBe(0);
      const mine = readFileSync(`${lab.scratch}/mine.yaml`, 'utf8');
      const other = lab.file('other.yaml', mine);
      expect((await inScratch('delete', 'cluster', '--kubeconfig', 'other.yaml')).code).toBe(0);
      expect(readFileSync(other, 'utf8')).not.toContain('kind-chosen');
      expect(readFileSync(`${lab.scratch}/mine.yaml`, 'utf8')).toBe(mine);
      expect((await inScratch('create', 'cluster', '--kubeconfig', 'mine.yaml')).code).toBe(0);
      await lab.must('delete', 'cluster', '--name', lab.name);
      expect(readFileSync(`${lab.scratch}/mine.yaml`, 'utf8')).not.toContain('kind-chosen');
    });

    test('an invalid kubeconfig ends a creation before anything is created', async () => {
      const lab = labNamed('unread');
      const path = lab.file('kubeconfig', BROKEN_YAML);
      const ran = await lab.hostport('create', 'cluster', '--name', lab.name);
      expect(ran.stderr).toContain(`error: cannot use kubeconfig ${path}: not valid YAML`);
      expect(ran.code).toBe(2);
      expect(leftovers(lab.name)).toEqual([]);
      expect(readFileSync(path, 'utf8')).toBe(BROKEN_YAML);
      lab.file('kubeconfig', '');
    });

    test('a deletion of which a part fails removes the others, says why, and can be tried again', async () => {
      const lab = labNamed('partly');
      await lab.must('create', 'cluster', '--name', lab.name);
      const good = readFileSync(lab.env.KUBECONFIG!, 'utf8');
      lab.file('kubeconfig', BROKEN_YAML);
      const ran = await lab.hostport('delete', 'cluster', '--name', lab.name);
      expect(ran.stderr).toContain('not valid YAML');
      expect(ran.code).toBe(1);
      expect(leftovers(lab.name)).toEqual([`file ${stateOf(lab)}`]);
      expect((await lab.must('get', 'clusters')).split('\n')).toContain(lab.name);
      lab.file('kubeconfig', good);
      await lab.must('delete', 'cluster', '--name', lab.name);
      expect(leftovers(lab.name)).toEqual([]);
      expect(contextsOf(lab)).not.toContain(`kind-${lab.name}`);
    });

    test('a creation that fails, and whose removal fails, says both, first what happened first', async () => {
      const lab = labNamed('both');
      const creation = start(lab, 'create');
      await creation.hasSaid('Ensuring node image');
      lab.file('kubeconfig', BROKEN_YAML);
      const { code, said } = await creation.ended;
      expect(said).toMatch(
        /^error: cannot use kubeconfig .*: not valid YAML: .*; and then: cannot remove the rest of the cluster; try again with "\S+\/bin\/hostport delete cluster --name both": cannot use kubeconfig/m,
      );
      expect(code).toBe(1);
      expect(leftovers(lab.name)).toEqual([`file ${stateOf(lab)}`]);
      lab.file('kubeconfig', '');
      await lab.must('delete', 'cluster', '--name', lab.name);
      expect(leftovers(lab.name)).toEqual([]);
    });

    test('a worker that cannot be made ends the creation with its own error', async () => {
      const lab = labNamed('lame');
      // A file has nothing in it that could be mounted on.
      const config = lab.file(
        'config.yaml',
        `kind: Cluster
apiVersion: kind.sigs.k8s.io/v1alpha4
nodes:
- role: control-plane
- role: worker
  extraMounts:
  - {hostPath: ${lab.file('file', '')}, containerPath: /etc/hostname/file}
`,
      );
      const ran = await lab.hostport('create', 'cluster', '--name', lab.name, '--config', config);
      expect(ran.stderr).toMatch(/^error: runc .* lame-worker: .*\/etc\/hostname/m);
      expect(ran.stderr).not.toContain('API server');
      expect(ran.code).toBe(1);
      expect(leftovers(lab.name)).toEqual([]);
    });

    test('nothing after Ctrl-C again and again, also while what was made is being removed', async () => {
      const lab = labNamed('impatient');
      const creation = startCreation(lab);
      await creation.hasSaid('Starting control-plane');
      let ended = false;
      const end = creation.ended.finally(() => {
        ended = true;
      });
      while (!ended) {
        creation.signal('SIGINT');
        await sleep(10);
      }
      expect(await end).toEqual({ code: 130, said: expect.stringMatching(INTERRUPTED) });
      expect(leftovers(lab.name)).toEqual([]);
    });

    test('a cluster that is being created is not deleted or created by somebody else', async () => {
      const lab = labNamed('busy');
      const creation = startCreation(lab);
      await creation.hasSaid('Ensuring node image');
      for (const verb of ['delete', 'create']) {
        const ran = await lab.hostport(verb, 'cluster', '--name', lab.name);
        expect(ran.stderr).toContain(
          `cannot ${verb} cluster "busy": process ${creation.pid} is creating it; wait until that ends, or interrupt it`,
        );
        expect(ran.code).toBe(1);
      }
      expect(await creation.ended).toEqual({ code: 0, said: expect.stringContaining('Set kubectl context') });
      expect((await lab.kubectl(['get', 'nodes', '--no-headers'])).stdout).toMatch(
        /^busy-control-plane +Ready /,
      );
    });

    test('two deletions at once both succeed', async () => {
      const lab = labNamed('twofold');
      await lab.must('create', 'cluster', '--name', lab.name);
      await Promise.all([1, 2].map(() => lab.must('delete', 'cluster', '--name', lab.name)));
      expect(leftovers(lab.name)).toEqual([]);
    });

    test('two clusters are made, used and deleted beside each other, each with its own context', async () => {
      const one = labNamed('side');
      // A name that begins as the other's does: neither may take the other's things for its own.
      const two = labNamed('side-by');
      two.env.KUBECONFIG = one.env.KUBECONFIG;
      await Promise.all([one, two].map((lab) => lab.must('create', 'cluster', '--name', lab.name)));
      expect(contextsOf(one).toSorted()).toEqual(['kind-side', 'kind-side-by']);
      expect((await one.must('get', 'clusters')).split('\n')).toEqual(
        expect.arrayContaining(['side', 'side-by']),
      );
      await one.must('delete', 'cluster', '--name', one.name);
      expect(contextsOf(two)).toEqual(['kind-side-by']);
      const nodes = await two.kubectl(['--context', 'kind-side-by', 'get', 'nodes', '--no-headers']);
      expect(nodes.stdout).toMatch(/^side-by-control-plane +Ready /);
      await two.must('delete', 'cluster', '--name', two.name);
      expect([...leftovers(one.name), ...leftovers(two.name)]).toEqual([]);
    });

    test('a node whose PID 1 was killed is shown as stopped; delete clears it up', async () => {
      const lab = labNamed('dead');
      await lab.must('create', 'cluster', '--name', lab.name);
      const node = async () =>
        JSON.parse(await lab.must('ps', '-o', 'json')).find(
          (shown: { cluster: string }) => shown.cluster === lab.name,
        );
      const { pid, status } = await node();
      expect(status).toBe('running');
      process.kill(pid, 'SIGKILL');
      while ((await node()).status === 'running') await sleep(20);
      expect(await node()).toMatchObject({ name: 'dead-control-plane', status: 'stopped', pid: 0 });
      const ran = await lab.inNode('dead-control-plane', 'true');
      expect(ran.code).not.toBe(0);
      expect(ran.stderr).toContain('stopped');
      await lab.must('delete', 'cluster', '--name', lab.name);
      expect(leftovers(lab.name)).toEqual([]);
    });

    test('a name that is taken is refused, and the cluster that has it is not touched', async () => {
      const lab = labNamed('twice');
      await lab.must('create', 'cluster', '--name', lab.name);
      const again = await lab.hostport('create', 'cluster', '--name', lab.name);
      expect(again.code).toBe(1);
      expect(again.stderr).toContain('it already exists');
      expect((await lab.kubectl(['get', '--raw', '/readyz'])).stdout).toContain('ok');
    });

    for (const name of ['..', '../..', 'a/../..', '', '.', '/etc']) {
      test(`delete refuses the name ${JSON.stringify(name)}`, async () => {
        const lab = labNamed('names');
        const ran = await lab.hostport('delete', 'cluster', '--name', name);
        expect(ran.stderr).toContain('is not a cluster name');
        expect(ran.code).toBe(2);
      });
    }
  },
);

/** Names of the contexts in a lab's kubeconfig. */
function contextsOf(lab: Lab): string[] {
  const path = lab.env.KUBECONFIG!;
  if (!existsSync(path)) return [];
  const document = Bun.YAML.parse(readFileSync(path, 'utf8')) as { contexts?: { name: string }[] };
  return (document.contexts ?? []).map((context) => context.name);
}

function stateOf(lab: Lab): string {
  return `/var/lib/hostport/clusters/${lab.name}`;
}

/** A creation that is stopped once it has printed something. After the last line it could finish first, so it is held up there. */
function startCreation(lab: Lab, said?: string) {
  return start(lab, 'create', ...(said === 'Installing CNI' ? ['--config', neverReady(lab)] : []));
}

/** Configuration of a cluster whose nodes get no network from what is to be their CNI, and do not get Ready. */
function neverReady(lab: Lab): string {
  const manifest = lab.file(
    'cni.yaml',
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: none, namespace: default}\n',
  );
  return lab.file(
    'config.yaml',
    `kind: Cluster
apiVersion: kind.sigs.k8s.io/v1alpha4
nodes:
- role: control-plane
  extraMounts:
  - {hostPath: ${manifest}, containerPath: /kind/manifests/default-cni.yaml}
`,
  );
}

/** A creation or deletion in a process group of its own, as a shell with job control starts it. */
function start(lab: Lab, verb: 'create' | 'delete', ...options: string[]) {
  const child = Bun.spawn([PROGRAM, verb, 'cluster', '--name', lab.name, ...options], {
    env: lab.env,
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  let said = '';
  let heard = () => {};
  const reading = (async () => {
    for await (const chunk of child.stderr) {
      said += new TextDecoder().decode(chunk);
      heard();
    }
  })();
  return {
    pid: child.pid,
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    /** Exit status and all of standard error. */
    ended: reading.then(async () => ({ code: await child.exited, said })),
    /** Resolves as soon as it has said so; rejects when it ends without. */
    hasSaid: (text: string) =>
      new Promise<void>((resolve, reject) => {
        heard = () => {
          if (said.includes(text)) resolve();
        };
        heard();
        void child.exited.then(() => reject(new Error(`ended without saying "${text}":\n${said}`)));
      }),
    /** As a terminal does it: to every process of the group. */
    signal: (signal: NodeJS.Signals) => process.kill(-child.pid, signal),
    kill: () => child.kill('SIGKILL'),
  };
}
