import { afterEach, describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
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

/** The end of a creation that was stopped by Ctrl-C. */
const INTERRUPTED = /^ERROR: interrupted by SIGINT\n$/m;

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

    test('nothing after delete, and delete again is no error', async () => {
      const lab = labNamed('clean1');
      await lab.must('create', 'cluster', '--name', lab.name);
      expect(leftovers(lab.name).map((line) => line.split(' ')[0])).toEqual(
        expect.arrayContaining(['process', 'file', 'cgroup']),
      );
      await lab.must('delete', 'cluster', '--name', lab.name);
      expect(leftovers(lab.name)).toEqual([]);
      expect(contextsOf(lab)).not.toContain(lab.name);
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
      expect(contextsOf(lab)).not.toContain(lab.name);
    });

    for (const [index, [said, ms]] of MOMENTS.entries()) {
      const moment = `${ms} ms after "${said}"`;

      test(`nothing after Ctrl-C ${moment}`, async () => {
        const lab = labNamed(`int${index}`);
        const creation = startCreation(lab);
        await creation.hasSaid(said);
        await sleep(ms);
        creation.signal('SIGINT');
        expect(await creation.ended).toEqual({ code: 130, said: expect.stringMatching(INTERRUPTED) });
        expect(leftovers(lab.name)).toEqual([]);
        expect(contextsOf(lab)).not.toContain(lab.name);
      });

      test(`nothing after kill -9 ${moment}, and delete`, async () => {
        const lab = labNamed(`kill${index}`);
        const creation = startCreation(lab);
        await creation.hasSaid(said);
        await sleep(ms);
        creation.kill();
        await creation.ended;
        await lab.must('delete', 'cluster', '--name', lab.name);
        expect(leftovers(lab.name)).toEqual([]);
        expect(contextsOf(lab)).not.toContain(lab.name);
      });
    }

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
          `${verb} cluster "busy": it is being created by process ${creation.pid}; wait for that, or interrupt it`,
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
      expect(again.stderr).toContain('exists already');
      expect((await lab.kubectl(['get', '--raw', '/readyz'])).stdout).toContain('ok');
    });

    for (const name of ['..', '../..', 'a/../..', '', '.', '/etc']) {
      test(`delete refuses the name ${JSON.stringify(name)}`, async () => {
        const lab = labNamed('names');
        const ran = await lab.hostport('delete', 'cluster', '--name', name);
        expect(ran.stderr).toContain('is not a cluster name');
        expect(ran.code).toBe(1);
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

/** A creation in a process group of its own, as a shell with job control starts it. */
function startCreation(lab: Lab) {
  const child = Bun.spawn([PROGRAM, 'create', 'cluster', '--name', lab.name], {
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
