/** The example in the documentation is what the code makes of the how-to's cluster: `bun scripts/report-example.ts` writes it again. */
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { EXAMPLE, exampleReport } from '../scripts/report-example.ts';

test('docs/report-example.html is what the code makes', async () => {
  // Compared apart: a difference of such a file has no room on a terminal.
  const isSame = readFileSync(EXAMPLE, 'utf8') === (await exampleReport());
  expect(isSame).toBe(true);
});
