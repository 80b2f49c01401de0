import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TraceDocument, traceDocumentSchema } from '../../path/trace/document.ts';
import { storyOf } from '../../path/trace/story.ts';
import { plain } from './colour.ts';
import { renderTrace } from './trace.ts';

/** The document of a recorded case. */
function documentOf(name: string): TraceDocument {
  const path = join(import.meta.dir, `../../../test/fixtures/traces/${name}.json`);
  const { flow, sender, probe, record } = JSON.parse(readFileSync(path, 'utf8'));
  return traceDocumentSchema.parse({
    ...{ apiVersion: 'hostport/v1', kind: 'Trace', node: 'kind-worker', from: 'outside', pod: 'default/web' },
    ...{
      address: flow.address,
      port: flow.port,
      protocol: flow.protocol,
      sourcePort: flow.sourcePort,
      probe,
    },
    ...storyOf(flow, sender, probe, record),
  });
}

test('the way there and back, hook by hook', () => {
  expect(renderTrace(documentOf('healthy'), 'hostport', { width: 80, paint: plain })).toBe(
    `TCP 10.91.0.2:8080 of kind-worker, hostPort of default/web, from outside (source
  port 61000)

request: 10.91.0.1:61000 to 10.91.0.2:8080
  in            by eth0
  prerouting    ip nat PREROUTING [accept]: -A PREROUTING -p tcp -m addrtype
                  --dst-type LOCAL -m tcp --dport 8080 -j DNAT --to-destination
                  10.92.0.2:80
                destination 10.91.0.2:8080 becomes 10.92.0.2:80
  forward       eth0 to lxc1
  postrouting   eth0 to lxc1
  out           by lxc1

answer: 10.92.0.2:80 to 10.91.0.1:61000
  in            by lxc1
  forward       lxc1 to eth0
  postrouting   lxc1 to eth0
                source 10.92.0.2:80 becomes 10.91.0.2:8080
  out           by eth0

✓ the probe was answered (connected)
`,
  );
});

test('where it died, why, and what is not known', () => {
  const text = renderTrace(documentOf('legacy-drop'), 'hostport', { width: 80, paint: plain });
  expect(text.slice(text.indexOf('✗'))).toBe(
    `✗ the request was dropped at hook forward, after ip nat PREROUTING, by a rule of
  iptables-legacy
  reason  NETFILTER_DROP
  read    hostport doctor --explain forward-policy-drop
? iptables-legacy has rules, which the kernel does not trace: of these only the
  drop is known
`,
  );
  expect(renderTrace(documentOf('rp-filter'), 'hostport', { width: 80, paint: plain })).toEndWith(
    '  read    hostport doctor --explain rp-filter-strict\n',
  );
});

test('what a rule says cannot act on the terminal', () => {
  const document = documentOf('mangle-drop');
  const steps = document.steps.map((step) =>
    step.rule === undefined ? step : { ...step, rule: '\u001b[2J' },
  );
  expect(renderTrace({ ...document, steps }, 'hostport', { width: 80, paint: plain })).not.toContain(
    '\u001b',
  );
});
