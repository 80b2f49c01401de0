import { describe, expect, test } from 'bun:test';
import { decodeProtobuf, layoutOf, ProtobufError } from './protobuf.ts';
import { definitionNames, definitionOf } from './schema.ts';
import { WIRE_NUMBERS } from './wire-numbers.ts';

/** Encodes what the tests need: a list of `[number, value]`, a number being a varint and a list a message. */
type Message = [number, string | number | bigint | Uint8Array | Message][];

function varint(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest)];
}

function encode(message: Message): Uint8Array {
  const bytes: number[] = [];
  for (const [field, value] of message) {
    if (typeof value === 'number' || typeof value === 'bigint') {
      bytes.push(...varint(BigInt(field * 8)), ...varint(BigInt(value)));
      continue;
    }
    const inner =
      typeof value === 'string' ? Buffer.from(value) : value instanceof Uint8Array ? value : encode(value);
    bytes.push(...varint(BigInt(field * 8 + 2)), ...varint(BigInt(inner.length)), ...inner);
  }
  return Uint8Array.from(bytes);
}

function enveloped(apiVersion: string, kind: string, raw: Message, extra: Message = []): Uint8Array {
  const unknown = encode([
    [
      1,
      [
        [1, apiVersion],
        [2, kind],
      ],
    ],
    [2, encode(raw)],
    ...extra,
  ]);
  return Uint8Array.from([0x6b, 0x38, 0x73, 0, ...unknown]);
}

test('every field of the schema has a number of its own', () => {
  // CustomResourceDefinitions are read as JSON and YAML only: their schemas are unions that have no fields in protobuf.
  for (const definition of definitionNames().filter((name) => !name.startsWith('apiextensions.'))) {
    const names: string[] = [];
    const collect = (layout: ReturnType<typeof layoutOf>): void => {
      for (const member of layout.values()) {
        if (member instanceof Map) collect(member);
        else names.push(member.name);
      }
    };
    collect(layoutOf(definition));
    const expected = [...definitionOf(definition).keys()].filter(
      (field) => names.includes(field) || !isTypeMeta(definition, field),
    );
    expect(names.sort(), definition).toEqual(expected.sort());
    const numbers = WIRE_NUMBERS[definition.replace('extensions.v1beta1.', 'apps.v1.')]!;
    const outer = [...numbers.replaceAll(/\([^)]*\)/g, 'x').matchAll(/=(\d+)/g)].map(([, number]) => number);
    expect(new Set(outer).size, definition).toBe(outer.length);
  }
});

/** The type of an object is in the envelope. */
function isTypeMeta(definition: string, field: string): boolean {
  const has = definitionOf(definition);
  return (field === 'apiVersion' || field === 'kind') && has.has('apiVersion') && has.has('kind');
}

