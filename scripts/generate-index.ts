/**
 * Writes the lists of failures and of their injectors from the files that are there, so that adding a failure is adding two files:
 * - `src/path/stages/index.gen.ts`: every `src/path/stages/<stage>/<code>.ts`;
 * - `src/lab/faults/index.gen.ts`: every `src/lab/faults/<code>.ts`, by code.
 * Like other generated files they are not committed. `bun scripts/generate-index.ts [DIRECTORY]`, by default this project's.
 */
import { join } from 'node:path';

const root = process.argv[2] ?? join(import.meta.dir, '..');

/** The modules of a directory that a pattern matches, without tests and lists, sorted. */
function modules(directory: string, pattern: string): string[] {
  return [...new Bun.Glob(pattern).scanSync(join(root, directory))]
    .filter((path) => !/\.(test|gen)\.ts$|(^|\/)index\.ts$/.test(path))
    .sort();
}

function codeOf(path: string): string {
  return path.replace(/^.*\//, '').replace(/\.ts$/, '');
}

/** `rp-filter-strict` is `rpFilterStrict` where it is a constant. */
function constantOf(code: string): string {
  return code.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

const stages = modules('src/path/stages', '*/*.ts');
await Bun.write(
  join(root, 'src/path/stages/index.gen.ts'),
  `// Written by scripts/generate-index.ts.
import type { Failure } from './failure.ts';
${stages.map((path) => `import { ${constantOf(codeOf(path))} } from './${path}';`).join('\n')}

export const failures: readonly Failure[] = [
${stages.map((path) => `  ${constantOf(codeOf(path))},`).join('\n')}
];
`,
);

const injectors = modules('src/lab/faults', '*.ts');
await Bun.write(
  join(root, 'src/lab/faults/index.gen.ts'),
  `// Written by scripts/generate-index.ts.
import type { Fault } from '../inject/fault.ts';
${injectors.map((path) => `import { fault as ${constantOf(codeOf(path))} } from './${path}';`).join('\n')}

export const faults: ReadonlyMap<string, Fault> = new Map([
${injectors.map((path) => `  ['${codeOf(path)}', ${constantOf(codeOf(path))}],`).join('\n')}
]);
`,
);
