import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync } from 'node:fs';
import { basename } from 'node:path';
import { kubectls } from './kubectls.ts';
import { Lab, labMissing, type Ran } from './lab.ts';

const missing = labMissing();

const DEPLOYMENT = (name: string, value: string) => `apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, labels: {app: ${name}}}
spec:
  replicas: 2
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: echo
        image: inanimate/echo-server
        ports: [{containerPort: 8080, name: http}]
        env: [{name: ROUND, value: "${value}"}]
        readinessProbe: {httpGet: {path: /, port: http}, periodSeconds: 1}
`;

const POD = (name: string) => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {run: ${name}}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: box
    image: busybox
    command: [sh, -c, 'i=0; while [ $i -lt 20 ]; do echo line $i; i=$((i+1)); sleep 0.1; done; sleep 1000']
`;

describe.skipIf(missing !== undefined)(`kubectl${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('kubectl');
  beforeAll(async () => {
    const config = lab.file(
      'config.yaml',
      'kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha4\nnodes: [{role: control-plane}, {role: worker}, {role: worker}]\n',
    );
    await lab.must('create', 'cluster', '--name', lab.name, '--config', config);
  });
  afterAll(() => lab.delete());

  for (const kubectl of kubectls()) {
    const version = basename(kubectl).replace(/^kubectl\.?/, '') || 'on PATH';
    const tag = `v${version.replaceAll(/[^0-9]/g, '')}`;

    describe(version, () => {
      const run = (words: string, stdin?: string) =>
        lab.kubectl(words.split(' '), { kubectl, ...(stdin === undefined ? {} : { stdin }) });
      const must = async (words: string, stdin?: string): Promise<string> => {
        const ran = await run(words, stdin);
        if (ran.code !== 0) throw new Error(`kubectl ${words}: exit ${ran.code}\n${ran.stdout}${ran.stderr}`);
        return ran.stdout;
      };
      const text = (ran: Ran) => ran.stdout + ran.stderr;

      test('apply, apply again without a difference, diff, rollout, undo, scale', async () => {
        const name = `echo-${tag}`;
        expect(await must('apply -f -', DEPLOYMENT(name, 'one'))).toContain('created');
        expect(await must('apply -f -', DEPLOYMENT(name, 'one'))).toContain('unchanged');
        expect(await must(`rollout status deployment/${name} --timeout=60s`)).toContain(
          'successfully rolled out',
        );
        expect(await must('apply -f -', DEPLOYMENT(name, 'two'))).toContain('configured');
        await must(`rollout status deployment/${name} --timeout=60s`);
        expect(await must(`rollout history deployment/${name}`)).toMatch(/^1 .*\n2 /m);
        await must(`rollout undo deployment/${name}`);
        await must(`rollout status deployment/${name} --timeout=60s`);
        const value = '{.spec.template.spec.containers[0].env[0].value}';
        expect(await must(`get deployment ${name} -o jsonpath=${value}`)).toBe('one');
        expect(await must(`scale deployment/${name} --replicas=3`)).toContain('scaled');
        await must(`wait --for=condition=Available deployment/${name} --timeout=60s`);
        await must(`rollout status deployment/${name} --timeout=60s`);
        expect(await must(`get deployment ${name}`)).toMatch(new RegExp(`${name} +3/3 +3 +3 `));
        await must(`delete deployment ${name} --timeout=60s`);
      });

      test('get in every form: wide, yaml, json, custom-columns, -A, -l, --field-selector, -w', async () => {
        const name = `pod-${tag}`;
        await must('apply -f -', POD(name));
        await must(`wait --for=condition=Ready pod/${name} --timeout=60s`);
        expect(await must('get pods')).toMatch(
          new RegExp(`^NAME +READY +STATUS +RESTARTS +AGE\n(.*\n)*${name} +1/1 +Running +0 `),
        );
        expect(await must(`get pod ${name} -o wide`)).toMatch(
          / 10\.244\.\d+\.\d+ +kubectl-worker2? +<none> +<none>/,
        );
        const json = JSON.parse(await must(`get pod ${name} -o json`));
        expect(json.status.phase).toBe('Running');
        expect(await must(`get pod ${name} -o yaml`)).toContain(`name: ${name}`);
        expect(await must(`get pods -o custom-columns=name:.metadata.name,nodeIP:.status.hostIP`)).toMatch(
          new RegExp(`${name} +172\\.17\\.0\\.`),
        );
        expect(await must(`get pods -A -l run=${name}`)).toMatch(new RegExp(`^default +${name} `, 'm'));
        expect(await must(`get pods -A --field-selector spec.nodeName=${json.spec.nodeName}`)).toContain(
          name,
        );
        expect(await must('get pods --field-selector status.phase=Failed')).toBe('');
        const watch = lab.command(['timeout', '20', kubectl, 'get', 'pods', '-w', '-l', `run=${name}`], {});
        await must(`delete pod ${name} --timeout=30s`);
        await must('apply -f -', POD(name));
        await must(`wait --for=condition=Ready pod/${name} --timeout=60s`);
        const seen = (await watch).stdout;
        expect(seen).toMatch(/Terminating/);
        expect(seen.match(/ Running /g)!.length).toBeGreaterThanOrEqual(2);
        await must(`delete pod ${name} --timeout=30s`);
      }, 60_000);

      test('describe pod and node, events, explain, api-resources', async () => {
        const name = `desc-${tag}`;
        await must('apply -f -', POD(name));
        await must(`wait --for=condition=Ready pod/${name} --timeout=60s`);
        const pod = await must(`describe pod ${name}`);
        for (const part of [
          'Node:             kubectl-worker',
          'State:          Running',
          'Scheduled',
          'Pulled',
          'Started',
        ]) {
          expect(pod).toContain(part);
        }
        const node = await must('describe node kubectl-worker');
        for (const part of ['Roles:', 'PodCIDR:', 'Ready', 'Allocated resources:'])
          expect(node).toContain(part);
        expect(await must('get events')).toContain(name);
        expect(text(await run(`events --for pod/${name}`))).toContain('Started');
        expect(await must('explain pod.spec.containers.ports.hostPort')).toMatch(
          /Number of port to expose on the host/,
        );
        expect(await must('api-resources')).toMatch(/^deployments +deploy +apps\/v1 +true +Deployment/m);
        await must(`delete pod ${name} --timeout=30s`);
      });

      test('logs -f, exec with input, exit status and a terminal', async () => {
        const name = `exec-${tag}`;
        await must('apply -f -', POD(name));
        await must(`wait --for=condition=Ready pod/${name} --timeout=60s`);
        const follow = await lab.command(['timeout', '3', kubectl, 'logs', '-f', name]);
        expect(follow.stdout).toMatch(/line 0\n(.*\n)*line 19\n/);
        expect(await must(`logs ${name} --tail=2`)).toBe('line 18\nline 19\n');
        expect(await must(`exec -i ${name} -- cat`, 'through and back\n')).toBe('through and back\n');
        expect((await lab.kubectl(['exec', name, '--', 'sh', '-c', 'exit 7'], { kubectl })).code).toBe(7);
        const tty = await lab.command([
          'script',
          '-qec',
          `${kubectl} exec -it ${name} -- sh -c "tty; stty size"`,
          '/dev/null',
        ]);
        expect(tty.stdout).toContain('/dev/pts/');
        await must(`delete pod ${name} --timeout=30s`);
      });

      test('label, annotate, edit, cordon, drain, uncordon', async () => {
        const name = `edit-${tag}`;
        await must('apply -f -', DEPLOYMENT(name, 'one'));
        expect(await must(`label deployment ${name} colour=blue`)).toContain('labeled');
        expect(await must(`annotate deployment ${name} note=kept`)).toContain('annotated');
        const editor = lab.file(`editor-${tag}`, '#!/bin/sh\nsed -i "s/colour: blue/colour: green/" "$1"\n');
        chmodSync(editor, 0o755);
        lab.env.KUBE_EDITOR = editor;
        expect(await must(`edit deployment ${name}`)).toContain('edited');
        expect(await must(`get deployment ${name} -o jsonpath={.metadata.labels.colour}`)).toBe('green');
        await must(`rollout status deployment/${name} --timeout=60s`);
        expect(await must('cordon kubectl-worker2')).toContain('cordoned');
        expect(await must('get node kubectl-worker2')).toContain('SchedulingDisabled');
        await must('drain kubectl-worker2 --ignore-daemonsets --timeout=60s');
        await must(`rollout status deployment/${name} --timeout=60s`);
        const nodes = await must(`get pods -l app=${name} -o jsonpath={.items[*].spec.nodeName}`);
        expect(nodes).not.toContain('kubectl-worker2');
        await must('uncordon kubectl-worker2');
        await must(`delete deployment ${name} --timeout=60s`);
      });

      test('who may not, hears why', async () => {
        const wrong = await run('--token=wrong get pods');
        expect(wrong.code).not.toBe(0);
        expect(text(wrong)).toMatch(/Unauthorized|must be logged in/);
        await must(`create serviceaccount sa-${tag}`);
        const token = (await must(`create token sa-${tag}`)).trim();
        const config = lab.file(
          `sa-${tag}.kubeconfig`,
          await Bun.file(lab.env.KUBECONFIG!)
            .text()
            .then((whole) => whole.replace(/token: \S+/, `token: ${token}`)),
        );
        const denied = await lab.kubectl(['--kubeconfig', config, 'get', 'pods'], { kubectl });
        expect(text(denied)).toContain(
          `pods is forbidden: User "system:serviceaccount:default:sa-${tag}" cannot list resource "pods" in API group "" in the namespace "default"`,
        );
        expect(await must('auth can-i delete nodes')).toBe('yes\n');
        await must(`delete serviceaccount sa-${tag}`);
      });
    });
  }
});
