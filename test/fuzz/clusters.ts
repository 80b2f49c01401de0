import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { renderDiagnosis } from '../../src/cli/printer/diagnosis.ts';
import { renderJson } from '../../src/cli/printer/document.ts';
import { bundleWorld } from '../../src/collect/bundle.ts';
import { readArchive } from '../../src/collect/bundle-archive.ts';
import { BundleParts } from '../../src/collect/bundle-parts.ts';
import { parseReport, parseReportDocument } from '../../src/collect/report.ts';
import { loadClusterConfig } from '../../src/lab/cluster/config/load.ts';
import { type Diagnosed, diagnose } from '../../src/path/diagnose/diagnose.ts';
import { planHeal } from '../../src/path/heal/plan.ts';
import { describeStep } from '../../src/path/testing/describe-step.ts';
import { writeTar } from '../../src/sys/tar.ts';
import { InputError } from '../../src/util/errors.ts';
import { UNSAFE } from '../../src/util/safe-text.ts';
import { ALL_ANSWER } from '../fixtures/moments.ts';
import { recordedReports } from './documents.ts';
import { changedBytes, changedDocument, changedText, type FuzzTarget, target } from './fuzz.ts';

/** The files of a recorded bundle. */
function recordedFiles(bundle: string): { file: string; text: string }[] {
  return readdirSync(bundle, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.json'))
    .map((file) => ({ file, text: readFileSync(join(bundle, file), 'utf8') }));
}

/** Everything that is said of what was diagnosed, and planned for it. */
function said(diagnosed: Diagnosed): string {
  for (const plan of planHeal(diagnosed, { restart: true }))
    for (const step of plan.steps) describeStep(step);
  return renderDiagnosis(diagnosed.diagnosis, 'hostport') + renderJson(diagnosed.diagnosis, 2);
}

/** Nothing of it moves the cursor of a terminal, or the eye of who reads it. */
function expectSafe(text: string): void {
  const found = text.replaceAll('\n', '').match(UNSAFE);
  if (found !== null) throw new Error(`raw ${JSON.stringify(found[0])} is printed`);
}

/** The verdicts of a node's hostPorts, and what was found there. */
function verdictOf({ diagnosis }: Diagnosed, node: string): string {
  return JSON.stringify(diagnosis.paths.filter((path) => path.node === node));
}

const HEALTHY = 'kind-worker';
const HOSTILE = 'kind-worker3';
const recorded = await bundleWorld(ALL_ANSWER);
const healthy = verdictOf(diagnose(recorded), HEALTHY);
const ofHostile = recordedReports(ALL_ANSWER).find(({ node }) => node === HOSTILE);

const files = [ALL_ANSWER, join(ALL_ANSWER, '../begin')].map(recordedFiles);
/** Directory of the archives that are read, while they are. */
let scratch = '';

const archives = await Promise.all(
  files.map(async (all) => {
    const entries = all.map(({ file, text }) => ({
      ...{ type: 'file' as const, path: `bundle/${file}`, mode: 0o600 },
      content: Buffer.from(text),
    }));
    return Buffer.concat(await Array.fromAsync(writeTar(entries)));
  }),
);

const config = (text: string) => `kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n${text}`;
const configs = [
  readFileSync(join(import.meta.dir, '../../examples/kind-cilium-portmap/kind/config'), 'utf8'),
  config(`name: a
networking: {ipFamily: ipv4, podSubnet: "10.244.0.0/16", serviceSubnet: "10.96.0.0/12", apiServerAddress: "127.0.0.1", apiServerPort: 6443, disableDefaultCNI: true}
featureGates: {A: true}
runtimeConfig: {"api/alpha": "false"}
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  apiServer: {extraArgs: {v: "4"}}
containerdConfigPatches:
- |-
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
nodes:
- role: control-plane
  image: kindest/node:v1.36.1
  extraPortMappings:
  - {containerPort: 80, hostPort: 8080, listenAddress: "127.0.0.1", protocol: TCP}
- role: worker
  labels: {tier: front}
  extraMounts: [{hostPath: /tmp, containerPath: /x, readOnly: true, propagation: None}]
`),
  config('nodes: [&a {role: control-plane}, {<<: *a, role: worker}]\n'),
];
const YAML_WORDS = [
  ...[
    ': ',
    '- ',
    '\n',
    '\n  ',
    '\t',
    '|',
    '>',
    '&a ',
    '*a',
    '!!str ',
    '? ',
    '---\n',
    '#',
    '"',
    "'",
    '{',
    '[',
    '}',
    ']',
  ],
  ...[
    'null',
    '~',
    '99999',
    '-1',
    '0.0.0.0/0',
    '::/0',
    '<<: *a',
    '!!js/function "x"',
    '[*a,*a,*a,*a]',
    '{'.repeat(300),
  ],
];

const archiveTarget = target(
  'archives of bundles',
  0.05,
  fc.record({ bytes: changedBytes(archives), cut: fc.boolean() }),
  async ({ bytes, cut }) => {
    const path = join(scratch, 'archive.tar.gz');
    const packed = gzipSync(bytes, { level: 1 });
    writeFileSync(path, cut ? packed.subarray(0, packed.length >> 1) : packed);
    try {
      await readArchive(path, path, new BundleParts());
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
  },
);

/** Of what nodes, senders of bundles and users of the lab write. */
export const clusterTargets: readonly FuzzTarget[] = [
  target('node reports', 0.01, changedDocument([ofHostile]), (document) => {
    const report = parseReportDocument(document, HOSTILE);
    const diagnosed = diagnose({ ...recorded, reports: new Map([...recorded.reports, [HOSTILE, report]]) });
    expectSafe(said(diagnosed));
    // What one node writes of itself does not change what is said of another.
    const now = verdictOf(diagnosed, HEALTHY);
    if (now !== healthy) throw new Error(`${HEALTHY} is judged otherwise: ${now}, was ${healthy}`);
  }),
  target(
    'bundles',
    0.01,
    fc.constantFrom(...files).chain((all) =>
      fc.nat(all.length - 1).chain((at) =>
        fc.record({
          all: fc.constant(all),
          at: fc.constant(at),
          text: fc.oneof(
            changedDocument([JSON.parse(all[at]!.text)]).map((each) => JSON.stringify(each)),
            changedText([all[at]!.text], ['"', '{', '[', '\\', '\0', '\u001b[2J', '1e999', 'null']),
          ),
        }),
      ),
    ),
    ({ all, at, text }) => {
      const parts = new BundleParts();
      const reports = new Map<string, ReturnType<typeof parseReport>>();
      parts.reports = reports;
      try {
        for (const [i, each] of all.entries()) {
          const content = i === at ? text : each.text;
          const node = /^nodes\/(.*)\.json$/.exec(each.file)?.[1];
          if (node === undefined) parts.take(each.file, content);
          else reports.set(node, parseReport(content, each.file));
        }
        expectSafe(said(diagnose(parts.world('x'))));
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
      }
    },
  ),
  {
    ...archiveTarget,
    async run(parameters) {
      scratch = mkdtempSync(join(tmpdir(), 'hostport-fuzz-'));
      try {
        return await archiveTarget.run(parameters);
      } finally {
        rmSync(scratch, { recursive: true });
      }
    },
  },
  target('configurations of kind', 0.05, changedText(configs, YAML_WORDS), async (text) => {
    const sources = {
      cwd: '/',
      readFile: async () => text,
      readStdin: async () => text,
      kindOf: async () => 'directory' as const,
      isLink: async () => false,
    };
    try {
      await loadClusterConfig('/config.yaml', {}, sources);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
    }
  }),
];
