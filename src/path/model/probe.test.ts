import { describe, expect, test } from 'bun:test';
import { type ProbeResult, probeResultSchema, vantages } from './probe.ts';

/** A result with all that one may have. */
const FULL: ProbeResult = {
  vantage: 'outside',
  node: 'n1',
  from: 'n2',
  podUid: 'u',
  protocol: 'TCP',
  hostPort: 80,
  hostIP: '127.0.0.1',
  target: { address: '172.17.0.2', port: 80 },
  outcome: 'answered',
  detail: 'connected',
  milliseconds: 1.5,
  sourcePort: 1024,
  answeredBy: { address: '10.1.0.2', port: 8080 },
  tracked: true,
  untold: 'no conntrack',
  reversePathDrops: 0,
  replied: false,
  seenSource: '172.17.0.3',
};

const OPTIONAL = [
  'from',
  'hostIP',
  'sourcePort',
  'answeredBy',
  'tracked',
  'untold',
  'reversePathDrops',
].concat(['replied', 'seenSource']);

const isRead = (document: unknown) => probeResultSchema.safeParse(document).success;

describe('the result of a probe', () => {
  test('is read with all that is in it', () => {
    expect(probeResultSchema.parse(FULL)).toEqual(FULL);
  });

  test('lacks nothing that must be there', () => {
    const dispensable = Object.keys(FULL).filter((key) => isRead({ ...FULL, [key]: undefined }));
    expect(dispensable).toEqual(OPTIONAL);
  });

  test('has nothing of another type', () => {
    expect(Object.keys(FULL).filter((key) => isRead({ ...FULL, [key]: {} }))).toEqual([]);
  });

  test.each<[keyof ProbeResult, readonly string[]]>([
    ['vantage', vantages],
    ['protocol', ['TCP', 'UDP', 'SCTP']],
    ['outcome', ['answered', 'refused', 'timeout', 'unreachable', 'unknown']],
  ])('has as %s one of its words', (key, words) => {
    expect(words.filter((word) => !isRead({ ...FULL, [key]: word }))).toEqual([]);
    expect(['', 'other'].filter((word) => isRead({ ...FULL, [key]: word }))).toEqual([]);
  });
});
