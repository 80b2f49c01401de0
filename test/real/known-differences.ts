import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Difference } from './compare.ts';

const TABLE = join(import.meta.dir, '../../docs/decisions/differences-of-the-api.md');

/** A difference that is there for a reason, as a row of the table says it. */
export interface KnownDifference {
  row: string;
  matches(operation: string, difference: Difference): boolean;
}

/** The rows of the table. Throws when one has no reason. */
export function knownDifferences(): KnownDifference[] {
  const rows = [...readFileSync(TABLE, 'utf8').matchAll(/^\| `(.+?)` \| `(.+?)` \| (.*) \|$/gm)];
  if (rows.length === 0) throw new Error(`${TABLE}: no table of differences`);
  return rows.map(([row, operation, field, reason]) => {
    if (reason!.trim() === '') throw new Error(`${TABLE}: no reason for ${row}`);
    const operations = pattern(operation!, /[^/]*/.source);
    const fields = pattern(field!, /[^.]*/.source);
    return {
      row,
      matches: (name, { path }) => operations.test(name) && fields.test(path),
    };
  });
}

/** `**` is any text, `*` any within one part, as `part` matches it. */
function pattern(text: string, part: string): RegExp {
  const escaped = text.replaceAll(/[.?+^$()[\]{}|\\]/g, '\\$&');
  const source = escaped.replaceAll(/\*\*|\*/g, (stars) => (stars === '**' ? '.*' : part));
  return new RegExp(`^${source}$`, 's');
}
