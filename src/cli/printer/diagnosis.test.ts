import { describe, expect, test } from 'bun:test';
import { diagnose } from '../../path/diagnose/diagnose.ts';
import type { Diagnosis, PathVerdict, Severity, StageVerdict, Subject } from '../../path/model/finding.ts';
import { words } from '../../path/model/message.ts';
import { stages } from '../../path/model/stages.ts';
import { failureOn, podOn, smallWorld } from '../../path/testing/small-world.ts';
import { exitStatusOf, renderDiagnosis } from './diagnosis.ts';

/** A diagnosis of one pod with one failure; the rest of its path is unknown. */
function diagnosed(severity: Severity, name = 'echo') {
  const failure = failureOn(({ paths }) => paths.map(({ subject }) => subject), {
    code: 'some-failure',
    stage: 'configured',
    severity,
  });
  failure.detect = ({ paths }) =>
    paths.map(({ subject }) => ({
      subject,
      message: words('it is so with {name}', { name }),
      evidence: [
        { kind: 'file', where: '/etc/x', saw: Array.from({ length: 20 }, (_, i) => `line ${i}`).join('\n') },
      ],
      data: null,
    }));
  return diagnose(smallWorld([podOn('n1', name, 80)]), [failure]).diagnosis;
}

describe('a diagnosis for people', () => {
  test('has a line for each mapping and a cell for each stage', () => {
    const [head, line] = renderDiagnosis(diagnosed('broken'), 'hostport').split('\n');
    expect(head?.split(/\s{2,}/)).toContain('CONFIGURED');
    expect(line?.split(/\s{2,}/)).toEqual(['n1', 'echo', 'TCP 80', '✓', '✓', '✗', '·', '·', '·', '·', '·']);
  });

  test('says what was found, where, and what to read', () => {
    const text = renderDiagnosis(diagnosed('broken'), 'hostport');
    expect(text).toContain('✗ some-failure  [configured] pod echo TCP 80 on n1\n  it is so with echo\n');
    expect(text).toContain('  read     hostport doctor --explain some-failure\n');
    expect(text).toContain('1 mapping: 0 good, 1 broken, 0 unknown; 1 cause found');
  });

  test.each<[Severity, boolean]>([
    ['note', true],
    ['risk', false],
  ])('explains the mark of a note where there is one: %s, %p', (severity, explained) => {
    const text = renderDiagnosis(diagnosed(severity), 'hostport');
    expect(text.includes('\ni some-failure ')).toBe(explained);
    expect(text.includes('   i a note: looks wrong, but is not\n')).toBe(explained);
  });

  test('counts a mapping once, by its worst stage, and those at risk apart from good ones', () => {
    const { paths, ...rest } = diagnosed('risk');
    const path = paths[0]!;
    const at = (verdict: StageVerdict['verdict']): StageVerdict => ({ verdict, codes: [] });
    const good = Object.fromEntries(stages.map((stage) => [stage, at('ok')])) as PathVerdict['stages'];
    const endOf = (...kinds: PathVerdict['stages'][]) =>
      renderDiagnosis(
        { ...rest, paths: kinds.map((verdicts) => ({ ...path, stages: verdicts })) },
        'hostport',
      )
        .trimEnd()
        .split('\n')
        .at(-1);
    const atRisk = { ...good, translated: at('risk') };
    const unseen = { ...atRisk, answered: at('unknown') };
    expect(endOf(good, atRisk, good)).toBe(
      '3 mappings: 2 good, 1 at risk, 0 broken, 0 unknown; 1 cause found',
    );
    expect(endOf(good, unseen)).toBe('2 mappings: 1 good, 0 broken, 1 unknown; 1 cause found');
    expect(endOf({ ...unseen, forwarded: at('broken') })).toBe(
      '1 mapping: 0 good, 1 broken, 0 unknown; 1 cause found',
    );
  });

  test.each<[string, Pick<Subject, 'family'>, string]>([
    ['their names', {}, 'nodes n1, n2'],
    ['their names and their family', { family: 'IPv6' }, 'IPv6 nodes n1, n2'],
  ])('shows what is the same on several nodes once, with %s', (_, family, subject) => {
    const failure = failureOn(({ nodes }) => [...nodes.keys()].map((node) => ({ node, ...family })), {
      code: 'some-failure',
      stage: 'configured',
    });
    const world = smallWorld([podOn('n1', 'a', 80), podOn('n2', 'b', 80)]);
    const text = renderDiagnosis(diagnose(world, [failure]).diagnosis, 'hostport');
    expect(text.match(/^. some-failure .*/gm)).toEqual([`✗ some-failure  [configured] ${subject}`]);
  });

  test('does not print all of a long file', () => {
    const text = renderDiagnosis(diagnosed('broken'), 'hostport');
    expect(text).toContain('line 11\n');
    expect(text).not.toContain('line 12\n');
    expect(text).toContain('… 8 more lines');
  });

  test('brings nothing of a cluster to the terminal raw', () => {
    const text = renderDiagnosis(diagnosed('broken', 'evil\u001b]0;owned\u0007\u009b2J'), 'hostport');
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });

  test('shows the command that fixes it as the program was called; the document does not depend on that', () => {
    const diagnosis = { ...diagnosed('broken') };
    diagnosis.findings = diagnosis.findings.map((finding) => ({
      ...finding,
      command: 'hostport heal --only some-failure',
      restart: 'avoided',
    }));
    const before = structuredClone(diagnosis);
    const text = renderDiagnosis(diagnosis, '/opt/$&/hostport');
    expect(text).toContain('  fix      /opt/$&/hostport heal --only some-failure\n');
    expect(text).toContain(
      '  restart  not needed, though often done: /opt/$&/hostport heal fixes it while the pod runs\n',
    );
    expect(text).toContain('\n  evidence file /etc/x:\n             line 0\n');
    expect(diagnosis).toEqual(before);
    const other = renderDiagnosis(diagnosis, 'hostport', ' --name other');
    expect(other).toContain('  fix      hostport heal --name other --only some-failure\n');
    expect(other).toContain(
      '  restart  not needed, though often done: hostport heal --name other fixes it while the pod runs\n',
    );
  });

  test('of nothing says so', () => {
    expect(renderDiagnosis(diagnose(smallWorld([]), []).diagnosis, 'hostport')).toStartWith(
      'No pod asks for a hostPort.\n',
    );
  });
});

test.each<[Severity, number]>([
  ['broken', 1],
  ['risk', 1],
  // Nothing is wrong by it, but the rest of the path was not seen.
  ['note', 2],
])('%s is exit status %d', (severity, status) => {
  expect(exitStatusOf(diagnosed(severity))).toBe(status as 1 | 2);
});

test('a kind of objects that was not read is shown and changes no exit status; a node that was not, does', () => {
  const healthy = { ...diagnosed('note'), paths: [], findings: [] };
  const unread: Diagnosis = {
    ...healthy,
    unknowns: [{ kind: 'objects', what: 'network policies', why: 'forbidden' }],
  };
  expect(exitStatusOf(unread)).toBe(0);
  expect(renderDiagnosis(unread, 'hostport')).toContain('network policies not known: forbidden');
  expect(renderDiagnosis(unread, 'hostport')).toStartWith('No pod asks for a hostPort.\n');
  const unseen: Diagnosis = {
    ...healthy,
    unknowns: [{ kind: 'pod', node: 'n1', what: 'pods', why: 'no runtime' }],
  };
  expect(exitStatusOf(unseen)).toBe(2);
  expect(renderDiagnosis(unseen, 'hostport')).toStartWith('No pod that asks for a hostPort was seen.\n');
});
