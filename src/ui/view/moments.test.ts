import { expect, test } from 'bun:test';
import type { Moment } from '../history.ts';
import { withNewest } from './moments.ts';

const moment = (id: number, revision = 0): Moment => ({
  ...{ id, revision, from: '2030-01-01T12:00:00Z', until: '2030-01-01T12:00:00Z', changes: 0 },
  mappings: { good: 1, risk: 0, broken: 0, unknown: 0 },
});

test.each<[string, Moment[], Moment, Moment[] | undefined]>([
  ['the next one', [moment(1), moment(2)], moment(3), [moment(1), moment(2), moment(3)]],
  ['the last one with other evidence', [moment(1), moment(2)], moment(2, 1), [moment(1), moment(2, 1)]],
  ['one after others that did not come', [moment(1)], moment(3), undefined],
  ['the first to come', [], moment(1), undefined],
  ['one of a server that has begun again', [moment(7)], moment(1), undefined],
])('%s', (_, before, newest, after) => expect(withNewest(before, newest)).toEqual(after));
