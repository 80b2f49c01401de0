/** The alerts, the dashboard and the agent's metrics, as Prometheus' own tool understands them. */
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { builtPart } from '../../scripts/real/part.ts';
import { realPart } from '../../scripts/real/parts.ts';
import { AgentMetrics } from '../../src/agent/metrics.ts';

const DEPLOY = join(import.meta.dir, '../../deploy');
const part = await realPart('promtool');
const missing = (await builtPart(part)) === undefined ? 'needs promtool (make real)' : undefined;
const scratch = mkdtempSync(join(tmpdir(), 'hostport-promtool-'));
afterAll(() => rmSync(scratch, { recursive: true }));

function promtool(words: readonly string[], stdin = ''): { code: number; said: string } {
  const ran = Bun.spawnSync([join(part.directory, 'promtool'), ...words], { stdin: Buffer.from(stdin) });
  return { code: ran.exitCode, said: `${ran.stdout}${ran.stderr}` };
}

interface Rule {
  alert: string;
  expr: string;
}

const rule = parseAllDocuments(readFileSync(join(DEPLOY, 'monitoring.yaml'), 'utf8'))
  .map((document) => document.toJS() as { kind: string; spec: { groups: { rules: Rule[] }[] } })
  .find(({ kind }) => kind === 'PrometheusRule')!;
const alerts = rule.spec.groups.flatMap(({ rules }) => rules);
const rules = join(scratch, 'rules.json');
writeFileSync(rules, JSON.stringify({ groups: rule.spec.groups }));

/** For each alert: series that raise it, the labels that it then has, and when it is looked at; and such that do not raise it. */
const RAISED: Readonly<
  Record<
    string,
    {
      series: Record<string, string>;
      labels: Record<string, string>;
      at: string;
      quiet: Record<string, string>;
    }
  >
> = {
  HostPortBroken: {
    series: {
      'hostport_findings{node="a",code="plugin-missing",stage="installed",severity="broken"}': '1x20',
    },
    labels: { node: 'a', code: 'plugin-missing', stage: 'installed', severity: 'warning' },
    at: '10m',
    quiet: {
      // Fixed within a minute.
      'hostport_findings{node="a",code="plugin-missing",stage="installed",severity="broken"}': '1 stale _x18',
      'hostport_findings{node="a",code="v6-loopback",stage="forwarded",severity="note"}': '1x20',
    },
  },
  HostPortAtRisk: {
    series: {
      'hostport_findings{node="a",code="backends-mixed",stage="translated",severity="risk"}': '1x120',
    },
    labels: { node: 'a', code: 'backends-mixed', stage: 'translated', severity: 'info' },
    at: '90m',
    quiet: {
      'hostport_findings{node="a",code="backends-mixed",stage="translated",severity="risk"}': '1x20 stale',
    },
  },
  HostPortFixFails: {
    series: { 'hostport_actions_total{node="a",code="plugin-missing",result="contested"}': '0x5 1x20' },
    labels: { node: 'a', code: 'plugin-missing', result: 'contested', severity: 'warning' },
    at: '20m',
    quiet: { 'hostport_actions_total{node="a",code="plugin-missing",result="healed"}': '0x5 1x20' },
  },
  HostPortAgentBlind: {
    series: { 'hostport_last_check_timestamp_seconds{node="a"}': '0x30' },
    labels: { node: 'a', severity: 'warning' },
    at: '20m',
    quiet: { 'hostport_last_check_timestamp_seconds{node="a"}': '0+60x30' },
  },
  HostPortAgentDown: {
    series: { 'up{job="hostport-agent",node="a"}': '0x30' },
    labels: { job: 'hostport-agent', node: 'a', severity: 'warning' },
    at: '20m',
    quiet: { 'up{job="hostport-agent",node="a"}': '1x30', 'up{job="other",node="a"}': '0x30' },
  },
  HostPortAgentVersionsDiffer: {
    series: {
      'hostport_build_info{node="a",version="1.2.3",mode="heal"}': '1x120',
      'hostport_build_info{node="b",version="1.2.4",mode="heal"}': '1x120',
    },
    labels: { severity: 'info' },
    at: '90m',
    quiet: {
      'hostport_build_info{node="a",version="1.2.3",mode="heal"}': '1x120',
      'hostport_build_info{node="b",version="1.2.3",mode="observe"}': '1x120',
    },
  },
};