describe('decodeProtobuf', () => {
  const time: Message = [
    [1, 1_767_225_600],
    [2, 123_456_000],
  ];
  const cases: [string, Uint8Array, object][] = [
    [
      'a ConfigMap as kubectl sends it',
      enveloped('v1', 'ConfigMap', [
        // Go writes its empty strings and its zero time.
        [
          1,
          [
            [1, 'c'],
            [2, ''],
            [3, 'default'],
            [4, ''],
            [5, ''],
            [6, ''],
            [7, 0],
            [8, []],
            [
              11,
              [
                [1, 'run'],
                [2, 'echo'],
              ],
            ],
          ],
        ],
        [
          2,
          [
            [1, 'a'],
            [2, 'b'],
          ],
        ],
        [
          2,
          [
            [1, 'empty'],
            [2, ''],
          ],
        ],
        [
          3,
          [
            [1, 'bin'],
            [2, Uint8Array.of(0, 255)],
          ],
        ],
      ]),
      {
        kind: 'ConfigMap',
        apiVersion: 'v1',
        metadata: { name: 'c', namespace: 'default', labels: { run: 'echo' } },
        data: { a: 'b', empty: '' },
        binaryData: { bin: 'AP8=' },
      },
    ],
    [
      'an eviction with a grace of nought',
      enveloped('policy/v1', 'Eviction', [
        [
          1,
          [
            [1, 'p'],
            [3, 'default'],
          ],
        ],
        [
          2,
          [
            [1, 0],
            [4, 'Background'],
            [5, 'All'],
          ],
        ],
      ]),
      {
        kind: 'Eviction',
        apiVersion: 'policy/v1',
        metadata: { name: 'p', namespace: 'default' },
        deleteOptions: { gracePeriodSeconds: 0, propagationPolicy: 'Background', dryRun: ['All'] },
      },
    ],
    [
      'options of a deletion',
      enveloped('apps/v1', 'DeleteOptions', [[2, [[1, 'u']]]]),
      { kind: 'DeleteOptions', apiVersion: 'apps/v1', preconditions: { uid: 'u' } },
    ],
    [
      'a Deployment',
      enveloped('apps/v1', 'Deployment', [
        [
          2,
          [
            [1, 0],
            [
              4,
              [
                [
                  2,
                  [
                    [
                      1,
                      [
                        [1, 1],
                        [2, 0],
                        [3, '25%'],
                      ],
                    ],
                    [
                      2,
                      [
                        [1, 0],
                        [2, 2],
                        [3, ''],
                      ],
                    ],
                  ],
                ],
              ],
            ],
            [
              3,
              [
                [
                  2,
                  [
                    [
                      2,
                      [
                        [1, 'echo'],
                        [2, 'echo:1'],
                        [
                          6,
                          [
                            [1, ''],
                            [2, 80],
                            [3, 8080],
                            [4, 'TCP'],
                            [5, ''],
                          ],
                        ],
                        [
                          8,
                          [
                            [
                              1,
                              [
                                [1, 'cpu'],
                                [2, [[1, '100m']]],
                              ],
                            ],
                          ],
                        ],
                        [
                          10,
                          [
                            [
                              1,
                              [
                                [
                                  2,
                                  [
                                    [1, '/'],
                                    [
                                      2,
                                      [
                                        [1, 0],
                                        [2, 8080],
                                        [3, ''],
                                      ],
                                    ],
                                  ],
                                ],
                              ],
                            ],
                            [2, 5],
                          ],
                        ],
                      ],
                    ],
                    [
                      1,
                      [
                        [1, 'v'],
                        [
                          2,
                          [
                            [
                              1,
                              [
                                [1, '/tmp'],
                                [2, ''],
                              ],
                            ],
                          ],
                        ],
                      ],
                    ],
                    [4, 0],
                    [11, 1],
                    [12, 0],
                  ],
                ],
              ],
            ],
          ],
        ],
      ]),
      {
        kind: 'Deployment',
        apiVersion: 'apps/v1',
        spec: {
          replicas: 0,
          strategy: { rollingUpdate: { maxUnavailable: '25%', maxSurge: 2 } },
          template: {
            spec: {
              containers: [
                {
                  name: 'echo',
                  image: 'echo:1',
                  ports: [{ hostPort: 80, containerPort: 8080, protocol: 'TCP' }],
                  resources: { limits: { cpu: '100m' } },
                  livenessProbe: { httpGet: { path: '/', port: 8080 }, initialDelaySeconds: 5 },
                },
              ],
              volumes: [{ name: 'v', hostPath: { path: '/tmp', type: '' } }],
              terminationGracePeriodSeconds: 0,
              hostNetwork: true,
            },
          },
        },
      },
    ],
    [
      'times, and a negative number',
      enveloped('v1', 'Pod', [
        [
          1,
          [
            [8, time],
            [10, -5n],
          ],
        ],
      ]),
      {
        kind: 'Pod',
        apiVersion: 'v1',
        metadata: { creationTimestamp: '2026-01-01T00:00:00Z', deletionGracePeriodSeconds: -5 },
      },
    ],
    [
      'a time to the microsecond',
      enveloped('coordination.k8s.io/v1', 'Lease', [
        [
          2,
          [
            [1, 'me'],
            [4, time],
          ],
        ],
      ]),
      {
        kind: 'Lease',
        apiVersion: 'coordination.k8s.io/v1',
        spec: { holderIdentity: 'me', renewTime: '2026-01-01T00:00:00.123456Z' },
      },
    ],
    [
      'lists as the values of a map',
      enveloped('authorization.k8s.io/v1', 'SubjectAccessReview', [
        [
          2,
          [
            [3, 'u'],
            [
              5,
              [
                [1, 'k'],
                [
                  2,
                  [
                    [1, 'a'],
                    [1, 'b'],
                  ],
                ],
              ],
            ],
          ],
        ],
      ]),
      {
        kind: 'SubjectAccessReview',
        apiVersion: 'authorization.k8s.io/v1',
        spec: { user: 'u', extra: { k: ['a', 'b'] } },
      },
    ],
    [
      'packed integers',
      enveloped('v1', 'Pod', [[2, [[14, [[4, Uint8Array.of(1, 0xac, 0x02)]]]]]]),
      { kind: 'Pod', apiVersion: 'v1', spec: { securityContext: { supplementalGroups: [1, 300] } } },
    ],
    [
      'integers one by one',
      enveloped('v1', 'Pod', [
        [
          2,
          [
            [
              14,
              [
                [4, 1],
                [4, 300],
              ],
            ],
          ],
        ],
      ]),
      { kind: 'Pod', apiVersion: 'v1', spec: { securityContext: { supplementalGroups: [1, 300] } } },
    ],
    [
      'fields of the future are skipped',
      enveloped('v1', 'Namespace', [
        [
          1,
          [
            [1, 'n'],
            [99, 'x'],
          ],
        ],
        [77, 5],
      ]),
      { kind: 'Namespace', apiVersion: 'v1', metadata: { name: 'n' } },
    ],
    [
      'the older name of a kind',
      enveloped('extensions/v1beta1', 'Deployment', [[2, [[1, 3]]]]),
      { kind: 'Deployment', apiVersion: 'extensions/v1beta1', spec: { replicas: 3 } },
    ],
  ];
  test.each(cases)('%s', (_name, body, expected) => {
    expect(decodeProtobuf(body) as object).toEqual(expected);
  });

  const good = enveloped('v1', 'Namespace', [[1, [[1, 'n']]]]);
  test.each([
    [
      'no prefix',
      Buffer.from('{}'),
      'provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]',
    ],
    ['an unknown kind', enveloped('v1', 'Widget', []), 'no kind "Widget" is registered for version "v1"'],
    ['a cut end', good.subarray(0, -3), 'unexpected EOF'],
    ['compressed', enveloped('v1', 'Pod', [], [[3, 'gzip']]), 'content encoding "gzip" is not supported'],
    [
      'no UTF-8',
      enveloped('v1', 'Namespace', [[1, [[1, Uint8Array.of(0xff)]]]]),
      'proto: a string is not valid UTF-8',
    ],
    ['a group', enveloped('v1', 'Namespace', [[1, Uint8Array.of(0x0b)]]), 'proto: illegal wireType 3'],
  ])('%s is refused', (_name, body, message) => {
    expect(() => decodeProtobuf(body)).toThrow(new ProtobufError(message));
  });

  test('every truncation is refused or read as less, never read beyond', () => {
    for (let length = 0; length < good.length; length++) {
      try {
        decodeProtobuf(good.subarray(0, length));
      } catch (error) {
        expect(error).toBeInstanceOf(ProtobufError);
      }
    }
  });

  test('a key cannot reach a prototype', () => {
    const body = enveloped('v1', 'ConfigMap', [
      [
        2,
        [
          [1, '__proto__'],
          [2, 'x'],
        ],
      ],
    ]);
    expect(Object.keys(decodeProtobuf(body).data as object)).toEqual(['__proto__']);
  });
});
