/** The chart, the manifests, krew's manifest and the workflows, as the programs that read them understand them; and a registry of others. */
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { defaultSettings } from '../../scripts/agent-manifests.ts';
import { builtPart, type Part } from '../../scripts/real/part.ts';
import { realPart } from '../../scripts/real/parts.ts';
import { chartArchive, krewManifest, releasedManifests } from '../../scripts/release/manifests.ts';
import { pushChart } from '../../scripts/release/push/push-chart.ts';
import { pushImage } from '../../scripts/release/push/push-image.ts';
import { RegistryClient } from '../../scripts/release/push/registry-client.ts';
import { AGENT_MODES, type AgentMode, agentObjects } from '../../src/agent/manifests.ts';
import { type Descriptor, LayoutWriter } from '../../src/lab/images/oci.ts';
import { openApiV2Json } from '../../src/lab/kubernetes/schema/openapi.ts';
import { output, realExec } from '../../src/sys/exec.ts';
import { waitFor } from '../../src/sys/wait.ts';

const ROOT = join(import.meta.dir, '../..');
const DEPLOY = join(ROOT, 'deploy');
const CHART = join(DEPLOY, 'chart');
const scratch = mkdtempSync(join(tmpdir(), 'hostport-release-tools-'));
afterAll(() => rmSync(scratch, { recursive: true }));

/** A part that was built, or why its tests are skipped. */
async function tool(name: string): Promise<{ part: Part; missing: string | undefined }> {
  const part = await realPart(name);
  return { part, missing: (await builtPart(part)) === undefined ? `needs ${name} (make real)` : undefined };
}
const [helm, kubeconform, kustomize, krew, actionlint, registry] = await Promise.all(
  ['helm', 'kubeconform', 'kustomize', 'krew', 'actionlint', 'registry'].map(tool),
);
type Tool = Awaited<ReturnType<typeof tool>>;
const run = ({ part }: Tool, ...words: string[]) =>
  output(realExec, [join(part.directory, part.name), ...words], { cwd: scratch });

/** Objects by kind and name, as YAML has them. */
function objectsIn(text: string): Map<string, unknown> {
  const objects = parseAllDocuments(text)
    .map((document) => document.toJS() as { kind: string; metadata: { name: string } } | null)
    .filter((object) => object !== null);
  return new Map(objects.map((object) => [`${object.kind} ${object.metadata.name}`, object]));
}

/** What an installation creates, by the same names. */
function installed(mode: AgentMode): Map<string, unknown> {
  const objects = agentObjects(defaultSettings(mode)).map(({ object }) => JSON.parse(JSON.stringify(object)));
  return new Map(objects.map((object) => [`${object.kind} ${object.metadata.name}`, object]));
}

/** Helm without a cluster takes one that is too old. */
const KUBE = ['--kube-version', '1.36.1'];
const MONITORED = ['--set', 'serviceMonitor.enabled=true', '--set', 'prometheusRule.enabled=true'];

/** The title of tests, with why they are skipped. */
const named = (title: string, of: typeof helm) =>
  `${title}${of?.missing === undefined ? '' : ` (${of.missing})`}`;