describe.skipIf(missing !== undefined)(`promtool${missing ? ` (${missing})` : ''}`, () => {
  test('takes the rules', () => {
    const { code, said } = promtool(['check', 'rules', '--lint=all', '--lint-fatal', rules]);
    expect(said).toContain(`SUCCESS: ${alerts.length} rules found`);
    expect(code).toBe(0);
  });

  test('each alert has a case', () => {
    expect(Object.keys(RAISED).toSorted()).toEqual(alerts.map(({ alert }) => alert).toSorted());
  });

  test.each(Object.entries(RAISED))(
    '%s is raised by what it is for, and by nothing else',
    (alertname, example) => {
      const { series, labels, at, quiet } = example;
      const inputs = (values: Record<string, string>) =>
        Object.entries(values).map(([name, shown]) => ({ series: name, values: shown }));
      const cases = [
        { input: series, expected: [{ exp_labels: labels }] },
        { input: quiet, expected: [] },
      ];
      // Annotations are text for people: what is compared is whether and for what it is raised.
      const tests = cases.map(({ input, expected }) => ({
        interval: '1m',
        input_series: inputs(input),
        promql_expr_test: [
          {
            expr: `count by (${['alertname', ...Object.keys(labels)].join(', ')}) (ALERTS{alertname="${alertname}",alertstate="firing"})`,
            eval_time: at,
            exp_samples: expected.map(({ exp_labels }) => ({
              labels: `{${Object.entries({ alertname, ...exp_labels })
                .map(([name, value]) => `${name}="${value}"`)
                .join(', ')}}`,
              value: 1,
            })),
          },
        ],
      }));
      const file = join(scratch, `${alertname}.json`);
      writeFileSync(file, JSON.stringify({ rule_files: [rules], evaluation_interval: '1m', tests }));
      const { code, said } = promtool(['test', 'rules', file]);
      expect({ code, said }).toMatchObject({ code: 0 });
    },
  );

  test('finds nothing to complain about in the metrics of an agent', () => {
    const metrics = new AgentMetrics({ version: '1.2.3', mode: 'heal' });
    metrics.looked({ findings: [], paths: [] }, 1000, 10);
    metrics.acted('plugin-missing', 'healed');
    expect(promtool(['check', 'metrics'], metrics.text().text)).toEqual({ code: 0, said: '' });
  });

  test('understands each expression of the dashboard', () => {
    const { panels, templating } = JSON.parse(
      readFileSync(join(DEPLOY, 'grafana-dashboard.json'), 'utf8'),
    ) as {
      panels: { title: string; targets: { expr: string }[] }[];
      templating: { list: { name: string }[] };
    };
    const expressions = panels.flatMap(({ title, targets }) =>
      targets.map(({ expr }) => [title, expr] as const),
    );
    expect(expressions.length).toBeGreaterThan(5);
    const known = new Set([...templating.list.map(({ name }) => name), '__rate_interval']);
    for (const [title, expr] of expressions) {
      const unknown = [...expr.matchAll(/\$\{?(\w+)/g)].filter(([, name]) => !known.has(name!));
      expect([title, unknown.map(([name]) => name)]).toEqual([title, []]);
      const filled = expr.replaceAll('$__rate_interval', '5m').replaceAll('$node', '.*');
      expect([title, promtool(['--experimental', 'promql', 'format', filled]).code]).toEqual([title, 0]);
    }
  });
});
