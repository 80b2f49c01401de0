import { afterEach, describe, expect, test } from 'bun:test';
import { existsSync, readFileSync } from 'node:fs';
import { Lab, labMissing, leftovers, PROGRAM } from './lab.ts';

const missing = labMissing();

describe.skipIf(missing !== undefined)(
  `what a cluster leaves behind${missing ? ` (${missing})` : ''}`,
  () => {
    let lab: Lab;
    afterEach(() => lab.delete());

    test('nothing after delete, and delete again is no error', async () => {
      lab = new Lab('clean1');
      await lab.must('create', 'cluster', '--name', lab.name);
      expect(leftovers(lab.name)).not.toEqual([]);
      await lab.must('delete', 'cluster', '--name', lab.name);
      expect(leftovers(lab.name)).toEqual([]);
      expect(readFileSync(lab.env.KUBECONFIG!, 'utf8')).not.toContain('kind-clean1');
      await lab.must('delete', 'cluster', '--name', lab.name);
    });

    test('nothing after a creation that fails', async () => {
      lab = new Lab('clean2');
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
    });

    // What is being made is different at each of these moments.
    for (const [index, ms] of [60, 250, 600, 1200].entries()) {
      test(`nothing after Ctrl-C ${ms} ms into creation`, async () => {
        lab = new Lab(`int${index}`);
        const child = Bun.spawn([PROGRAM, 'create', 'cluster', '--name', lab.name], {
          env: lab.env,
          stdio: ['ignore', 'ignore', 'ignore'],
        });
        await Bun.sleep(ms);
        child.kill('SIGINT');
        expect(await child.exited).toBe(130);
        expect(leftovers(lab.name)).toEqual([]);
      });

      test(`nothing after kill -9 ${ms} ms into creation and delete`, async () => {
        lab = new Lab(`kill${index}`);
        const child = Bun.spawn([PROGRAM, 'create', 'cluster', '--name', lab.name], {
          env: lab.env,
          stdio: ['ignore', 'ignore', 'ignore'],
        });
        await Bun.sleep(ms);
        child.kill('SIGKILL');
        await child.exited;
        await lab.must('delete', 'cluster', '--name', lab.name);
        expect(leftovers(lab.name)).toEqual([]);
        const kubeconfig = lab.env.KUBECONFIG!;
        expect(existsSync(kubeconfig) ? readFileSync(kubeconfig, 'utf8') : '').not.toContain(
          `kind-kill${index}`,
        );
      });
    }

    test('a name that is taken is refused, and the cluster that has it is not touched', async () => {
      lab = new Lab('twice');
      await lab.must('create', 'cluster', '--name', lab.name);
      const again = await lab.hostport('create', 'cluster', '--name', lab.name);
      expect(again.code).toBe(1);
      expect(again.stderr).toContain('exists already');
      expect((await lab.kubectl(['get', '--raw', '/readyz'])).stdout).toContain('ok');
    });
  },
);