describe.skipIf(helm!.missing !== undefined)(named('the chart by Helm', helm), () => {
  const rendered = (...words: string[]) =>
    run(helm!, 'template', 'hostport', CHART, '--namespace', 'kube-system', ...KUBE, ...words);

  test('has nothing that Helm warns of', async () => {
    const said = await run(helm!, 'lint', '--strict', CHART);
    expect(said).toContain('1 chart(s) linted, 0 chart(s) failed');
    expect(said).not.toContain('[WARNING]');
  });

  test('its default is what "hostport agent install" creates', async () => {
    expect(objectsIn(await rendered())).toEqual(installed('observe'));
  });

  test.each(AGENT_MODES)('with a mode it is what "hostport agent install --%s" creates', async (mode) => {
    const objects = objectsIn(await rendered('--set', `mode=${mode}`));
    expect(objects).toEqual(installed(mode));
  });

  test('has the objects of deploy/monitoring.yaml, where they are asked for', async () => {
    const extra = objectsIn(await rendered(...MONITORED));
    for (const name of installed('observe').keys()) extra.delete(name);
    const wanted = objectsIn(await Bun.file(join(DEPLOY, 'monitoring.yaml')).text());
    expect(extra).toEqual(wanted);
  });

  test('values are where they belong', async () => {
    const text = await rendered(
      ...[
        '--set',
        'mode=heal',
        '--set',
        'metrics.port=9999',
        '--set',
        'cni.binDir=/b',
        '--set',
        'apiServer.host=api.example',
      ],
      ...['--set', `image.digest=sha256:${'a'.repeat(64)}`, '--set', 'imagePullSecrets[0].name=pull'],
      ...[
        '--set',
        'networkPolicy.enabled=true',
        '--set',
        'networkPolicy.from[0].namespaceSelector.matchLabels.a=b',
      ],
    );
    const { image, apiServer } = {
      image: `${defaultSettings('heal').image}@sha256:${'a'.repeat(64)}`,
      apiServer: { host: 'api.example', port: 6443 },
    };
    const settings = {
      ...defaultSettings('heal'),
      ...{ image, apiServer, metricsPort: 9999, binDirs: ['/b'], imagePullSecrets: ['pull'] },
    };
    const found = objectsIn(text);
    const daemonSet = agentObjects(settings).at(-1)!.object;
    expect(found.get('DaemonSet hostport-agent')).toEqual(JSON.parse(JSON.stringify(daemonSet)));
    expect(found.get('NetworkPolicy hostport-agent')).toMatchObject({
      spec: {
        ingress: [
          {
            ports: [{ port: 9999, protocol: 'TCP' }],
            from: [{ namespaceSelector: { matchLabels: { a: 'b' } } }],
          },
        ],
      },
    });
  });

  test.each([
    ['mode=watch', 'mode'],
    ['image.tag=latest', 'tag'],
    ['image.digest=sha256:1', 'digest'],
    ['metrics.port=70000', 'port'],
    ['cni.binDir=relative', 'binDir'],
    ['nothing.like=this', 'nothing'],
  ])('%s is refused', async (value, named) => {
    const program = join(helm!.part.directory, 'helm');
    const { code, stderr } = await realExec.run([
      ...[program, 'template', 'hostport', CHART, ...KUBE, '--set', value],
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain("values don't meet the specifications of the schema");
    expect(stderr).toContain(named);
  });
});

const CREATED = '2026-01-01T00:00:00Z';
const facts = { version: '1.2.3-rc.1', registry: 'ghcr.io/owner' };
const images = ['hostport-agent', 'hostport-cni'].map((name, i) => ({
  name,
  digest: `sha256:${String(i).repeat(64)}`,
  sizes: { amd64: 1, arm64: 1 },
}));

/** The manifests of a release, in a directory. */
function manifestsIn(name: string): string {
  const directory = join(scratch, name);
  mkdirSync(directory);
  for (const [file, text] of releasedManifests(ROOT, facts, images))
    writeFileSync(join(directory, file), text);
  return directory;
}

describe.skipIf(kustomize!.missing !== undefined)(named('kustomize', kustomize), () => {
  test('builds what agent.yaml has', async () => {
    const directory = manifestsIn('kustomize');
    const built = objectsIn(await run(kustomize!, 'build', directory));
    expect(built).toEqual(objectsIn(await Bun.file(join(directory, 'agent.yaml')).text()));
  });

  test('takes an overlay with another image and namespace', async () => {
    manifestsIn('base');
    const overlay = join(scratch, 'overlay');
    mkdirSync(overlay);
    const image = { name: 'ghcr.io/owner/hostport-agent', newName: 'mirror.example/hostport-agent' };
    writeFileSync(
      join(overlay, 'kustomization.yaml'),
      JSON.stringify({ namespace: 'agents', resources: ['../base'], images: [image] }),
    );
    const built = await run(kustomize!, 'build', overlay);
    expect(built).toContain(`image: mirror.example/hostport-agent:1.2.3-rc.1@${images[0]!.digest}`);
    expect(built).toContain('namespace: agents');
    expect(built).not.toContain('kube-system');
  });
});

test.skipIf(krew!.missing !== undefined)(`krew takes its manifest ${krew!.missing ?? ''}`, async () => {
  const file = join(scratch, 'hostport.yaml');
  const sha256 = new Map([
    ['amd64', 'd'.repeat(64)],
    ['arm64', 'e'.repeat(64)],
  ]);
  writeFileSync(file, krewManifest({ ...facts, version: '1.2.3' }, 'https://example.com/r', sha256));
  // Without an installation, for which it would download.
  const said = await realExec.run([join(krew!.part.directory, 'krew'), '-manifest', file, '-skip-install']);
  expect(said).toMatchObject({ code: 0 });
});

test.skipIf(actionlint!.missing !== undefined)(
  `the workflows have nothing that actionlint warns of ${actionlint!.missing ?? ''}`,
  async () => {
    const directory = join(ROOT, '.github/workflows');
    const files = readdirSync(directory).map((name) => join(directory, name));
    expect(await run(actionlint!, '-no-color', ...files)).toBe('');
  },
);

/** Schemas of what our API server serves, a file each, by which a field that nobody knows is an error. */
function schemasIn(directory: string): void {
  const { definitions } = openApiV2Json() as { definitions: Record<string, Schema> };
  const strict = Object.fromEntries(
    Object.entries(definitions).map(([name, schema]) => [name, strictly(schema)]),
  );
  mkdirSync(directory);
  for (const [name, schema] of Object.entries(definitions)) {
    for (const { group, version, kind } of schema['x-kubernetes-group-version-kind'] ?? []) {
      const file = `${kind}-${group === '' ? '' : `${group.split('.')[0]}-`}${version}.json`.toLowerCase();
      const document = { $ref: `#/definitions/${name}`, definitions: strict };
      writeFileSync(join(directory, file), JSON.stringify(document));
    }
  }
}

interface Schema {
  type?: string;
  format?: string;
  properties?: Record<string, Schema>;
  'x-kubernetes-group-version-kind'?: { group: string; version: string; kind: string }[];
}

/** OpenAPI's form of a number or a text is not JSON Schema's. */
function strictly(schema: Schema): object {
  if (schema.format === 'int-or-string') return { type: ['string', 'integer'] };
  if (schema.properties === undefined) return schema;
  return { ...schema, additionalProperties: false };
}

describe.skipIf(kubeconform!.missing !== undefined)(named('kubeconform', kubeconform), () => {
  const schemas = join(scratch, 'schemas');
  const location = `${schemas}/{{ .ResourceKind }}{{ .KindSuffix }}.json`;
  /** Of other APIs, and of kustomize, which is no API. */
  const others = 'ServiceMonitor,PrometheusRule,Kustomization,NetworkPolicy';
  const conform = (...files: string[]) =>
    realExec.run([
      ...[join(kubeconform!.part.directory, 'kubeconform'), '-strict', '-summary', '-output', 'json'],
      ...['-schema-location', location, '-skip', others, ...files],
    ]);

  test('every manifest is what our API server serves', async () => {
    schemasIn(schemas);
    const directory = manifestsIn('conform');
    const files = readdirSync(directory)
      .filter((name) => name.endsWith('.yaml'))
      .map((name) => join(directory, name));
    const { code, stdout } = await conform(...files);
    const { resources, summary } = JSON.parse(stdout);
    expect([resources, code]).toEqual([[], 0]);
    expect(summary.valid).toBeGreaterThan(10);
    expect([summary.invalid, summary.errors]).toEqual([0, 0]);
  });

  test('a field that nobody knows is found', async () => {
    const file = join(scratch, 'wrong.yaml');
    const text = await Bun.file(join(DEPLOY, 'plugin.yaml')).text();
    writeFileSync(file, text.replace('hostNetwork: true', 'hostNetwrk: true'));
    const { code, stdout } = await conform(file);
    expect(code).toBe(1);
    expect(stdout).toContain('hostNetwrk');
  });
});

describe.skipIf(registry!.missing !== undefined)(named('a registry of others', registry), () => {
  /** Runs it on a port of loopback while `work` runs. */
  async function serving(work: (domain: string) => Promise<void>): Promise<void> {
    const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
    const domain = `127.0.0.1:${listener.port}`;
    listener.stop(true);
    const config = join(scratch, 'registry.json');
    const storage = { filesystem: { rootdirectory: join(scratch, 'registry') } };
    writeFileSync(
      config,
      JSON.stringify({ version: '0.1', log: { level: 'error' }, storage, http: { addr: domain } }),
    );
    const child = Bun.spawn([join(registry!.part.directory, 'registry'), 'serve', config], {
      env: { OTEL_TRACES_EXPORTER: 'none' },
      stdout: 'ignore',
      stderr: 'ignore',
    });
    try {
      const answers = () =>
        fetch(`http://${domain}/v2/`)
          .then(({ ok }) => ok)
          .catch(() => false);
      await waitFor('the registry to answer', answers, { timeoutMs: 20_000 });
      await work(domain);
    } finally {
      child.kill();
      await child.exited;
    }
  }

  test('takes an image with what is attached to it, twice', async () => {
    const layout = join(scratch, 'layout');
    const writer = new LayoutWriter(layout);
    const parts: Descriptor[] = [];
    for (const architecture of ['amd64', 'arm64']) {
      const content = Buffer.from(architecture);
      const layer = await writer.zstdLayer([{ type: 'file', path: 'a', mode: 0o644, content }], 3);
      parts.push(await writer.platformImage({ layers: [layer], config: {}, architecture, created: CREATED }));
    }
    const index = writer.name(await writer.platformIndex(parts, {}), 'registry.example/image:1');
    const bill = await writer.attach(index, 'application/vnd.cyclonedx+json', '{}');
    await writer.finish();
    await serving(async (domain) => {
      const client = new RegistryClient(domain, 'owner/image', undefined);
      expect((await pushImage(layout, client, '1')).sent).toBeGreaterThan(0);
      expect((await pushImage(layout, client, '1')).sent).toBe(0);
      const tagged = (await client.current('1')) as { manifests: Descriptor[] };
      expect(tagged.manifests.map(({ digest }) => digest)).toEqual(parts.map(({ digest }) => digest));
      expect(await client.current(bill.digest)).toMatchObject({ subject: { digest: index.digest } });
    });
  });

  test.skipIf(helm!.missing !== undefined)('gives Helm the chart that was pushed', async () => {
    const { name, bytes } = await chartArchive(ROOT, facts, images, new Map());
    const archive = join(scratch, name);
    writeFileSync(archive, bytes);
    await serving(async (domain) => {
      await pushChart(archive, new RegistryClient(domain, 'owner/charts/hostport', undefined));
      const to = join(scratch, 'pulled');
      mkdirSync(to);
      const from = ['pull', `oci://${domain}/owner/charts/hostport`, '--version', facts.version];
      await run(helm!, ...from, '--plain-http', '--destination', to);
      expect(readFileSync(join(to, name))).toEqual(Buffer.from(bytes));
    });
  });
});
