import { expect, test } from 'bun:test';
import { Counts, renderMetrics } from './prometheus.ts';

test('the text format: labels sorted and escaped, series sorted, a metric without series too', () => {
  const requests = new Counts();
  requests.add({ verb: 'GET', code: '200' });
  requests.add({ verb: 'a"b\\c\nd', code: '500' }, 2);
  requests.add({ code: '200', verb: 'GET' });
  const text = renderMetrics([
    { name: 'requests_total', help: 'Requests.', type: 'counter', series: requests.series },
    { name: 'up', help: 'Up.', type: 'gauge', series: [[{}, 1.5]] },
    { name: 'none', help: 'None.', type: 'gauge', series: [] },
  ]);
  expect(text).toBe(
    '# HELP requests_total Requests.\n# TYPE requests_total counter\n' +
      'requests_total{code="200",verb="GET"} 2\n' +
      'requests_total{code="500",verb="a\\"b\\\\c\\nd"} 2\n' +
      '# HELP up Up.\n# TYPE up gauge\nup 1.5\n' +
      '# HELP none None.\n# TYPE none gauge\n',
  );
});
