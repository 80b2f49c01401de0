import { describe, expect, test } from 'bun:test';
import { parse } from 'yaml';
import type { SourcePatch } from './cnis.ts';
import { type Patched, type PatchedObject, patchOf } from './patch.ts';

const AT = { namespace: 'kube-system', name: 'c' };
const DATA: SourcePatch = {
  kind: 'data',
  ...AT,
  data: { 'cni-chaining-mode': 'portmap' },
  unless: { 'cni-chaining-mode': ['aws-cni'] },
};
const LIST: SourcePatch = { kind: 'list', ...AT, key: 'cni-conf.json' };
const VALUES: SourcePatch = { kind: 'values', ...AT, values: { cni: { chainingMode: 'portmap' } } };

const list = (...types: string[]) => ({
  data: { 'cni-conf.json': JSON.stringify({ name: 'n', plugins: types.map((type) => ({ type })) }) },
});
const values = (valuesContent: string) => ({ spec: { valuesContent } });

function bodyOf(result: Patched): unknown {
  if (result.is !== 'patch') throw new Error(`no patch: ${JSON.stringify(result)}`);
  return result.body;
}

describe('what is not patched', () => {
  const cases: [string, SourcePatch, PatchedObject | undefined, string][] = [
    ['nothing there', DATA, undefined, 'refused: kube-system/c does not exist'],
    [
      'a value that means something else',
      DATA,
      { data: { 'cni-chaining-mode': 'aws-cni' } },
      'refused: cni-chaining-mode is aws-cni',
    ],
    ['data that is so already', DATA, { data: { 'cni-chaining-mode': 'portmap' } }, 'done'],
    ['no list', LIST, { data: {} }, 'refused: it has no cni-conf.json'],
    [
      'a list with placeholders',
      LIST,
      { data: { 'cni-conf.json': '{"mtu": __MTU__}' } },
      'refused: its cni-conf.json is not valid JSON',
    ],
    [
      'not a CNI list',
      LIST,
      { data: { 'cni-conf.json': '{}' } },
      'refused: its cni-conf.json is not a CNI list',
    ],
    ['null', LIST, { data: { 'cni-conf.json': 'null' } }, 'refused: its cni-conf.json is not a CNI list'],
    ['a list that chains it', LIST, list('flannel', 'portmap'), 'done'],
    ['values that are so already', VALUES, values('cni:\n  chainingMode: portmap\n'), 'done'],
    [
      'values that are not valid YAML',
      VALUES,
      values('a: [\n'),
      'refused: its valuesContent is not valid YAML',
    ],
    ['values that are not a map', VALUES, values('- a\n'), 'refused: its valuesContent is not a map'],
    ['a parent that is not a map', VALUES, values('cni: none\n'), 'refused: its cni is not a map'],
  ];
  test.each(cases)('%s', (_, patch, object, expected) => {
    const result = patchOf(patch, object);
    expect(result.is === 'refused' ? `refused: ${result.why}` : result.is).toBe(expected);
  });
});

test('keys are added to those that are there', () => {
  expect(patchOf(DATA, { data: { other: 'x', 'cni-chaining-mode': 'none' } })).toMatchObject({
    is: 'patch',
    body: { data: { 'cni-chaining-mode': 'portmap' } },
  });
});

test('portmap is chained behind what is in the list, and nothing else is changed', () => {
  const result = patchOf(LIST, list('flannel', 'bandwidth'));
  const { data } = bodyOf(result) as { data: Record<string, string> };
  expect(JSON.parse(data['cni-conf.json']!)).toEqual({
    name: 'n',
    plugins: [
      { type: 'flannel' },
      { type: 'bandwidth' },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  });
});

describe('values keep their comments, and all that is not set', () => {
  test.each([
    ['none', '', { cni: { chainingMode: 'portmap' } }],
    [
      'others',
      '# mine\nhubble:\n  enabled: true # yes\n',
      { hubble: { enabled: true }, cni: { chainingMode: 'portmap' } },
    ],
    ['beside it', 'cni:\n  exclusive: false\n', { cni: { exclusive: false, chainingMode: 'portmap' } }],
    ['another value', 'cni:\n  chainingMode: none\n', { cni: { chainingMode: 'portmap' } }],
    ['an empty parent', 'cni:\n', { cni: { chainingMode: 'portmap' } }],
  ])('%s', (_, text, expected) => {
    const result = patchOf(VALUES, values(text));
    const { spec } = bodyOf(result) as { spec: { valuesContent: string } };
    expect(parse(spec.valuesContent)).toEqual(expected);
    for (const comment of text.match(/#.*$/gm) ?? []) expect(spec.valuesContent).toContain(comment);
    // Done twice it is done.
    expect(patchOf(VALUES, values(spec.valuesContent))).toEqual({ is: 'done' });
  });
});
