import { everyFailure } from './catalogue/every-failure.ts';
import { labMissing } from './lab.ts';

everyFailure({
  title: 'every failure',
  cluster: 'catalogue',
  isOnPages: true,
  missing: labMissing(),
  createMs: 120_000,
  proveMs: 120_000,
});
