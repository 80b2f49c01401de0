import type { BuildFacts } from '../../src/util/version.ts';

/** Another machine's runtime to put a program on. */
export interface CompileTarget {
  /** Bun's name for the platform. */
  target: Bun.Build.CompileTarget;
  /** The runtime's executable. */
  executablePath: string;
}

/** What is compiled into one executable. */
export interface Compilation {
  entry: string;
  /** Its name is in the executable's bytes; its directory is not. */
  outfile: string;
  /** What `hostport version` says. */
  facts?: BuildFacts;
  /** Each dynamic import is a chunk of its own: a process reads and links the code of what it is, not of everything. */
  splitting?: boolean;
  /** Default: this machine's platform and runtime. */
  on?: CompileTarget;
}

/** Compiles an entry point with the runtime into one executable; equal input in any directory gives equal bytes. */
export async function compile({ entry, outfile, facts, splitting = false, on }: Compilation): Promise<void> {
  const result = await Bun.build({
    entrypoints: [entry],
    target: 'bun',
    minify: true,
    bytecode: true,
    ...(splitting && { splitting, format: 'esm' as const }),
    sourcemap: 'none',
    ...(facts !== undefined && { define: { HOSTPORT_BUILD: JSON.stringify(facts) } }),
    // Where it is called must not change what it does.
    compile: { outfile, autoloadDotenv: false, autoloadBunfig: false, ...on },
  });
  if (!result.success) throw new AggregateError(result.logs, `cannot compile ${entry}`);
  for (const log of result.logs) console.error(String(log));
}
