import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { type Exec, output } from '../../../src/sys/exec.ts';

/** A package of this project's code for programs of others. */
export interface Library {
  name: string;
  description: string;
  /** Its only module. */
  entry: string;
  /** What npm shows. */
  readme: string;
  /** Packages that it needs at run time. */
  dependencies: readonly string[];
}

export const LIBRARIES: readonly Library[] = [
  {
    name: '@hostport/cni',
    description:
      'The Container Network Interface for TypeScript: conflists, results, chains, the cache, plugins',
    entry: 'src/cni/index.ts',
    readme: 'docs/npm/cni.md',
    dependencies: [],
  },
  {
    name: '@hostport/diagnosis',
    description:
      "What is wrong with a Kubernetes cluster's hostPorts: node reports and objects in, findings out",
    entry: 'src/path/index.ts',
    readme: 'docs/npm/diagnosis.md',
    dependencies: ['zod'],
  },
];

const TYPES_MS = 5 * 60_000;
/** Types of others that are only types, and whose packages modules of Node cannot name: they are in the package itself. */
const COPIED_TYPES = 'kubernetes-types';

/** The module of a library, for Node 20 and later and for Bun, in one file. */
export async function bundleLibrary(root: string, { entry, dependencies }: Library): Promise<string> {
  const replacements = join(root, 'scripts/release/npm');
  const built = await Bun.build({
    entrypoints: [join(root, entry)],
    target: 'node',
    format: 'esm',
    external: [...dependencies],
    define: { 'Map.groupBy': 'groupBy' },
    plugins: [
      {
        name: 'node',
        setup(builder) {
          builder.onResolve({ filter: /\/sys\/sha2\.ts$/ }, () => ({ path: join(replacements, 'sha2.ts') }));
          // Imported by what a library does not offer, and gone with it.
          builder.onResolve({ filter: /^bun:ffi$/ }, ({ path }) => ({ path, namespace: 'absent' }));
          builder.onLoad({ filter: /./, namespace: 'absent' }, () => ({
            contents: 'export const dlopen = undefined;',
            loader: 'js',
          }));
        },
      },
    ],
  });
  const [script] = built.outputs;
  if (!built.success || script === undefined) throw new AggregateError(built.logs, `cannot bundle ${entry}`);
  const text = withoutPaths(await script.text(), root);
  if (/\bBun\b/.test(text)) throw new Error(`${entry} uses Bun, which Node has not`);
  return text.includes('groupBy(') ? `${groupByText(root)}\n${text}` : text;
}

/** A bundle names the file that each part comes from, from the directory that it was built in. */
function withoutPaths(text: string, root: string): string {
  return text.replaceAll(/^\/\/ .*\.(?:ts|json|js|mjs)$\n/gm, '').replaceAll(`${root}/`, '');
}

function groupByText(root: string): string {
  const source = readFileSync(join(root, 'scripts/release/npm/group-by.ts'), 'utf8');
  return new Bun.Transpiler({ loader: 'ts' })
    .transformSync(source)
    .replace(/^export /m, '')
    .trim();
}

/** Writes the declarations of a library below a directory; returns the path of its entry there. */
export async function writeTypes(
  exec: Exec,
  root: string,
  { entry }: Library,
  directory: string,
): Promise<string> {
  const config = join(directory, 'tsconfig.json');
  mkdirSync(directory, { recursive: true });
  writeFileSync(
    config,
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions: {
        noEmit: false,
        declaration: true,
        emitDeclarationOnly: true,
        outDir: directory,
        rootDir: root,
        types: ['bun'],
        typeRoots: [join(root, 'node_modules/@types')],
      },
      include: [],
      files: [join(root, entry)],
    }),
  );
  await output(exec, [join(root, 'node_modules/.bin/tsc'), '-p', config, '--singleThreaded'], {
    cwd: root,
    timeoutMs: TYPES_MS,
  });
  rmSync(config);
  const files = declarationsIn(directory);
  copyTypes(root, directory, files);
  for (const file of declarationsIn(directory)) rewrite(directory, file);
  return entry.replace(/\.ts$/, '.d.ts');
}

function declarationsIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.d.ts'))
    .sort();
}

/** Copies the declarations of {@link COPIED_TYPES} that these name, and those that they name. */
function copyTypes(root: string, directory: string, files: readonly string[]): void {
  const open = files.flatMap((file) =>
    [
      ...readFileSync(join(directory, file), 'utf8').matchAll(new RegExp(`'${COPIED_TYPES}/([^']+)'`, 'g')),
    ].map(([, path]) => path!),
  );
  const seen = new Set<string>();
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const from = declarationOf(join(root, 'node_modules', COPIED_TYPES, path));
    const to = join(directory, COPIED_TYPES, relative(join(root, 'node_modules', COPIED_TYPES), from));
    mkdirSync(dirname(to), { recursive: true });
    copyFileSync(from, to);
    for (const [, , other] of readFileSync(from, 'utf8').matchAll(/from (["'])(\.[^"']+)\1/g))
      open.push(posix.join(posix.dirname(path), other!));
  }
}

function declarationOf(path: string): string {
  return existsSync(`${path}.d.ts`) ? `${path}.d.ts` : join(path, 'index.d.ts');
}

/** Names modules as Node does: relative, with the extension of what would run. */
function rewrite(directory: string, file: string): void {
  const here = posix.dirname(file);
  const text = readFileSync(join(directory, file), 'utf8').replace(
    /(\bfrom |\bimport\(|\bdeclare module |\bimport )(["'])([^"']+)\2/g,
    (whole, before: string, quote: string, specifier: string) => {
      if (specifier.startsWith('.')) {
        const plain = specifier.replace(/\.(?:ts|js)$/, '');
        const target = existsSync(join(directory, here, `${plain}.d.ts`)) ? plain : `${plain}/index`;
        return `${before}${quote}${target}.js${quote}`;
      }
      if (!specifier.startsWith(`${COPIED_TYPES}/`)) return whole;
      const path = relative(here, specifier);
      return `${before}${quote}${path.startsWith('.') ? path : `./${path}`}.js${quote}`;
    },
  );
  writeFileSync(join(directory, file), text);
}
