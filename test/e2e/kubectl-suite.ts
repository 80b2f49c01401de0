import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync } from 'node:fs';
import { eventually } from './eventually.ts';
import { Kubectl } from './kubectls.ts';
import { Lab, PROGRAM, type Ran } from './lab.ts';

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
  containers: [{name: box, image: busybox, command: [sleep, "1000"]}]
`;

const CONFIG_MAP = (name: string, value: string) => `apiVersion: v1
kind: ConfigMap
metadata:
  name: ${name}
data:
  key: ${value}
`;

const DEFINITION = (plural: string, kind: string) => `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ${plural}.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: ${plural}, kind: ${kind}}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    additionalPrinterColumns: [{name: Wanted, type: integer, jsonPath: .spec.replicas}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            x-kubernetes-validations: [{rule: "self.replicas <= 9", message: too many}]
            properties:
              replicas: {type: integer, description: how many there are to be}
              image: {type: string, default: busybox}
          status: {type: object, properties: {replicas: {type: integer}}}
`;

const CUSTOM = (kind: string, name: string, replicas: number) => `apiVersion: stable.example.com/v1
kind: ${kind}
metadata: {name: ${name}}
spec: {replicas: ${replicas}}
`;

const ROUND = '-o jsonpath={.spec.template.spec.containers[0].env[0].value}';

/** A cluster for kubectl's verbs. */
export interface KubectlSubject {
  title: string;
  /** Name of its cluster. */
  name: string;
  /** Executables of kubectl, with their versions where those are not in their names. */
  kubectls: readonly { path: string; version?: string }[];
  /** Further words for `create cluster`. */
  words: readonly string[];
  /** Why it cannot run here; undefined when it can. */
  missing: string | undefined;
  createMs: number;
}

/**
 * Declares what every kubectl must do. The versions and their tests run at the same time: each works on objects of its own, and the API has to
 * bear it.
 */
export function kubectlSuite(subject: KubectlSubject): void {
  const { title, missing } = subject;
  describe.skipIf(missing !== undefined)(`${title}${missing ? ` (${missing})` : ''}`, () => verbs(subject));
}

function verbs({ name: cluster, kubectls, words, createMs }: KubectlSubject): void {
  const lab = new Lab(cluster);
  const worker = `${cluster}-worker`;
  const versions = kubectls.map(({ path, version }) => new Kubectl(lab, path, version));
  beforeAll(async () => {
    const config = lab.file(
      'config.yaml',
      'kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha4\nnodes: [{role: control-plane}, {role: worker}, {role: worker, labels: {tier: b, node-restriction.kubernetes.io/zone: z}}]\n',
    );
    const create = [PROGRAM, 'create', 'cluster', '--name', cluster, '--config', config, ...words];
    expect(await lab.command(create, { timeoutMs: createMs })).toMatchObject({ code: 0 });
  }, createMs);
  afterAll(() => lab.delete());

  describe.each(versions.map((kubectl) => [kubectl.version, kubectl] as const))('%s', (_, kubectl) => {
    const { tag } = kubectl;

    test.concurrent('apply, apply again without a difference, rollout status, history, undo', async () => {
      const name = `echo-${tag}`;
      expect(await kubectl.must('apply -f -', DEPLOYMENT(name, 'one'))).toContain('created');
      expect(await kubectl.must('apply -f -', DEPLOYMENT(name, 'one'))).toContain('unchanged');
      expect(await kubectl.must(`rollout status deployment/${name} --timeout=60s`)).toContain(
        'successfully rolled out',
      );
      expect(await kubectl.must('apply -f -', DEPLOYMENT(name, 'two'))).toContain('configured');
      await kubectl.must(`rollout status deployment/${name} --timeout=60s`);
      expect(await kubectl.must(`rollout history deployment/${name}`)).toMatch(/^1 .*\n2 /m);
      expect(await kubectl.must(`rollout history deployment/${name} --revision=1`)).toMatch(/ROUND:\s+one/);
      await kubectl.must(`rollout undo deployment/${name}`);
      await kubectl.must(`rollout status deployment/${name} --timeout=60s`);
      expect(await kubectl.must(`get deployment ${name} ${ROUND}`)).toBe('one');
      await kubectl.must(`delete deployment ${name} --timeout=60s`);
    });

    test.concurrent('create deployment, expose, scale, rollout restart, pause and resume', async () => {
      const name = `made-${tag}`;
      await kubectl.must(`create deployment ${name} --image=inanimate/echo-server --replicas=1 --port=8080`);
      expect(await kubectl.must(`expose deployment ${name} --port=80`)).toContain('exposed');
      await kubectl.must(`rollout status deployment/${name} --timeout=60s`);
      const before = await kubectl.must(`get pods -l app=${name} -o name`);
      expect(await kubectl.must(`rollout restart deployment/${name}`)).toContain('restarted');
      await kubectl.must(`rollout status deployment/${name} --timeout=60s`);
      await kubectl.must(`wait --for=delete ${before.trim()} --timeout=60s`);
      const after = await kubectl.must(`get pods -l app=${name} -o name`);
      expect(after).toMatch(new RegExp(`^pod/${name}-[a-z0-9]+-[a-z0-9]{5}\n$`));
      expect(after).not.toBe(before);
      expect(await kubectl.must(`rollout pause deployment/${name}`)).toContain('paused');
      await kubectl.must(`set env deployment/${name} COLOUR=blue`);
      expect(await kubectl.must(`rollout resume deployment/${name}`)).toContain('resumed');
      const wrong = await kubectl.run(`scale deployment/${name} --current-replicas=7 --replicas=3`);
      expect(wrong.stderr).toContain('Expected replicas to be 7, was 1');
      expect(await kubectl.must(`scale deployment/${name} --replicas=3`)).toContain('scaled');
      await kubectl.must(`rollout status deployment/${name} --timeout=60s`);
      await kubectl.must(`wait --for=condition=Available deployment/${name} --timeout=60s`);
      expect(await kubectl.must(`get deployment ${name}`)).toMatch(new RegExp(`${name} +3/3 +3 +3 `));
      // Another controller than that of the Deployment writes them, when it has heard of the pods.
      await eventually('the endpoints to be the pods', async () => {
        const running = `get pods -l app=${name} --field-selector status.phase=Running`;
        const addresses = await kubectl.must(`${running} -o jsonpath={.items[*].status.podIP}`);
        const endpoints = await kubectl.must(
          `get endpoints ${name} -o jsonpath={.subsets[*].addresses[*].ip}`,
        );
        const ips = endpoints.split(' ');
        return ips.length === 3 && ips.every((ip) => addresses.split(' ').includes(ip));
      });
      await eventually('one slice of endpoints', async () =>
        new RegExp(`^endpointslice.discovery.k8s.io/${name}-[a-z0-9]+\n$`).test(
          await kubectl.must(`get endpointslices -l kubernetes.io/service-name=${name} -o name`),
        ),
      );
      await kubectl.must(`delete deployment,service ${name} --timeout=60s`);
    });

    test.concurrent('apply server-side: conflict, force, diff, and over from client-side', async () => {
      const name = `applied-${tag}`;
      await kubectl.must('apply -f -', CONFIG_MAP(name, 'one'));
      expect(await kubectl.must('apply --server-side -f -', CONFIG_MAP(name, 'two'))).toContain(
        'serverside-applied',
      );
      await kubectl.must([
        'patch',
        'configmap',
        name,
        '--field-manager=editor',
        '--patch',
        '{"data":{"key":"three"}}',
      ]);
      const refused = await kubectl.run('apply --server-side -f -', { stdin: CONFIG_MAP(name, 'two') });
      expect(refused.stderr).toContain(
        'Apply failed with 1 conflict: conflict with "editor" using v1: .data.key',
      );
      const forced = 'apply --server-side --force-conflicts -f -';
      expect(await kubectl.must(forced, CONFIG_MAP(name, 'two'))).toContain('serverside-applied');
      const shown = JSON.parse(await kubectl.must(`get configmap ${name} -o json --show-managed-fields`));
      const managers = shown.metadata.managedFields.map(
        ({ manager, operation }: Record<string, string>) => `${manager} ${operation}`,
      );
      // The second is kubectl's own: it keeps the annotation for who goes back to client-side apply.
      expect(managers.sort()).toEqual(['kubectl Apply', 'kubectl-last-applied Apply']);
      const same = await kubectl.run('diff --server-side -f -', { stdin: CONFIG_MAP(name, 'two') });
      expect([same.code, same.stdout]).toEqual([0, '']);
      const other = await kubectl.run('diff --server-side -f -', { stdin: CONFIG_MAP(name, 'four') });
      expect([other.code, other.stdout]).toEqual([1, expect.stringContaining('+  key: four')]);
      await kubectl.must(`delete configmap ${name}`);
    });

    test.concurrent('a kind of one’s own: define, wait, explain, apply, get, scale, delete', async () => {
      const plural = `gears${tag}`;
      const kind = `Gear${tag}`;
      await kubectl.must('apply -f -', DEFINITION(plural, kind));
      await kubectl.must(`wait --for=condition=established crd/${plural}.stable.example.com --timeout=30s`);
      await eventually('the schema to be published', async () =>
        (await kubectl.must(`explain ${plural}.spec.replicas`)).includes('how many there are to be'),
      );
      expect(await kubectl.must('apply --server-side -f -', CUSTOM(kind, 'one', 2))).toContain(
        'serverside-applied',
      );
      expect(await kubectl.must(`get ${plural}`)).toMatch(/^NAME +WANTED\none +2\n$/);
      const wrong = await kubectl.run('apply -f -', { stdin: CUSTOM(kind, 'two', 10) });
      expect(wrong.stderr).toContain('spec: Invalid value: too many');
      await kubectl.must(`scale ${plural}/one --replicas=3`);
      expect(await kubectl.must(`get ${plural} one -o jsonpath={.spec}`)).toBe(
        '{"image":"busybox","replicas":3}',
      );
      await kubectl.must(`delete crd ${plural}.stable.example.com --timeout=30s`);
      const gone = await kubectl.run(`get ${plural}`);
      expect(gone.stderr).toMatch(/could not find the requested resource|doesn't have a resource type/);
    });

    test.concurrent('get in every form: wide, yaml, json, name, custom-columns, -A, -l, --field-selector, -w', async () => {
      const name = `pod-${tag}`;
      await kubectl.must('apply -f -', POD(name));
      await kubectl.must(`wait --for=condition=Ready pod/${name} --timeout=60s`);
      expect(await kubectl.must('get pods')).toMatch(
        new RegExp(`^NAME +READY +STATUS +RESTARTS +AGE\n(.*\n)*${name} +1/1 +Running +0 `),
      );
      expect(await kubectl.must(`get pod ${name} -o wide`)).toMatch(
        new RegExp(` 10\\.244\\.\\d+\\.\\d+ +${worker}2? +<none> +<none>`),
      );
      const json = JSON.parse(await kubectl.must(`get pod ${name} -o json`));
      expect(json.status.phase).toBe('Running');
      expect(await kubectl.must(`get pod ${name} -o yaml`)).toContain(`name: ${name}`);
      expect(await kubectl.must(`get pods -o name -l run=${name}`)).toBe(`pod/${name}\n`);
      expect(
        await kubectl.must('get pods -o custom-columns=name:.metadata.name,nodeIP:.status.hostIP'),
      ).toMatch(new RegExp(`${name} +172\\.17\\.0\\.`));
      expect(await kubectl.must(`get pods -A -l run=${name}`)).toMatch(new RegExp(`^default +${name} `, 'm'));
      expect(
        await kubectl.must(`get pods -A --field-selector spec.nodeName=${json.spec.nodeName}`),
      ).toContain(name);
      expect(await kubectl.must(`get pods --field-selector status.phase=Failed,metadata.name=${name}`)).toBe(
        '',
      );
      expect(await kubectl.must('get nodes --sort-by=.metadata.name --no-headers')).toMatch(
        new RegExp(`^${cluster}-control-plane .*\n${worker} .*\n${worker}2 .*\n$`),
      );
      const roles = await kubectl.must('get nodes --sort-by=.metadata.name --no-headers');
      expect(roles).toMatch(
        new RegExp(
          `^${cluster}-control-plane +Ready +control-plane .*\n${worker} +Ready +<none> .*\n${worker}2 +Ready +<none> `,
        ),
      );
      expect(await kubectl.must('get nodes -o name -l node-restriction.kubernetes.io/zone=z,tier=b')).toBe(
        `node/${worker}2\n`,
      );
      const watch = kubectl.start(`get pods -w -l run=${name}`);
      try {
        await watch.until(/ Running /);
        await kubectl.must(`delete pod ${name} --timeout=30s`);
        await kubectl.must('apply -f -', POD(name));
        await watch.until(/ Running (.*\n)*.* Terminating (.*\n)*.* Pending (.*\n)*.* Running /);
      } finally {
        await watch.stop();
      }
      await kubectl.must(`delete pod ${name} --timeout=30s`);
    });

    test.concurrent('describe pod and node, events, explain, api-resources, version, cluster-info', async () => {
      const name = `desc-${tag}`;
      await kubectl.must('apply -f -', POD(name));
      await kubectl.must(`wait --for=condition=Ready pod/${name} --timeout=60s`);
      const pod = await kubectl.must(`describe pod ${name}`);
      expect(pod).toMatch(new RegExp(`^Node: +${worker}2?/172\\.17\\.0\\.\\d+$`, 'm'));
      expect(pod).toMatch(/^ +State: +Running$/m);
      // Events are written after what they are about, and one after another.
      for (const reason of ['Scheduled', 'Pulled', 'Created', 'Started']) {
        await eventually(`the event ${reason}`, async () =>
          new RegExp(`^ +Normal +${reason} `, 'm').test(await kubectl.must(`describe pod ${name}`)),
        );
      }
      const node = await kubectl.must(`describe node ${worker}`);
      for (const part of [/^PodCIDR: +10\.244\./m, /^ +Ready +True /m, /^Allocated resources:/m]) {
        expect(node).toMatch(part);
      }
      expect(await kubectl.must('get events')).toContain(name);
      expect(await kubectl.must(`events --for pod/${name}`)).toContain('Started');
      expect(await kubectl.must('explain pod.spec.containers.ports.hostPort')).toMatch(
        /Number of port to expose on the host/,
      );
      expect(await kubectl.must('api-resources')).toMatch(
        /^deployments +deploy +apps\/v1 +true +Deployment/m,
      );
      expect(await kubectl.must('api-versions')).toMatch(/^apps\/v1$/m);
      expect(JSON.parse(await kubectl.must('version -o json')).serverVersion.gitVersion).toMatch(
        /^v1\.\d+\.\d+/,
      );
      expect(plain(await kubectl.must('cluster-info'))).toMatch(
        /^Kubernetes control plane is running at https:\/\/127\.0\.0\.1:\d+$/m,
      );
      expect(await kubectl.must('config current-context')).toBe(`kind-${cluster}\n`);
      expect(await kubectl.must('get --raw /healthz')).toBe('ok');
      await kubectl.must(`delete pod ${name} --timeout=30s`);
    });

    test.concurrent('run, patch in all three ways, label, annotate, edit', async () => {
      const name = `run-${tag}`;
      await kubectl.must(`run ${name} --image=busybox --labels=run=${name},colour=blue -- sleep 1000`);
      expect(
        await kubectl.must(['patch', 'pod', name, '-p', '{"metadata":{"labels":{"a":"strategic"}}}']),
      ).toContain('patched');
      await kubectl.must([
        'patch',
        'pod',
        name,
        '--type=merge',
        '-p',
        '{"metadata":{"labels":{"b":"merge"}}}',
      ]);
      const replace = (path: string) => JSON.stringify([{ op: 'replace', path, value: 'json' }]);
      await kubectl.must(['patch', 'pod', name, '--type=json', '-p', replace('/metadata/labels/b')]);
      const nothing = await kubectl.run([
        'patch',
        'pod',
        name,
        '--type=json',
        '-p',
        '[{"op":"remove","path":"/metadata/labels/z"}]',
      ]);
      expect(nothing.code).toBe(1);
      expect(nothing.stderr).toContain('the server rejected our request due to an error in our request');
      expect(await kubectl.must(`label pod ${name} shape=round`)).toContain('labeled');
      const taken = await kubectl.run(`label pod ${name} shape=square`);
      expect(taken.stderr).toContain("'shape' already has a value (round), and --overwrite is false");
      expect(await kubectl.must(`annotate pod ${name} note=kept`)).toContain('annotate');
      const editor = lab.file(`editor-${tag}`, '#!/bin/sh\nsed -i "s/colour: blue/colour: green/" "$1"\n');
      chmodSync(editor, 0o755);
      const edited = await kubectl.run(`edit pod ${name}`, { env: { KUBE_EDITOR: editor } });
      expect(edited.stdout).toContain('edited');
      const { metadata } = JSON.parse(await kubectl.must(`get pod ${name} -o json`));
      expect(metadata.labels).toEqual({
        a: 'strategic',
        b: 'json',
        colour: 'green',
        run: name,
        shape: 'round',
      });
      expect(metadata.annotations.note).toBe('kept');
      await kubectl.must(`delete pod ${name} --now --timeout=30s`);
    });

    test.concurrent('delete: waited for, with a selector, without grace', async () => {
      const name = `gone-${tag}`;
      await kubectl.must('apply -f -', POD(name));
      await kubectl.must(`wait --for=condition=Ready pod/${name} --timeout=60s`);
      const node = await kubectl.must(`get pod ${name} -o jsonpath={.spec.nodeName}`);
      expect(await sandboxesOf(node, name)).not.toBe('');
      const waiting = kubectl.run(`wait --for=delete pod/${name} --timeout=60s`);
      const deleted = await kubectl.run(`delete pod ${name} --grace-period=0 --force`);
      expect(deleted.stdout).toContain('force deleted');
      expect((await waiting).code).toBe(0);
      // The object is gone at once; what ran for it is gone when the kubelet has heard of that.
      while ((await sandboxesOf(node, name)) !== '') await Bun.sleep(200);
      for (const each of ['a', 'b'])
        await kubectl.must(`create configmap ${name}-${each} --from-literal=a=b`);
      await kubectl.must(`label configmap ${name}-a ${name}-b of=${name}`);
      // Since 1.34 kubectl says from which namespace.
      const deletions = (await kubectl.must(`delete configmap -l of=${name}`)).replaceAll(
        ' from default namespace',
        '',
      );
      expect(deletions).toBe(`configmap "${name}-a" deleted\nconfigmap "${name}-b" deleted\n`);
      const again = await kubectl.run(`delete configmap ${name}-a`);
      expect(again.stderr).toBe(`Error from server (NotFound): configmaps "${name}-a" not found\n`);
      expect(await kubectl.must(`delete configmap ${name}-a --ignore-not-found`)).toBe('');
    });

    test.concurrent('create configmap, secret, service, role; namespaces with all that is in them go', async () => {
      const name = `ns-${tag}`;
      const inside = `-n ${name}`;
      const file = lab.file(`${name}.txt`, 'lines\nof text\n');
      await kubectl.must(`create namespace ${name}`);
      await kubectl.must(`create configmap c ${inside} --from-literal=a=b --from-file=text=${file}`);
      const data = JSON.parse(await kubectl.must(`get configmap c ${inside} -o jsonpath={.data}`));
      expect(data).toEqual({ a: 'b', text: 'lines\nof text\n' });
      await kubectl.must(`create secret generic s ${inside} --from-literal=password=hidden`);
      expect(await kubectl.must(`get secret s ${inside} -o jsonpath={.data.password}`)).toBe(btoa('hidden'));
      expect(await kubectl.must(`describe secret s ${inside}`)).not.toContain('hidden');
      await kubectl.must(`create service clusterip web ${inside} --tcp=80:8080`);
      expect(await kubectl.must(`get service web ${inside}`)).toMatch(
        /^web +ClusterIP +10\.96\.\S+ +<none> +80\/TCP /m,
      );
      await kubectl.must(`create role reader ${inside} --verb=get,list --resource=pods`);
      await kubectl.must(`create rolebinding reader ${inside} --role=reader --user=anna`);
      const can = (what: string) => kubectl.run(`auth can-i ${what} ${inside} --as=anna`);
      await eventually('the role to be obeyed', async () => (await can('list pods')).stdout === 'yes\n');
      expect((await can('delete pods')).stdout).toBe('no\n');
      await kubectl.must(`apply ${inside} -f -`, DEPLOYMENT('inside', 'one'));
      await kubectl.must(`delete namespace ${name} --timeout=60s`);
      const gone = await kubectl.run(`get namespace ${name}`);
      expect(gone.stderr).toContain(`namespaces "${name}" not found`);
      await kubectl.must(`create namespace ${name}`);
      const left = await kubectl.must(
        `get pods,deployments,replicasets,services,secrets,roles ${inside} -o name`,
      );
      expect(left).toBe('');
      await kubectl.must(`delete namespace ${name} --timeout=60s`);
    });

    test.concurrent('diff and dry runs', async () => {
      const name = `diff-${tag}`;
      const dry = await kubectl.must('create --dry-run=server -o name -f -', CONFIG_MAP(name, 'one'));
      expect(dry).toBe(`configmap/${name}\n`);
      expect(await kubectl.must('apply --dry-run=server -f -', CONFIG_MAP(name, 'one'))).toBe(
        `configmap/${name} created (server dry run)\n`,
      );
      expect((await kubectl.run(`get configmap ${name}`)).stderr).toContain('not found');
      await kubectl.must('apply -f -', CONFIG_MAP(name, 'one'));
      const same = await kubectl.run('diff -f -', { stdin: CONFIG_MAP(name, 'one') });
      expect(same).toEqual({ code: 0, stdout: '', stderr: '' });
      const other = await kubectl.run('diff -f -', { stdin: CONFIG_MAP(name, 'two') });
      expect(other.code).toBe(1);
      expect(other.stdout).toMatch(/^- {2}key: one\n\+ {2}key: two$/m);
      await kubectl.must(`delete configmap ${name} --dry-run=server`);
      expect(await kubectl.must(`get configmap ${name} -o jsonpath={.data.key}`)).toBe('one');
      const replaced = await kubectl.must('replace -f -', CONFIG_MAP(name, 'four'));
      expect(replaced).toBe(`configmap/${name} replaced\n`);
      const twice = await kubectl.run('create -f -', { stdin: CONFIG_MAP(name, 'five') });
      expect(twice.stderr).toContain(`configmaps "${name}" already exists`);
      await kubectl.must(`delete configmap ${name}`);
    });

    test.concurrent('who may not, hears why', async () => {
      const wrong = await kubectl.run('--token=wrong get pods');
      expect(wrong.code).not.toBe(0);
      expect(text(wrong)).toMatch(/Unauthorized|must be logged in/);
      await kubectl.must(`create serviceaccount sa-${tag}`);
      const token = (await kubectl.must(`create token sa-${tag}`)).trim();
      const whole = await Bun.file(lab.env.KUBECONFIG!).text();
      const config = lab.file(`sa-${tag}.kubeconfig`, whole.replace(/token: \S+/, `token: ${token}`));
      const denied = await kubectl.run(['--kubeconfig', config, 'get', 'pods']);
      expect(text(denied)).toContain(
        `pods is forbidden: User "system:serviceaccount:default:sa-${tag}" cannot list resource "pods" in API group "" in the namespace "default"`,
      );
      expect(await kubectl.must('auth can-i delete nodes')).toBe('yes\n');
      // 1.27 asks for a version of that API which servers no longer have.
      if (kubectl.version !== '1.27') {
        const who = JSON.parse(await kubectl.must(['--kubeconfig', config, 'auth', 'whoami', '-o', 'json']));
        expect(who.status.userInfo.username).toBe(`system:serviceaccount:default:sa-${tag}`);
      }
      await kubectl.must(`delete serviceaccount sa-${tag}`);
    });

    test.concurrent('nobody grants rights they do not have, and no node marks itself', async () => {
      const name = `granter-${tag}`;
      await kubectl.must(`create clusterrole ${name} --verb=create,get --resource=clusterrolebindings`);
      await kubectl.must(`create clusterrolebinding ${name} --clusterrole=${name} --group=${name}`);
      const take = `--as=eve --as-group=other --as-group=${name} create clusterrolebinding taken-${tag} --clusterrole=cluster-admin --user=eve`;
      await eventually('the role to be obeyed', async () =>
        text(await kubectl.run(take)).includes(
          `user "eve" (groups=["other" "${name}" "system:authenticated"]) is attempting to grant RBAC permissions not currently held`,
        ),
      );
      const node = `--as=system:node:${worker} --as-group=system:nodes`;
      const label = await kubectl.run(`${node} label node ${worker} node-restriction.kubernetes.io/${tag}=y`);
      expect(text(label)).toContain(`is not allowed to modify labels: node-restriction.kubernetes.io/${tag}`);
      expect(text(await kubectl.run(`${node} get nodes`))).toContain(
        `node '${worker}' cannot read all nodes, only its own Node object`,
      );
      await kubectl.must(`delete clusterrolebinding ${name}`);
      await kubectl.must(`delete clusterrole ${name}`);
    });
  });

  test('a static pod shows in the API as its node’s, and goes with its manifest', async () => {
    const [kubectl] = versions;
    const manifest = '/etc/kubernetes/manifests/web.yaml';
    await lab.must('cp', lab.file('web.yaml', POD('web')), `${worker}:${manifest}`);
    const pod = `pod web-${worker}`;
    await eventually(
      'the mirror to be ready',
      async () =>
        (await kubectl!.must(
          `get ${pod} -o jsonpath={.metadata.ownerReferences[0].kind}/{.metadata.ownerReferences[0].name}:{.status.phase}`,
        )) === `Node/${worker}:Running`,
    );
    expect((await lab.inNode(worker, 'rm', manifest)).code).toBe(0);
    await eventually('the mirror to be gone', async () => (await kubectl!.run(`get ${pod}`)).code !== 0);
  });

  // A cordon affects every test, so these run one after another, when no other test runs.
  test.each(versions.map((kubectl) => [kubectl.version, kubectl] as const))(
    '%s: cordon, drain, uncordon, taint',
    async (_, kubectl) => {
      const name = `drained-${kubectl.tag}`;
      await kubectl.must('apply -f -', DEPLOYMENT(name, 'one'));
      await kubectl.must(`rollout status deployment/${name} --timeout=60s`);
      expect(await kubectl.must(`cordon ${worker}2`)).toContain('cordoned');
      expect(await kubectl.must(`get node ${worker}2`)).toContain('SchedulingDisabled');
      await kubectl.must(`drain ${worker}2 --ignore-daemonsets --timeout=60s`);
      await kubectl.must(`rollout status deployment/${name} --timeout=60s`);
      const nodes = `get pods -l app=${name} -o jsonpath={.items[*].spec.nodeName}`;
      expect(await kubectl.must(nodes)).toBe(`${worker} ${worker}`);
      await kubectl.must(`uncordon ${worker}2`);
      await kubectl.must(`taint node ${worker} out=of-order:NoSchedule`);
      await kubectl.must(`rollout restart deployment/${name}`);
      await kubectl.must(`rollout status deployment/${name} --timeout=60s`);
      await kubectl.must(`taint node ${worker} out-`);
      const running = `${nodes} --field-selector spec.nodeName=${worker}2`;
      expect(await kubectl.must(running)).toBe(`${worker}2 ${worker}2`);
      await kubectl.must(`delete deployment ${name} --timeout=60s`);
    },
  );

  /** Containers of a pod that the node's runtime knows, one a line. */
  async function sandboxesOf(node: string, pod: string): Promise<string> {
    const filter = `labels."io.kubernetes.pod.name"==${pod}`;
    const ran = await lab.inNode(node, 'ctr', '-n', 'k8s.io', 'containers', 'ls', '-q', filter);
    if (ran.code !== 0) throw new Error(`ctr in ${node}: ${ran.stderr}`);
    return ran.stdout;
  }
}

function text(ran: Ran): string {
  return ran.stdout + ran.stderr;
}

/** Without the colours that some kubectls print even into a pipe. */
function plain(coloured: string): string {
  return coloured.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g'), '');
}
