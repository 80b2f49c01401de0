/**
 * Writes `src/page/bundle.gen.ts`: the script and the style of the report page, as texts that the program puts into each file. Like other
 * generated files it is not committed. `bun scripts/build-page.ts`.
 */
import { join } from 'node:path';

const root = join(import.meta.dir, '..');
/** Bytes: what a page of any cluster carries, before compression. */
const MAX_BUNDLE = 150_000;

/** The one file that an entry point becomes. */
async function bundle(entry: string): Promise<string> {
  const result = await Bun.build({
    entrypoints: [join(root, 'src/page', entry)],
    target: 'browser',
    format: 'iife',
    minify: true,
    sourcemap: 'none',
    define: { 'process.env.NODE_ENV': '"production"' },
  });
  if (!result.success) throw new AggregateError(result.logs, `cannot bundle ${entry}`);
  const [output] = result.outputs;
  return (await output!.text()).trim();
}

const script = await bundle('app.tsx');
const style = await bundle('page.css');
// It stands in an element of HTML, which either of these would end or comment out.
if (/<\/(?:script|style)|<!--/i.test(script + style)) throw new Error('cannot use the bundle: it has markup');
if (script.length + style.length > MAX_BUNDLE)
  throw new Error(`cannot use the bundle: ${script.length + style.length} bytes are more than ${MAX_BUNDLE}`);
await Bun.write(
  join(root, 'src/page/bundle.gen.ts'),
  `// Written by scripts/build-page.ts.
export const script: string = ${JSON.stringify(script)};
export const style: string = ${JSON.stringify(style)};
`,
);
