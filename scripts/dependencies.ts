/** Writes docs/dependencies.md: what of npm is used, and why. A test holds the page to what is installed. */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dir, '..');
const PAGE = join(ROOT, 'docs/dependencies.md');

/** Why each package is used. */
const WHY: Readonly<Record<string, string>> = {
  '@abraham/reflection': '`Reflect.getMetadata`, without which `@peculiar/x509` does not load',
  '@bufbuild/protobuf':
    'the wire format of protocol buffers: [decision](decisions/protobuf-wire-by-a-library.md)',
  '@marcbachmann/cel-js':
    'rules of CustomResourceDefinitions: [decision](decisions/rules-in-cel-by-a-library.md)',
  '@peculiar/x509': 'certificates of labs and agents: [decision](decisions/certificates-by-a-library.md)',
  commander: 'the command line',
  jose: 'tokens of service accounts (JSON Web Tokens)',
  'modern-tar': 'archives of bundles, images and releases: [decision](decisions/tar-by-a-library.md)',
  preact: 'draws the report page and the live page: [decision](decisions/the-page-by-preact.md)',
  re2js: "Go's regular expressions in schemas: [decision](decisions/patterns-of-go-by-a-library.md)",
  'ws-of-npm':
    'WebSockets to API servers, by npm under a name that Bun does not replace: [decision](decisions/websockets-by-ws.md)',
  yaml: 'kubeconfigs, manifests and configurations, edited with their comments: [decision](decisions/kubeconfigs-are-edited-as-documents.md)',
  zod: 'checks everything that is read: reports, bundles, answers',
  '@biomejs/biome': 'format and lint',
  '@kubernetes/client-node': 'the other client that tests compare ours with',
  '@types/bun': 'types of the runtime',
  'axe-core': 'finds what of the pages a screen reader cannot use',
  bun: 'runs, tests and compiles the program; its runtime is in the executable',
  'fast-check': 'random cases in tests: [decision](decisions/random-cases-by-a-library.md)',
  knip: 'finds what nothing uses: [decision](decisions/dead-exports.md)',
  'kubernetes-models': 'the schemas that the lab validates by are generated from it',
  'kubernetes-types': 'types of the API',
  'playwright-core': 'tries the pages in a browser',
  typescript: 'checks types',
};

interface Manifest {
  version: string;
  license?: string;
  author?: string | { name?: string };
  repository?: string | { url?: string };
  dependencies?: Record<string, string>;
}

/** Bytes of a package without those that it depends on. */
function sizeOf(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter(
      (entry) =>
        entry.isFile() && !join(entry.parentPath, '/').slice(directory.length).includes('/node_modules/'),
    )
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

/** Kilobytes with two digits that count: every platform has a little more or less. */
function rounded(bytes: number): string {
  const kilobytes = Math.max(1, bytes / 1000);
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(kilobytes)) - 1);
  return `${Math.round(kilobytes / unit) * unit} kB`;
}

function repositoryOf({ repository }: Manifest): string {
  const text = typeof repository === 'string' ? repository : (repository?.url ?? '');
  return text
    .replace(/^(?:git\+)?https:\/\/github\.com\//, '')
    .replace(/^github:|\.git$/g, '')
    .replace(/\.git$/, '');
}

function rowOf(name: string): string {
  const why = WHY[name];
  if (why === undefined) throw new Error(`${name}: say in scripts/dependencies.ts why it is used`);
  const directory = join(ROOT, 'node_modules', name);
  const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest;
  const author = typeof manifest.author === 'string' ? manifest.author : (manifest.author?.name ?? '');
  const who = author.replace(/ *[<(].*$/, '');
  const others = Object.keys(manifest.dependencies ?? {}).length;
  return `| \`${name}\` | ${manifest.version} | ${why} | ${rounded(sizeOf(directory))}${others > 0 ? `, and ${others} ${others === 1 ? 'package' : 'packages'}` : ''} | ${manifest.license} | ${repositoryOf(manifest)}${who === '' ? '' : ` (${who})`} |`;
}

/** The page as it is to be. */
export function dependenciesPage(): string {
  const { dependencies, devDependencies } = JSON.parse(
    readFileSync(join(ROOT, 'package.json'), 'utf8'),
  ) as Record<'dependencies' | 'devDependencies', Record<string, string>>;
  const unused = Object.keys(WHY).filter((name) => !(name in dependencies) && !(name in devDependencies));
  if (unused.length > 0)
    throw new Error(`scripts/dependencies.ts: not in package.json: ${unused.join(', ')}`);
  const table = (names: readonly string[]) => [
    '| package | version | why | size | licence | who |',
    '|---|---|---|---|---|---|',
    ...names.map(rowOf),
  ];
  return [
    '# What of npm is used, and why',
    '',
    'Written by `bun scripts/dependencies.ts`; a test holds it to package.json and to what is installed. Versions are exact, and each package in',
    'package-lock.json has a digest. No package runs a script when it is installed (`ignore-scripts` in `.npmrc`): the executable of Bun is put in its',
    'place by `scripts/setup.sh`. `make advisories` asks the registry for advisories, and says so where it has no answer.',
    '',
    'The plugins have no package of npm in them; a test holds that, too.',
    '',
    '## In the program',
    '',
    ...table(Object.keys(dependencies)),
    '',
    '## To build and test it',
    '',
    ...table(Object.keys(devDependencies)),
    '',
    'The native plugins have QuickJS-ng in them, whose source is in `native/quickjs-ng` with its licence, and are compiled by Zig from PyPI',
    '(`native/zig.txt`). The images of a release have packages of Debian, by version and digest in `deploy/images/debian.lock.json`.',
    '',
  ].join('\n');
}

if (import.meta.main) writeFileSync(PAGE, dependenciesPage());
