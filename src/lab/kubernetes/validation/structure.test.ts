import { describe, expect, test } from 'bun:test';
import { kindByName } from '../../../kube/kinds.ts';
import { prune, quantityError, typeErrors, unknownFields } from './structure.ts';

const pod = kindByName('v1', 'Pod')!;
const deployment = kindByName('apps/v1', 'Deployment')!;
const secret = kindByName('v1', 'Secret')!;

describe('typeErrors', () => {
  const cases: [string, typeof pod, object, string[]][] = [
    [
      'nothing wrong',
      pod,
      { metadata: { name: 'a' }, spec: { containers: [{ name: 'a', image: 'b' }] } },
      [],
    ],
    [
      'string for a number',
      pod,
      { spec: { containers: [{ ports: [{ hostPort: '80' }] }] } },
      [
        'json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.hostPort of type int32',
      ],
    ],
    [
      'inside a template',
      deployment,
      { spec: { template: { spec: { containers: [{ ports: [{ hostPort: '80' }] }] } } } },
      [
        'json: cannot unmarshal string into Go struct field ContainerPort.spec.template.spec.containers.ports.hostPort of type int32',
      ],
    ],
    [
      'fraction for an integer',
      deployment,
      { spec: { replicas: 1.5 } },
      ['json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32'],
    ],
    [
      'too large for int32',
      deployment,
      { spec: { replicas: 2 ** 31 } },
      [
        'json: cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32',
      ],
    ],
    [
      'object for a list',
      pod,
      { spec: { containers: {} } },
      ['json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container'],
    ],
    [
      'list for an object',
      pod,
      { spec: [] },
      ['json: cannot unmarshal array into Go struct field Pod.spec of type v1.PodSpec'],
    ],
    [
      'number in a label',
      pod,
      { metadata: { labels: { a: 1 } } },
      ['json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string'],
    ],
    [
      'boolean in a command',
      pod,
      { spec: { containers: [{ command: ['a', true] }] } },
      ['json: cannot unmarshal bool into Go struct field Container.spec.containers.command of type string'],
    ],
    [
      'named string type',
      pod,
      { spec: { restartPolicy: false } },
      [
        'json: cannot unmarshal bool into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy',
      ],
    ],
    ['not an object at all', pod, [], ['json: cannot unmarshal array into Go value of type v1.Pod']],
    ['null is absent', pod, { metadata: { creationTimestamp: null }, spec: { containers: null } }, []],
    ['int or string', pod, { spec: { containers: [{ livenessProbe: { httpGet: { port: 'web' } } }] } }, []],
    [
      'bad int or string',
      pod,
      { spec: { containers: [{ livenessProbe: { httpGet: { port: true } } }] } },
      ['json: cannot unmarshal bool into Go value of type int32'],
    ],
    [
      'time',
      pod,
      { metadata: { creationTimestamp: 'yesterday' } },
      ['parsing time "yesterday" as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"'],
    ],
    ['base64', secret, { data: { a: 'YWJj', b: '' } }, []],
    ['no base64', secret, { data: { a: 'a b' } }, ['illegal base64 data at input byte 1']],
    [
      'quantity',
      pod,
      { spec: { containers: [{ resources: { limits: { cpu: 'lots' } } }] } },
      ["quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"],
    ],
    ['number as quantity', pod, { spec: { containers: [{ resources: { limits: { cpu: 1 } } }] } }, []],
    [
      'every error, in order',
      pod,
      { spec: { hostNetwork: 'yes', nodeName: 1 } },
      [
        'json: cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool',
        'json: cannot unmarshal number into Go struct field PodSpec.spec.nodeName of type string',
      ],
    ],
  ];
  test.each(cases)('%s', (_name, info, object, expected) => {
    expect(typeErrors(info, object)).toEqual(expected);
  });
});

test.each([
  ['1', undefined],
  ['100m', undefined],
  ['1.5Gi', undefined],
  ['2e3', undefined],
  ['.5', undefined],
  ['-1', undefined],
  ['', 'match'],
  ['abc', 'match'],
  ['1 Gi', 'match'],
  ['1GiB', 'match'],
  ['1KK', 'suffix'],
  ['1mi', 'suffix'],
] as [string, string | undefined][])('quantity %p', (text, complaint) => {
  const error = quantityError(text);
  if (complaint === undefined) expect(error).toBeUndefined();
  else expect(error).toContain(complaint);
});

describe('unknown fields', () => {
  const object = () => ({
    apiVersion: 'v1',
    kind: 'Pod',
    extra: 1,
    metadata: { labels: { anything: 'goes' }, lables: {}, creationTimestamp: null },
    spec: {
      containers: [{ name: 'a' }, { name: 'b', foo: 1, ports: [{ containerport: 80 }] }],
      volumes: [{ name: 'v', hostPath: { path: '/', Type: '' } }],
    },
  });

  test('are named by their paths', () => {
    expect(unknownFields(pod, object())).toEqual([
      'extra',
      'metadata.lables',
      'spec.containers[1].foo',
      'spec.containers[1].ports[0].containerport',
      'spec.volumes[0].hostPath.Type',
    ]);
  });

  test('are pruned, with what is null', () => {
    const pruned = object();
    prune(pod, pruned);
    expect(pruned as object).toEqual({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { labels: { anything: 'goes' } },
      spec: {
        containers: [{ name: 'a' }, { name: 'b', ports: [{}] }],
        volumes: [{ name: 'v', hostPath: { path: '/' } }],
      },
    });
    expect(unknownFields(pod, pruned)).toEqual([]);
    expect(() => prune(pod, null)).not.toThrow();
  });

  test('reads a null in a list or a map as the zero value of its type, as Go does', () => {
    const object = {
      metadata: { labels: { a: null }, finalizers: [null] },
      spec: { containers: [null, { name: 'c', resources: { limits: { cpu: null } } }] },
    };
    prune(pod, object);
    expect(object).toEqual({
      metadata: { labels: { a: '' }, finalizers: [''] },
      spec: { containers: [{}, { name: 'c', resources: { limits: { cpu: '0' } } }] },
    } as unknown as typeof object);
  });
});
