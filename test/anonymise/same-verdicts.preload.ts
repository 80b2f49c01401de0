/**
 * Loaded before tests of the diagnosis: each world that they make a scene of is diagnosed as its bundle and as its anonymised bundle, and what these
 * say is written, a line a world, to the file that HOSTPORT_ANONYMISED names.
 */
import { mock } from 'bun:test';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { Anonymiser } from '../../src/collect/anonymise/anonymiser.ts';
import { diagnose } from '../../src/path/diagnose/diagnose.ts';
import type { Diagnosis } from '../../src/path/model/finding.ts';
import type { World } from '../../src/path/model/world.ts';
import * as module from '../../src/path/view/scene.ts';
import { reread } from './reread.ts';

const { Scene } = module;
let isComparing = false;
/** Worlds whose reports are longer are left out, in characters. */
const MAX_LENGTH = 500_000;

mock.module(join(import.meta.dir, '../../src/path/view/scene.ts'), () => ({
  ...module,
  Scene: class extends Scene {
    constructor(...made: ConstructorParameters<typeof Scene>) {
      super(...made);
      const [world, part] = made;
      if (part === undefined && !isComparing) {
        isComparing = true;
        compare(world);
        isComparing = false;
      }
    }
  },
}));

function compare(world: World): void {
  // A few worlds have a hundred thousand of something; what they are about is time.
  if (sizeOf(world) > MAX_LENGTH) return;
  let plain: World;
  try {
    plain = reread(world);
  } catch {
    // Some tests have worlds that no bundle can hold.
    return;
  }
  const [before, after] = [plain, reread(world, new Anonymiser(world))].map((read) =>
    verdictsOf(diagnose(read).diagnosis),
  ) as [Verdicts, Verdicts];
  const same = Bun.deepEquals(before, after);
  const line = { codes: before.codes, same, ...(same ? {} : { before, after }) };
  appendFileSync(process.env.HOSTPORT_ANONYMISED!, `${JSON.stringify(line)}\n`);
}

/** How many characters the reports of a world have. */
function sizeOf({ reports }: World): number {
  return [...reports.values()].reduce((sum, report) => sum + JSON.stringify(report).length, 0);
}

interface Verdicts {
  codes: string[];
  findings: string[];
  paths: string[];
}

/** What a diagnosis says without names, in an order that does not depend on them. */
function verdictsOf({ findings, paths }: Diagnosis): Verdicts {
  return {
    codes: [...new Set(findings.map(({ code }) => code))].sort(),
    findings: findings
      .map(({ code, stage, severity, subject }) => `${code} ${stage} ${severity} ${subject.port?.hostPort}`)
      .sort(),
    paths: paths
      .map(
        ({ port, stages }) =>
          `${port.protocol} ${port.hostPort} ${Object.values(stages)
            .map(({ verdict, codes }) => [verdict, ...codes].join(' '))
            .join(', ')}`,
      )
      .sort(),
  };
}
