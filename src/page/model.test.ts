import { describe, expect, test } from 'bun:test';
import { hostileCluster, pageCluster } from '../../test/page/clusters.ts';
import { stages } from '../path/model/stages.ts';
import { pageHtml } from './html.ts';
import { pageData } from './model.ts';
import { PageIndex } from './view/page-index.ts';

const input = (cluster: ReturnType<typeof pageCluster>) => ({ ...cluster, title: 'x', version: '1' });

describe('the data of a page', () => {
  const cluster = pageCluster(8, 3, 'broken');
  const data = pageData(input(cluster));
  const index = new PageIndex(data);

  test('has every mapping with its names, verdicts and findings', () => {
    const { paths } = cluster.diagnosis;
    expect(index.length).toBe(paths.length);
    for (const [i, path] of paths.entries()) {
      expect(index.node(i)).toBe(path.node!);
      expect(index.pod(i)).toBe(`${path.pod.namespace}/${path.pod.name}`);
      expect(index.port(i)).toBe(`TCP ${path.port.hostPort}`);
      expect(index.cells(i).map(({ verdict }) => verdict)).toEqual(
        Object.values(path.stages).map(({ verdict }) => verdict),
      );
      const codes = new Set(Object.values(path.stages).flatMap((stage) => stage.codes));
      const found = index.findings(i).map((finding) => data.causes[data.findings.cause[finding]!]!.code);
      expect(new Set(found)).toEqual(codes);
      expect(index.name(i, 'rule')).toBe(cluster.ways.get(path)?.rule ?? '');
    }
  });

  test('has causes by how many pods they hurt, what is broken first, each with its mappings and evidence', () => {
    expect(data.causes.map(({ code, pods, nodes }) => [code, pods, nodes.length])).toEqual([
      ['plugin-missing', 6, 2],
      ['pod-predates-chain', 2, 2],
    ]);
    for (const cause of data.causes) {
      expect(cause.paths.every((path) => index.codes(path).includes(cause.code))).toBe(true);
      for (const finding of cause.findings) {
        const [place] = data.findings.evidence[finding]!;
        expect(index.text(data.evidence[place!]![2])).not.toBe('');
      }
    }
  });

  test('says a command as the reader has to type it', () => {
    const asTyped = (command: string) => `bin/${command} --name x`;
    expect(pageData({ ...input(cluster), asTyped }).causes[0]!.advice.fix).toBe(
      'bin/hostport heal --only plugin-missing --name x',
    );
  });

  test('a finding of one port is not behind another of its pod', () => {
    const { diagnosis, ways } = pageCluster(3, 1, 'broken');
    const risky = diagnosis.paths.find(({ stages }) => stages.attached.verdict === 'risk')!;
    const other = { ...risky, port: { ...risky.port, hostPort: 81 } };
    const made = new PageIndex(
      pageData({ ...input({ diagnosis: { ...diagnosis, paths: [...diagnosis.paths, other] }, ways }) }),
    );
    expect(made.findings(diagnosis.paths.indexOf(risky))).toHaveLength(1);
    expect(made.findings(diagnosis.paths.length)).toHaveLength(0);
  });

  test('unknowns of the same reason are one, and name their nodes', () => {
    const { unknowns, texts } = pageData(input(pageCluster(5, 1, 'unknown')));
    expect(unknowns).toHaveLength(1);
    expect(unknowns[0]).toMatchObject({ kind: 'node', why: 'no answer of its node within 20 s' });
    expect(unknowns[0]!.nodes.map((node) => texts[node])).toHaveLength(5);
  });

  test('says once why stages are unknown, of how many mappings', () => {
    const { unknownStages } = pageData(input(pageCluster(5, 2, 'unknown')));
    expect(unknownStages).toEqual([
      { stages: stages.slice(2), why: 'no answer of its node within 20 s', paths: 10 },
    ]);
    expect(data.unknownStages).toEqual([]);
  });
});

describe('a page of 1,000 nodes and 30,000 pods', () => {
  const bytes = (cluster: ReturnType<typeof pageCluster>) => Buffer.byteLength(pageHtml(input(cluster)));

  test('has less than 15 MB', () => {
    expect(bytes(pageCluster(1000, 30, 'broken'))).toBeLessThan(15_000_000);
  });

  test('also where each finding has much evidence and each mapping a long rule: the rest is left out, and counted', () => {
    const { diagnosis, ways } = pageCluster(1000, 10, 'broken');
    const [one] = diagnosis.findings;
    const findings = diagnosis.paths.map((path, i) => ({
      ...one!,
      subject: { node: path.node!, pod: path.pod, port: path.port },
      evidence: [{ kind: 'file' as const, where: `/etc/${i}`, saw: `${i} `.repeat(900) }],
    }));
    const long = new Map([...ways].map(([path, way], i) => [path, { ...way, rule: `${i} `.repeat(900) }]));
    const cluster = { diagnosis: { ...diagnosis, findings }, ways: long };
    expect(bytes(cluster)).toBeLessThan(15_000_000);
    const { evidenceOf, findings: columns } = pageData(input(cluster));
    expect(evidenceOf).toBeGreaterThan(500);
    expect(evidenceOf).toBeLessThan(columns.cause.length);
  });
});

test('a hostile cluster ends no element of the file', () => {
  const html = pageHtml(input(hostileCluster()));
  const parts = html.split(/<script[^>]*>/);
  // Its own two scripts, and no third.
  expect(parts).toHaveLength(3);
  const [json] = parts[1]!.split('</script>');
  expect(JSON.parse(json!)).toEqual(JSON.parse(JSON.stringify(pageData(input(hostileCluster())))));
  expect(html.match(/<img/g)).toBeNull();
});
