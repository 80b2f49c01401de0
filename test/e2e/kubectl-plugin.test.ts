import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { dirname, join } from 'node:path';
import { Kubectl, kubectls } from './kubectls.ts';
import { Lab, labMissing, PROGRAM, ROOT } from './lab.ts';

const missing = labMissing();
const BUNDLE = join(ROOT, 'test/fixtures/bundles/begin');

describe.skipIf(missing !== undefined)(`kubectl hostport${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('plugin');
  // The directory that a user puts on PATH.
  lab.env.PATH = `${dirname(PROGRAM)}:${process.env.PATH}`;
  const versions = missing === undefined ? kubectls().map((path) => new Kubectl(lab, path)) : [];
  beforeAll(() => lab.must('create', 'cluster', '--name', lab.name, '--wait', '60s'));
  afterAll(() => lab.delete());

  describe.each(versions.map((kubectl) => [kubectl.version, kubectl] as const))(
    'kubectl %s',
    (_, kubectl) => {
      test('lists it without a warning', async () => {
        const { code, stdout, stderr } = await kubectl.run('plugin list');
        expect(stdout).toContain(join(dirname(PROGRAM), 'kubectl-hostport'));
        expect({ code, stderr: stderr.replace(/^.*unable to read directory.*\n/gim, '') }).toEqual({
          code: 0,
          stderr: '',
        });
      });

      test('runs the doctor on the cluster of its context', async () => {
        const ran = await kubectl.run('hostport doctor');
        expect(ran.stderr).toBe('');
        expect(ran.stdout).toStartWith(`Cluster "${lab.name}" of the lab, context "kind-${lab.name}" of `);
        expect(ran.stdout).toContain('\n\nNo pod asks for a hostPort.\n');
        expect(ran.code).toBe(0);
      });

      test('hands on options and exit status', async () => {
        const ran = await kubectl.run(['hostport', 'doctor', '--from', BUNDLE, '-o', 'json']);
        expect((JSON.parse(ran.stdout) as { kind: string }).kind).toBe('Diagnosis');
        expect(ran.code).toBe(1);
        const wrong = await kubectl.run('hostport doctor --no-such-option');
        expect(wrong.stderr).toContain('(see "kubectl hostport doctor --help")');
        expect(wrong.code).toBe(2);
      });

      test('looks at the cluster as at any other, by kubeconfig and node reports', async () => {
        const reports = join(lab.scratch, `reports-${kubectl.tag}`);
        const node = `${lab.name}-control-plane`;
        const report = await lab.must('exec', node, '--', 'hostport', 'node-report', '--node', node);
        await Bun.write(join(reports, `${node}.json`), report);
        const ran = await kubectl.run(['hostport', 'doctor', '--reports', reports, '-o', 'json']);
        expect(ran.stderr).toBe('');
        expect(JSON.parse(ran.stdout)).toMatchObject({
          kind: 'Diagnosis',
          paths: [],
          findings: [],
          unknowns: [],
        });
        expect(ran.code).toBe(0);
      });
    },
  );

  test('is there where the lab is stood in', async () => {
    const ran = await lab.inLab('kubectl', 'hostport', 'doctor');
    expect(ran.stdout).toStartWith(`Cluster "${lab.name}" of the lab, context `);
    expect(ran.stdout).toContain('\n\nNo pod asks for a hostPort.\n');
    expect(ran.code).toBe(0);
  });
});
