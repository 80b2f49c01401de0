/**
 * A plugin for StrykerJS that keeps a sample of all mutants, the same for the same seed, and skips the others. Stryker has no option for that,
 * but it asks a checker about every mutant before it runs any. The seed is $MUTATION_SEED, the size $MUTATION_SAMPLE.
 */
import { createHash } from 'node:crypto';
import { relative } from 'node:path';
import { declareClassPlugin, PluginKind } from '@stryker-mutator/api/plugin';

class Sample {
  async init() {}

  /** All in one group: which are in the sample depends on how many there are. */
  async group(mutants) {
    return [mutants.map(({ id }) => id)];
  }

  async check(mutants) {
    const size = Number(process.env.MUTATION_SAMPLE);
    const chosen = new Set(
      mutants
        .map((mutant) => ({ id: mutant.id, rank: rankOf(mutant) }))
        .sort((a, b) => (a.rank < b.rank ? -1 : 1))
        .slice(0, size)
        .map(({ id }) => id),
    );
    return Object.fromEntries(
      mutants.map(({ id }) => [
        id,
        chosen.has(id) ? { status: 'passed' } : { status: 'compileError', reason: 'not in the sample' },
      ]),
    );
  }
}

/** A random number that is the same for the same change in the same place. */
function rankOf({ fileName, location, mutatorName, replacement }) {
  const place = [relative(process.cwd(), fileName), JSON.stringify(location), mutatorName, replacement];
  return createHash('sha256')
    .update([process.env.MUTATION_SEED, ...place].join('\0'))
    .digest('hex');
}

export const strykerPlugins = [declareClassPlugin(PluginKind.Checker, 'sample', Sample)];
