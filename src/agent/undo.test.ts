import { describe, expect, test } from 'bun:test';
import type { LastHeal } from '../node/apply/undo.ts';
import type { NodeRequest } from '../node/serve/request.ts';
import { planUndo, type UndoDoor, undo, undoDoor, whyNotUndone } from './undo.ts';

const FIRST = '2026-01-01T00:00:00.000Z';
const LAST = '2026-01-02T00:00:00.000Z';

function lastHeal(heal: string, ...states: LastHeal['files'][number]['state'][]): LastHeal {
  const place = { time: heal, turn: 0 };
  return {
    heal,
    place,
    files: states.map((state, i) => ({ path: `/etc/${i}`, state, detail: state })),
    stays: [],
  };
}

/** Nodes by what their last heal was; one that is not there does not answer. */
class Nodes {
  readonly asked: string[] = [];
  readonly door = undoDoor(
    (node, request) => this.#ask(node, request),
    (files, node, request) => {
      this.asked.push(`may write ${files.join(' ')}`);
      return this.#ask(node, request);
    },
  );
  readonly #heals: Record<string, LastHeal | null>;

  constructor(heals: Record<string, LastHeal | null>) {
    this.#heals = heals;
  }

  async #ask(node: string, request: NodeRequest): Promise<unknown> {
    if (!(node in this.#heals)) throw new Error('no answer');
    if (request.do === 'last-heal') return this.#heals[node];
    if (request.do !== 'undo') throw new Error(`asked to ${request.do}`);
    this.asked.push(`undo ${node} ${request.heal}`);
    return [{ action: 'undo', outcome: 'done', detail: 'put back' }];
  }
}

test('the last heal of all nodes counts, and nodes of earlier ones have no part in it', async () => {
  const nodes = new Nodes({
    b: lastHeal(LAST, 'back'),
    a: lastHeal(LAST, 'back'),
    c: lastHeal(FIRST, 'back'),
    d: null,
  });
  const plan = await planUndo(nodes.door, ['a', 'b', 'c', 'd', 'dark']);
  expect(plan).toMatchObject({
    heal: LAST,
    nodes: [{ node: 'a' }, { node: 'b' }],
    unknown: [{ node: 'dark', why: 'no answer' }],
  });
});

test('a heal that a node has had after another is the later one, whatever their times say', async () => {
  const afterLast = { ...lastHeal(FIRST, 'back'), place: { time: LAST, turn: 1 } };
  const nodes = new Nodes({ a: lastHeal(LAST, 'back'), b: afterLast, c: lastHeal(FIRST, 'back') });
  expect(await planUndo(nodes.door, ['a', 'b', 'c'])).toMatchObject({
    heal: FIRST,
    nodes: [{ node: 'b' }, { node: 'c' }],
  });
});

test('as long as a node cannot be asked, which heal was the last is unknown, and none is undone', async () => {
  const nodes = new Nodes({ a: lastHeal(LAST, 'back') });
  const plan = await planUndo(nodes.door, ['a', 'dark']);
  expect(whyNotUndone(plan)).toContain('dark could not be asked');
  await expect(undo(nodes.door, plan, new AbortController().signal)).rejects.toThrow(
    'choose the other nodes',
  );
  expect(nodes.asked).toEqual([]);
  expect(whyNotUndone(await planUndo(nodes.door, ['a']))).toBeUndefined();
});

test('without a heal there is nothing to undo', async () => {
  const plan = await planUndo(new Nodes({ a: null }).door, ['a']);
  expect(plan).toEqual({ heal: undefined, nodes: [], unknown: [] });
});

describe('a node is asked to undo only what it can', () => {
  test.each<[string, LastHeal['files'][number]['state'][], string[]]>([
    ['what is put back', ['back', 'as-before', 'back'], ['may write /etc/0 /etc/2', `undo a ${LAST}`]],
    ['nothing that is as it was', ['as-before'], []],
    ['nothing when something has changed since', ['back', 'refused'], []],
    ['nothing where no file was changed', [], []],
  ])('%s', async (_, states, asked) => {
    const nodes = new Nodes({ a: lastHeal(LAST, ...states) });
    const plan = await planUndo(nodes.door, ['a']);
    await undo(nodes.door, plan, new AbortController().signal);
    expect(nodes.asked).toEqual(asked);
  });
});

test('a node that fails does not keep others from it', async () => {
  const nodes = new Nodes({ b: lastHeal(LAST, 'back') });
  const plan = await planUndo(nodes.door, ['b']);
  const both = { ...plan, nodes: [{ node: 'a', last: lastHeal(LAST, 'back') }, ...plan.nodes] };
  const done = await undo(nodes.door, both, new AbortController().signal);
  expect(done).not.toHaveProperty('error');
  expect(done.nodes.map(({ node, results }) => [node, results[0]!.outcome, results[0]!.detail])).toEqual([
    ['a', 'failed', 'no answer'],
    ['b', 'done', 'put back'],
  ]);
});

test('an interruption between two nodes keeps what was done, and begins no further node', async () => {
  const nodes = new Nodes({ a: lastHeal(LAST, 'back'), b: lastHeal(LAST, 'back') });
  const plan = await planUndo(nodes.door, ['a', 'b']);
  const stop = new AbortController();
  const door: UndoDoor = {
    ...nodes.door,
    async undo(node, heal) {
      const results = await nodes.door.undo(node, heal);
      stop.abort(new Error('interrupted'));
      return results;
    },
  };
  const { nodes: done, error } = await undo(door, plan, stop.signal);
  expect(done.map(({ node, results }) => `${node} ${results[0]!.outcome}`)).toEqual(['a done']);
  expect(error).toBe(stop.signal.reason);
});
