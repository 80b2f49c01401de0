import { describe, expect, test } from 'bun:test';
import { diagnose } from '../../path/diagnose/diagnose.ts';
import { failureOn, podOn, smallWorld } from '../../path/testing/small-world.ts';
import { renderAfterHeal } from './after-heal.ts';
import { renderDiagnosis } from './diagnosis.ts';
import { layoutOf } from './layout.ts';

const world = smallWorld([podOn('n1', 'a', 80), podOn('n2', 'b', 80)]);
const on = (code: string, node: string) =>
  failureOn((scene) => (scene.nodes.has(node) ? [{ node }] : []), { code, stage: 'declared' });
const printing = { program: 'hostport', flags: '', layout: layoutOf({}) };

describe('after a heal', () => {
  const { diagnosis } = diagnose(world, [on('is-a', 'n1'), on('is-b', 'n2')]);
  const render = (...codes: string[]) => renderAfterHeal(diagnosis, world, codes, printing);

  test('of everything, all is printed', () => {
    expect(render()).toBe(renderDiagnosis(diagnosis, 'hostport', '', printing.layout));
  });

  test('of a choice, what concerns it, and how much else there is', () => {
    // Of a code of the catalogue, the mappings of which it is unknown are shown, too.
    const text = render('is-a');
    expect(text).toContain('✗ is-a  [declared] node n1');
    expect(text).not.toContain('✗ is-b');
    expect(text).toEndWith('; 1 cause found\n\n1 other problem is left (is-b).\n');
  });

  test('of a choice of which nothing is left', () => {
    expect(render('is-c')).toBe(
      'Nothing of this choice is left to fix.\n2 other problems are left (is-a, is-b).\n',
    );
  });
});

test('where nothing else is left, that is all', () => {
  const { diagnosis } = diagnose(world, [on('is-a', 'n1')]);
  expect(renderAfterHeal(diagnosis, world, ['is-a'], printing)).toEndWith('; 1 cause found\n');
});
