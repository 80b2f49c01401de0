import { describe, expect, test } from 'bun:test';
import { parseAllDocuments } from 'yaml';
import type { Finding, PathVerdict } from '../path/model/finding.ts';
import { stages } from '../path/model/stages.ts';
import { AgentMetrics } from './metrics.ts';

const root = `${import.meta.dir}/../..`;
const about = { version: '1.2.3', mode: 'heal' } as const;

/** A mapping of which all stages but one are OK. */
function path(stage?: (typeof stages)[number]): PathVerdict {
  const verdicts = stages.map(
    (each) => [each, { verdict: each === stage ? 'broken' : 'ok', codes: [] }] as const,
  );
  return {
    pod: { namespace: 'a', name: 'b', uid: 'c' },
    stages: Object.fromEntries(verdicts),
  } as unknown as PathVerdict;
}
const finding = (code: string, stage: string, severity: string) =>
  ({ code, stage, severity, subject: {} }) as unknown as Finding;

const linesOf = (metrics: AgentMetrics, name: string) =>
  metrics
    .text()
    .text.split('\n')
    .filter((line) => line.startsWith(name));

test('what the last look found is what is shown, and what is gone is not', () => {
  const metrics = new AgentMetrics(about);
  const broken = finding('plugin-missing', 'installed', 'broken');
  metrics.looked(
    {
      findings: [broken, broken, finding('mark-bit-shared', 'translated', 'risk')],
      paths: [path('installed')],
    },
    5000,
    250,
  );
  expect(linesOf(metrics, 'hostport_findings')).toEqual([
    'hostport_findings{code="mark-bit-shared",severity="risk",stage="translated"} 1',
    'hostport_findings{code="plugin-missing",severity="broken",stage="installed"} 2',
  ]);
  metrics.looked({ findings: [], paths: [path(), path()] }, 6000, 500);
  expect(linesOf(metrics, 'hostport_findings')).toEqual([]);
  expect(linesOf(metrics, 'hostport_paths{stage="installed"')).toEqual([
    'hostport_paths{stage="installed",verdict="broken"} 0',
    'hostport_paths{stage="installed",verdict="muted"} 0',
    'hostport_paths{stage="installed",verdict="ok"} 2',
    'hostport_paths{stage="installed",verdict="risk"} 0',
    'hostport_paths{stage="installed",verdict="unknown"} 0',
  ]);
  expect(linesOf(metrics, 'hostport_last_look')).toEqual([
    'hostport_last_look_timestamp_seconds 6',
    'hostport_last_look_duration_seconds 0.5',
  ]);
});

test('looks and fixes are counted by what became of them', () => {
  const metrics = new AgentMetrics(about);
  metrics.looked({ findings: [], paths: [] }, 1, 1);
  metrics.failed();
  metrics.failed();
  metrics.acted('plugin-missing', 'healed');
  metrics.acted('plugin-missing', 'healed');
  metrics.acted('mapping-missing', 'contested');
  expect(linesOf(metrics, 'hostport_looks_total')).toEqual([
    'hostport_looks_total{result="failed"} 2',
    'hostport_looks_total{result="succeeded"} 1',
  ]);
  expect(linesOf(metrics, 'hostport_actions_total')).toEqual([
    'hostport_actions_total{code="mapping-missing",result="contested"} 1',
    'hostport_actions_total{code="plugin-missing",result="healed"} 2',
  ]);
});

test('before the first look there are no times that would be old', () => {
  const metrics = new AgentMetrics(about);
  expect(linesOf(metrics, 'hostport_last_look')).toEqual([]);
  expect(linesOf(metrics, 'hostport_build_info')).toEqual([
    'hostport_build_info{mode="heal",version="1.2.3"} 1',
  ]);
});

describe('the metrics that are named are those that there are', () => {
  const known = new AgentMetrics(about).metrics.map(({ name }) => name).toSorted();
  const namedIn = (text: string) => [...new Set(text.match(/\bhostport_[a-z_]+\b/g) ?? [])].toSorted();

  test('in the documentation, all of them', async () => {
    const text = await Bun.file(`${root}/docs/agent.md`).text();
    expect(namedIn(text)).toEqual(known);
  });

  test('in the rules of Prometheus', async () => {
    const rules = parseAllDocuments(await Bun.file(`${root}/deploy/monitoring.yaml`).text())
      .map((document) => document.toJS())
      .find(({ kind }) => kind === 'PrometheusRule') as {
      spec: { groups: { rules: { expr: string }[] }[] };
    };
    const named = namedIn(
      rules.spec.groups.flatMap((group) => group.rules.map(({ expr }) => expr)).join('\n'),
    );
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
  });

  test('in the dashboard', async () => {
    const named = namedIn(await Bun.file(`${root}/deploy/grafana-dashboard.json`).text());
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
  });
});
