import { describe, expect, test } from 'bun:test';
import { HOSTILE, hostileCluster, pageCluster } from '../../test/page/clusters.ts';
import { pageMarkdown } from './markdown.ts';

const markdown = (cluster: ReturnType<typeof pageCluster>) =>
  pageMarkdown({ ...cluster, title: 'Cluster "x_y"', version: '1.2.3' });

test('begins with the verdict; causes have fix and evidence; what works is not listed', () => {
  const text = markdown(pageCluster(3, 1, 'broken'));
  expect(text).toStartWith(
    '## 1 of 3 hostPorts is broken: 1 cause on 1 node; 1 is at risk.\n\nCluster "x\\_y", 2026-01-01T00:00:00.000Z, by hostport 1.2.3\n',
  );
  expect(text).toContain('### ✗ `plugin-missing` at installed: hurts 1 pod on 1 node\n');
  expect(text).toContain('\n```sh\nhostport heal --only plugin-missing\n```\n');
  for (const [label, said] of [
    ['Why', 'The chain names a plugin that is not in any of the directories that the runtime searches.'],
    ['Remedy', 'Install the plugin. The kubelet retries by itself.'],
    ['Restart', 'not needed'],
    ['Read', '`hostport doctor --explain plugin-missing`'],
  ])
    expect(text).toContain(`\n\n**${label}:** ${said}\n\n`);
  expect(text).toContain('file `/opt/cni/bin`:\n\n```\nbridge flannel loopback\n```\n');
  expect(text).toContain(
    '| ✗ broken at installed: plugin-missing | `worker-2` | `default/web-1-0` | `TCP 80` |\n',
  );
  expect(text).not.toContain('worker-1`');
});

test('of a healthy cluster it is the verdict alone', () => {
  expect(
    markdown(pageCluster(2, 2, 'healthy'))
      .trim()
      .split('\n'),
  ).toHaveLength(3);
});

test('what is unknown is named with its reason', () => {
  const text = markdown(pageCluster(1, 1, 'unknown'));
  expect(text).toContain('- `worker-1`: node report: no answer of worker-1 within 20 s\n');
  expect(text).toContain('| ? unknown at configured | `worker-1` |');
  expect(text).toContain(
    '\n- configured, installed, attached, translated, forwarded, answered of 1 mapping: no answer of worker-1 within 20 s\n',
  );
});

describe('a hostile cluster', () => {
  const text = markdown(hostileCluster());
  /** Without what is code: blocks, then spans. */
  const outside = text
    .replace(/^(```+)[^\n]*\n[\s\S]*?^\1$/gm, '')
    .replace(/(`+)(?!`)[^\n]*?[^`]\1(?!`)/g, '');

  test('has no markup, mention, link or control character outside of code', () => {
    for (const tag of outside.matchAll(/(?<!\\)<[^>]*>/g))
      expect(['<details>', '<summary>', '</summary>', '</details>', '<!-- -->']).toContain(tag[0]);
    expect(outside).not.toMatch(/@everyone/);
    expect(outside).not.toMatch(/(?<!\\)\[x/);
    expect(outside).not.toMatch(/^# title/m);
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
  });

  test('has the links, lists and headings of the document itself, and no others, as GitHub reads it', () => {
    const html = Bun.markdown.html(text, { autolinks: true, tables: true, strikethrough: true });
    const [links, numbered, images] = ['a', 'ol', 'img'].map((tag) =>
      html.match(new RegExp(`<${tag}[ >]`, 'g')),
    );
    expect({ links, numbered, images }).toEqual({ links: null, numbered: null, images: null });
    // Of what is unknown: one list of what, one of why, with nothing in an item but text.
    expect(html.match(/<ul>/g)).toHaveLength(2);
    expect(html.match(/<pre>/g)).toHaveLength(text.match(/^```\w*$/gm)!.length / 2);
    expect(html.match(/<h[1-6]/g)!.every((heading) => heading === '<h2' || heading === '<h3')).toBe(true);
    // What is read is what was there.
    const read = html.replace(/<[^>]*>/g, '');
    for (const shown of [HOSTILE.link, HOSTILE.list, HOSTILE.numbers]) expect(read).toContain(shown);
  });

  test('has rows of four cells', () => {
    const rows = text.split('\n').filter((line) => /^\| [✗?!]/.test(line));
    expect(rows).toHaveLength(Object.keys(HOSTILE).length);
    for (const row of rows) expect(row.split(/(?<!\\)\|/)).toHaveLength(6);
  });
});

test('has room in an issue, however large the cluster', () => {
  const { diagnosis, ways } = pageCluster(400, 5, 'broken');
  const findings = diagnosis.findings.flatMap((finding, i) => ({
    ...finding,
    message: `${i} ${finding.message}`,
    remedy: `${i} `.repeat(50),
    evidence: Array.from({ length: 20 }, () => ({
      ...finding.evidence[0]!,
      saw: 'x'.repeat(1000).concat('\n').repeat(50),
    })),
  }));
  expect(markdown({ diagnosis: { ...diagnosis, findings }, ways }).length).toBeLessThan(65_536);
});
