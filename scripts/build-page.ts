/**
 * Writes `src/page/bundle.gen.ts` and `src/ui/bundle.gen.ts`: the script and the style of the report page, and of the live page, as texts that the
 * program puts into each page. Like other generated files they are not committed. `bun scripts/build-page.ts`.
 */
import { join } from 'node:path';

const root = join(import.meta.dir, '..');
/** Bytes: what a page of any cluster carries, before compression. */
const MAX_BUNDLE = 150_000;

/** The one file that an entry point becomes. */
async function bundle(entry: string): Promise<string> {
  const result = await Bun.build({
    entrypoints: [join(root, 'src', entry)],
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

/** Writes the texts of one page. */
async function write(room: string, entry: string, styles: readonly string[]): Promise<void> {
  const script = await bundle(entry);
  const style = (await Promise.all(styles.map(bundle))).join('');
  // It stands in an element of HTML, which either of these would end or comment out.
  if (/<\/(?:script|style)|<!--/i.test(script + style))
    throw new Error(`cannot use the bundle of ${entry}: it has markup`);
  const size = script.length + style.length;
  if (size > MAX_BUNDLE)
    throw new Error(`cannot use the bundle of ${entry}: ${size} bytes are more than ${MAX_BUNDLE}`);
  await Bun.write(
    join(root, 'src', room, 'bundle.gen.ts'),
    `// Written by scripts/build-page.ts.
export const script: string = ${JSON.stringify(script)};
export const style: string = ${JSON.stringify(style)};
`,
  );
}

await write('page', 'page/app.tsx', ['page/page.css']);
await write('ui', 'ui/live.tsx', ['page/page.css', 'ui/live.css']);
