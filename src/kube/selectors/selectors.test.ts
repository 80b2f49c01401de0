import { describe, expect, test } from 'bun:test';
import { kindByName } from '../kinds.ts';
import type { KubeObject, LabelSelector } from '../types.ts';
import { labelSelectorMatches, parseFieldSelector, parseLabelSelector, SelectorError } from './index.ts';

describe('parseLabelSelector', () => {
  const labels = { run: 'echo', tier: 'web', n: '5', 'example.com/a': 'b', empty: '' };
  test.each([
    ['', true],
    ['run=echo', true],
    ['run==echo', true],
    [' run = echo , tier != db ', true],
    ['run=other', false],
    ['run!=other', true],
    ['absent!=x', true],
    ['absent=', false],
    ['empty=', true],
    ['empty=,run', true],
    ['run', true],
    ['absent', false],
    ['!absent', true],
    ['! run', false],
    ['run in (echo, other)', true],
    ['run in(other)', false],
    ['absent in ()', false],
    ['empty in (,x)', true],
    ['run notin (echo)', false],
    ['absent notin (echo)', true],
    ['n>4', true],
    ['n > 5', false],
    ['n<6,run', true],
    ['tier>4', false],
    ['example.com/a=b', true],
    ['in in (in)', false],
    ['toString', false],
    ['constructor!=x', true],
  ] as [string, boolean][])('%p is %p', (text, expected) => {
    expect(parseLabelSelector(text)(labels)).toBe(expected);
  });

  test('an object without labels', () => {
    expect(parseLabelSelector('a')(undefined)).toBe(false);
    expect(parseLabelSelector('!a')(undefined)).toBe(true);
  });

  test.each([
    ['a=b=c', "unable to parse requirement: found '=', expected: ',' or 'end of string'"],
    ['a b', "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
    ['=a', "found '=', expected: !, identifier, or 'end of string'"],
    ['a,', "unable to parse requirement: found '', expected: identifier after ','"],
    ['a in b', "unable to parse requirement: found 'b' expected: '('"],
    ['a in (b', "unable to parse requirement: found '', expected: ',', or ')'"],
    ['a in (b c)', "unable to parse requirement: found 'c', expected: ',' or ')'"],
    ['!', "found '', expected: !, identifier, or 'end of string'"],
    [
      'a>b',
      "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must be an integer",
    ],
    ['-a=b', /^unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of/],
    ['a=-b', /^unable to parse requirement: values\[0\]\[a\]: Invalid value: "-b": a valid label must be/],
  ] as [string, string | RegExp][])('%p is refused', (text, message) => {
    expect(() => parseLabelSelector(text)).toThrow(SelectorError);
    expect(() => parseLabelSelector(text)).toThrow(message);
  });
});

describe('labelSelectorMatches', () => {
  const labels = { a: '1', b: '2' };
  test.each([
    [undefined, false],
    [{}, true],
    [{ matchLabels: { a: '1' } }, true],
    [{ matchLabels: { a: '1', c: '3' } }, false],
    [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['1', '9'] }] }, true],
    [{ matchExpressions: [{ key: 'c', operator: 'In', values: ['1'] }] }, false],
    [{ matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['1'] }] }, false],
    [{ matchExpressions: [{ key: 'c', operator: 'NotIn', values: ['1'] }] }, true],
    [{ matchExpressions: [{ key: 'a', operator: 'Exists' }] }, true],
    [{ matchExpressions: [{ key: 'a', operator: 'DoesNotExist' }] }, false],
    [{ matchLabels: { a: '1' }, matchExpressions: [{ key: 'b', operator: 'DoesNotExist' }] }, false],
  ] as [LabelSelector | undefined, boolean][])('%j is %p', (selector, expected) => {
    expect(labelSelectorMatches(selector, labels)).toBe(expected);
  });

  test('an unknown operator', () => {
    const selector = { matchExpressions: [{ key: 'a', operator: 'Is' }] };
    expect(() => labelSelectorMatches(selector, labels)).toThrow(
      '"Is" is not a valid label selector operator',
    );
  });
});

describe('parseFieldSelector', () => {
  const pod = {
    metadata: { name: 'echo', namespace: 'default' },
    spec: { nodeName: 'kind-worker', restartPolicy: 'Always' },
    status: { phase: 'Running', podIP: '192.168.1.2', podIPs: [{ ip: '192.168.1.2' }] },
  };
  const event = {
    metadata: { name: 'e', namespace: 'default' },
    involvedObject: { kind: 'Pod', name: 'echo', namespace: 'default', uid: 'u' },
    reason: 'Failed',
    type: 'Warning',
    source: { component: 'kubelet' },
  };
  test.each([
    ['v1 Pod', pod, '', true],
    ['v1 Pod', pod, 'metadata.name=echo,metadata.namespace=default', true],
    ['v1 Pod', pod, 'spec.nodeName=kind-worker', true],
    ['v1 Pod', pod, 'spec.nodeName==', false],
    ['v1 Pod', pod, 'spec.host=kind-worker', true],
    ['v1 Pod', pod, 'status.phase!=Running', false],
    ['v1 Pod', pod, 'status.phase!=Succeeded,status.phase!=Failed', true],
    ['v1 Pod', pod, 'spec.hostNetwork=false', true],
    ['v1 Pod', pod, 'status.podIP=192.168.1.2,status.podIPs=192.168.1.2', true],
    ['v1 Pod', pod, 'status.nominatedNodeName=', true],
    ['v1 Event', event, 'involvedObject.name=echo,involvedObject.uid=u,type=Warning', true],
    ['v1 Event', event, 'source=kubelet,reason!=Failed', false],
    ['v1 Event', { reportingComponent: 'x' }, 'source=x', true],
    ['v1 Node', {}, 'spec.unschedulable=false', true],
    ['v1 Node', { spec: { unschedulable: true } }, 'spec.unschedulable=true', true],
    ['v1 Secret', { type: 'a,b' }, 'type=a\\,b', true],
    ['v1 Secret', { type: 'a=b\\' }, 'type=a\\=b\\\\', true],
    ['v1 Namespace', { status: { phase: 'Active' } }, 'status.phase=Active', true],
    ['apps/v1 Deployment', pod, 'metadata.name!=echo', false],
  ] as [string, KubeObject, string, boolean][])('%s %j %p is %p', (kind, object, text, expected) => {
    const [apiVersion, name] = kind.split(' ') as [string, string];
    expect(parseFieldSelector(kindByName(apiVersion, name)!, text)(object)).toBe(expected);
  });

  test.each([
    ['Pod', 'spec.foo=1', 'field label not supported: spec.foo'],
    ['Pod', 'constructor=1', 'field label not supported: constructor'],
    [
      'ConfigMap',
      'data.a=1',
      '"data.a" is not a known field selector: only "metadata.name", "metadata.namespace"',
    ],
    ['Pod', 'metadata.name', "invalid selector: 'metadata.name'; can't understand 'metadata.name'"],
    ['Pod', 'metadata.name=a\\b', 'invalid field selector: invalid escape sequence: \\b'],
    [
      'Pod',
      'metadata.name=a=b',
      'invalid field selector: unescaped character in value: = in metadata.name=a=b',
    ],
  ])('%s %p is refused', (kind, text, message) => {
    expect(() => parseFieldSelector(kindByName('v1', kind)!, text)).toThrow(new SelectorError(message));
  });
});
