import { expect, test } from 'bun:test';
import { diagnose } from '../path/diagnose/diagnose.ts';
import type { Finding } from '../path/model/finding.ts';
import { failureOn, podOn, smallWorld } from '../path/testing/small-world.ts';
import type { Healed } from './heal.ts';
import { recordHealed } from './heal-events.ts';

const world = smallWorld([podOn('n1', 'a', 80), podOn('n1', 'b', 81), podOn('n2', 'c', 80)], {
  nodes: ['n1', 'n2'].map((name) => ({ metadata: { name, uid: `uid-${name}` } })),
});
const { scene, diagnosis } = diagnose(world, [
  failureOn(() => [{ node: 'n1' }], { code: 'plugin-missing', stage: 'installed' }),
]);
const finding: Finding = diagnosis.findings[0]!;

function healed(outcome: Healed['outcome'], details: string[], reason?: string): Healed {
  return {
    finding,
    outcome,
    round: 1,
    ...(reason !== undefined && { reason }),
    steps: details.map((detail) => ({
      step: { on: 'node', node: 'n1', why: 'so', action: { do: 'rewrite-file', path: '/a' } },
      result: { action: 'x', outcome: 'done', detail },
    })),
  };
}

test.each<[string, Healed, string | undefined]>([
  [
    'what was done',
    healed('healed', ['installed x', 'wrote y']),
    'Normal HostPortHealed plugin-missing: installed x; wrote y',
  ],
  [
    'what was fixed by another',
    healed('healed', []),
    'Normal HostPortHealed plugin-missing: fixed together with another',
  ],
  ['why it failed', healed('failed', [], 'disk full'), 'Warning HostPortNotHealed plugin-missing: disk full'],
  [
    'what is too long for an Event',
    healed('failed', [], 'x'.repeat(5000)),
    `Warning HostPortNotHealed ${`plugin-missing: ${'x'.repeat(5000)}`.slice(0, 1024)}`,
  ],
  ['nothing of what was not tried', healed('left', [], 'by hand'), undefined],
])('Events on the node and its pods with hostPorts say %s', (_, entry, expected) => {
  const events: string[] = [];
  recordHealed(
    {
      event: (object, type, reason, message) =>
        events.push(`${object.kind} ${object.uid}: ${type} ${reason} ${message}`),
    },
    [entry],
    scene,
  );
  const about = ['Node uid-n1', 'Pod uid-a', 'Pod uid-b'];
  expect(events).toEqual(expected === undefined ? [] : about.map((object) => `${object}: ${expected}`));
});
