import { afterAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXAMPLE, Lab, labMissing, leftovers, PROGRAM } from './lab.ts';

const missing = labMissing();
const NODE = 'first-control-plane';
const WITHOUT_CNI =
  'kind: Cluster\napiVersion: kind.sigs.k8s.io/v1alpha4\nnetworking: {disableDefaultCNI: true}\n';

describe.skipIf(missing !== undefined)(`first steps${missing ? ` (${missing})` : ''}`, () => {
  describe('a cluster without a CNI', () => {
    const lab = new Lab('first');
    const config = lab.file('config.yaml', WITHOUT_CNI);
    const create = (...words: string[]) =>
      lab.hostport('create', 'cluster', '--name', lab.name, '--config', config, ...words);
    afterAll(() => lab.delete());

    async function kubectl(words: string, stdin?: string): Promise<string> {
      const ran = await lab.kubectl(words.split(' '), stdin === undefined ? {} : { stdin });
      if (ran.code !== 0) throw new Error(`kubectl ${words}: exit ${ran.code}\n${ran.stderr}`);
      return ran.stdout;
    }

    test('is up with a warning after --wait, as with kind', async () => {
      const ran = await create('--wait', '1s');
      expect(ran.stderr).toMatch(
        /^warning: waited 1000 ms for all nodes to be Ready; last seen: first-control-plane: container runtime network not ready/m,
      );
      expect(ran.stderr).toContain('\nNodes are NotReady until a CNI is installed');
      expect(ran.code).toBe(0);
      await lab.must('delete', 'cluster', '--name', lab.name);
    });

    test('is up with its nodes NotReady, and says so', async () => {
      const ran = await create();
      expect(ran.stderr).toContain(
        '\nNodes are NotReady until a CNI is installed (networking.disableDefaultCNI is true)\nSet kubectl context to "kind-first"\n',
      );
      expect(ran.stderr).not.toContain('✗');
      expect(ran.code).toBe(0);
      expect(await kubectl('get nodes --no-headers')).toMatch(/^first-control-plane +NotReady /);
    });

    test('is Ready with the CNI that its user installs', async () => {
      const conflist = lab.file('10-mine.conflist', JSON.stringify(CONFLIST));
      await lab.must('cp', conflist, `${NODE}:/etc/cni/net.d/10-mine.conflist`);
      await kubectl(`wait --for=condition=Ready node/${NODE} --timeout=60s`);
    });

    test('a pod that selects a label set a moment ago runs, on the node that it names', async () => {
      for (const round of [1, 2, 3]) {
        await kubectl(`label node ${NODE} round-${round}=yes`);
        await kubectl('apply -f -', selecting(`labelled-${round}`, `round-${round}`));
      }
      for (const round of [1, 2, 3]) {
        await kubectl(`wait --for=jsonpath={.status.phase}=Running pod/labelled-${round} --timeout=60s`);
      }
      await kubectl('apply -f -', selecting('elsewhere', 'round-0'));
      await kubectl('wait --for=jsonpath={.status.phase}=Failed pod/elsewhere --timeout=60s');
      expect(await kubectl('get pod elsewhere -o jsonpath={.status.reason}')).toBe('NodeAffinity');
    });

    // In a mount namespace of its own, so that the machine's /opt stays as it is.
    test.each([
      ['has no portmap', 'touch /opt/cni/bin/mine', 'mine'],
      ['has a portmap that cannot be run', 'touch /opt/cni/bin/portmap', 'tuning'],
    ])('the plugins to copy from are there on a machine whose /opt/cni/bin %s', async (_, prepare, other) => {
      const look = 'test -x /opt/cni/bin/portmap && ls /opt/cni/bin';
      const script = `mount -t tmpfs tmpfs /opt; mkdir -p /opt/cni/bin; ${prepare}
${PROGRAM} run --name ${lab.name} -- sh -c '${look}'`;
      const ran = await lab.command(['unshare', '-m', 'sh', '-c', script]);
      expect(ran.stderr).toBe('');
      expect(ran.stdout.split('\n')).toEqual(
        expect.arrayContaining(['bridge', 'loopback', 'portmap', other]),
      );
    });
  });

  test('what was being installed into a mounted directory goes with the cluster; what was installed stays', async () => {
    const lab = new Lab('mounted');
    const opt = join(lab.scratch, 'opt');
    mkdirSync(opt);
    const cni = join(EXAMPLE, 'kind/cni');
    const list = '000-cilium-portmap.conflist';
    // A node with a conflist is Ready before the plugins are there: they are being copied when it is deleted.
    const config = lab.file(
      'config.yaml',
      `kind: Cluster
apiVersion: kind.sigs.k8s.io/v1alpha4
nodes:
- role: control-plane
  extraMounts:
  - {hostPath: ${cni}/cilium.yaml, containerPath: /kind/manifests/default-cni.yaml}
  - {hostPath: ${cni}/${list}, containerPath: /etc/cni/net.d/${list}, readOnly: true}
  - {hostPath: ${opt}, containerPath: /opt/cni}
`,
    );
    for (const isKilledBefore of [true, false]) {
      await lab.must('create', 'cluster', '--name', lab.name, '--config', config);
      if (isKilledBefore) {
        mkdirSync(join(opt, 'bin'), { recursive: true });
        writeFileSync(join(opt, 'bin/.cilium-cni.0a1b2c3d4e5f.tmp'), 'a part');
        writeFileSync(join(opt, 'bin/.mine.tmp'), "somebody's");
      }
      await lab.must('delete', 'cluster', '--name', lab.name);
      const left = existsSync(join(opt, 'bin')) ? readdirSync(join(opt, 'bin')) : [];
      expect(left.filter((name) => name.endsWith('.tmp'))).toEqual(['.mine.tmp']);
      expect(leftovers(lab.name)).toEqual([]);
    }
    await lab.delete();
  });
});

const CONFLIST = {
  cniVersion: '0.4.0',
  name: 'mine',
  plugins: [
    { type: 'ptp', ipam: { type: 'host-local', ranges: [[{ subnet: '10.244.0.0/24' }]] } },
    { type: 'portmap', capabilities: { portMappings: true } },
  ],
};

function selecting(name: string, label: string): string {
  return `apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec:
  nodeName: ${NODE}
  nodeSelector: {${label}: "yes"}
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: busybox, command: [sleep, "1000"]}]
`;
}
