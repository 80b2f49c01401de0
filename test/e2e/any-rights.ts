import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { type AnyCluster, createAnyCluster, RUNS } from './any-cluster.ts';
import { Lab, ROOT } from './lab.ts';

/** Heals a cluster of the lab as any other, by an account that lacks one right of the healer's role after the other. */
export function anyRights({ title, name, words, missing }: AnyCluster): void {
  describe.skipIf(missing !== undefined)(`${title}: rights${missing ? ` (${missing})` : ''}`, () => {
    const WORKER = `${name}-worker`;
    const lab = new Lab(name);
    const kubectl = (...argv: string[]) => lab.mustKubectl(...argv);
    const inNode = (node: string, ...argv: string[]) => lab.mustAskNode(node, ...argv);

    beforeAll(() => createAnyCluster(lab, words, [WORKER]), 360_000);
    afterAll(() => lab.delete(), 60_000);

    test('each right of the role is needed: without it, heal says which one is missing', async () => {
      const file = join(ROOT, 'deploy/healer-role.yaml');
      const [role] = parseAllDocuments(readFileSync(file, 'utf8')).map((document) => document.toJS());
      const rules = (
        role as {
          rules: { apiGroups: string[]; resources: string[]; verbs: string[]; resourceNames?: string[] }[];
        }
      ).rules;
      const rights = rules.flatMap(({ apiGroups, resources, verbs, resourceNames }) =>
        resources.flatMap((resource) =>
          verbs.map((verb) => ({ group: apiGroups[0]!, resource, verb, resourceNames })),
        ),
      );
      await kubectl('create', 'serviceaccount', 'healer');
      await kubectl(
        'create',
        'clusterrolebinding',
        'healer',
        '--clusterrole=hostport-healer',
        '--serviceaccount=default:healer',
      );
      try {
        const token = (await kubectl('create', 'token', 'healer')).trim();
        const as = JSON.parse(
          await kubectl('config', 'view', '--raw', '--minify', '--flatten', '-o', 'json'),
        );
        as.users = [{ name: as.users[0].name, user: { token } }];
        const kubeconfig = lab.file('healer.json', JSON.stringify(as));
        const run = async (without?: (typeof rights)[number]) => {
          const left = rights.filter((right) => right !== without);
          const given = left.map(({ group, resource, verb, resourceNames }) => ({
            apiGroups: [group],
            resources: [resource],
            verbs: [verb],
            ...(resourceNames && { resourceNames }),
          }));
          const changed = lab.file('role.json', JSON.stringify({ ...(role as object), rules: given }));
          await kubectl('apply', '-f', changed);
          await inNode(WORKER, 'rm', '-f', '/opt/cni/bin/portmap');
          return lab.hostport('heal', '--kubeconfig', kubeconfig, '--yes', '--no-probe', '--node', WORKER);
        };
        await inNode(WORKER, 'cp', '-p', '/opt/cni/bin/portmap', '/root/portmap');
        const whole = await run();
        expect(whole.stderr).not.toContain('you may not');
        expect(whole.stdout).toContain('plugin-missing  node');
        expect(whole.stdout).toContain(': healed');
        // What killed runs have left is found by it, and stays without.
        const tidies = ({ resource, verb }: (typeof rights)[number]) =>
          resource === 'namespaces' && verb === 'list';
        await run(rights.find(tidies));
        expect(await lab.hostport('doctor', '--kubeconfig', kubeconfig, '--cleanup')).toMatchObject({
          code: 2,
          stderr: expect.stringMatching(/namespaces is forbidden/),
        });
        // Without those of the agent, which is not installed here, nothing is missing.
        for (const right of rights.filter((one) => !tidies(one) && one.resourceNames === undefined)) {
          const ran = await run(right);
          const { group, resource, verb } = right;
          const what = `${resource}${group === '' ? '' : `.${group}`}`;
          // What is read, and is not needed, is unknown; the rest is refused or left out with a warning.
          const isUnknown = /^(?:services|events|networkpolicies)/.test(resource) && verb === 'list';
          const said = isUnknown ? ran.stdout : ran.stderr;
          const missing = isUnknown
            ? new RegExp(`${resource}.*cannot list|cannot list.*${resource}`, 's')
            : new RegExp(`you may not .*\\b${verb}\\b.*${what}`, 's');
          expect({ right, said }).toEqual({ right, said: expect.stringMatching(missing) });
        }
      } finally {
        await inNode(WORKER, 'mv', '/root/portmap', '/opt/cni/bin/portmap');
        await kubectl(
          'delete',
          'clusterrolebinding/healer',
          'clusterrole/hostport-healer',
          'serviceaccount/healer',
        );
      }
      expect(await kubectl('get', 'namespaces', '-l', RUNS, '-o', 'name')).toBe('');
    }, 420_000);
  });
}
