import { expect, test } from 'bun:test';
import { catalogue } from '../../path/stages/index.ts';
import { faults } from './index.gen.ts';
import { faultOf } from './index.ts';

test('every failure has its injector, and every injector its failure', () => {
  expect([...faults.keys()].sort()).toEqual(catalogue.map(({ code }) => code).sort());
});

test.each(catalogue.map(({ code }) => code))('%s can be injected and undone', (code) => {
  const fault = faultOf({ code });
  expect(fault.does).not.toBe('');
  expect(fault.inject).toBeFunction();
  expect(fault.restore).toBeFunction();
});

test('a failure without a file says which file is missing', () => {
  expect(() => faultOf({ code: 'none' })).toThrow('no file injects none; want src/lab/faults/none.ts');
});
