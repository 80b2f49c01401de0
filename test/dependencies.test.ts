/** What of npm is used: docs/dependencies.md says why, and nothing comes or runs that is not said. */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dependenciesPage } from '../scripts/dependencies.ts';

const ROOT = join(import.meta.dir, '..');
const text = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const manifest = JSON.parse(text('package.json')) as Record<string, Record<string, string>>;

interface Locked {
  version: string;
  integrity?: string;
  resolved?: string;
  link?: boolean;
  dev?: boolean;
  license?: string;
  hasInstallScript?: boolean;
}
const lock = JSON.parse(text('package-lock.json')) as { packages: Record<string, Locked> };
const locked = Object.entries(lock.packages).filter(([path]) => path !== '');

/** Sizes are those of the machine that the page was written on. */
const withoutSizes = (page: string) => page.replace(/ \| [\d.]+ kB/g, ' | kB');

test('the page has each package with the version, the licence and the people that it has', () => {
  expect(withoutSizes(text('docs/dependencies.md'))).toBe(withoutSizes(dependenciesPage()));
});

test('no size is more than twice what the page says', () => {
  const sizes = (page: string) =>
    new Map(
      [...page.matchAll(/^\| `([^`]+)` .* \| (\d+) kB/gm)].map(([, name, size]) => [name!, Number(size)]),
    );
  const [said, found] = [sizes(text('docs/dependencies.md')), sizes(dependenciesPage())];
  expect(said.size).toBeGreaterThan(15);
  for (const [name, size] of found) expect([name, size < 2 * said.get(name)! + 10]).toEqual([name, true]);
});

describe('of what is locked', () => {
  test('every version is exact, and the one of package.json', () => {
    for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
      const exact = version.replace(/^npm:.*@/, '');
      expect([name, exact]).toEqual([name, expect.stringMatching(/^\d+\.\d+\.\d+$/)]);
      expect([name, lock.packages[`node_modules/${name}`]?.version]).toEqual([name, exact]);
    }
  });

  test('everything has a digest, and nothing comes from elsewhere than the registry', () => {
    expect(locked.length).toBeGreaterThan(100);
    expect(locked.filter(([, { integrity }]) => !/^sha512-[\w+/]{86}==$/.test(integrity ?? ''))).toEqual([]);
    expect(locked.filter(([, { resolved, link }]) => resolved !== undefined || link === true)).toEqual([]);
  });

  test('nothing runs when it is installed: only Bun would, and setup.sh does what it needs', () => {
    expect(locked.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path)).toEqual([
      'node_modules/bun',
    ]);
    expect(text('.npmrc')).toContain('ignore-scripts=true\n');
    expect(text('scripts/setup.sh')).toContain('--ignore-scripts');
  });

  test('every licence allows what we do', () => {
    const allowed =
      /^\(?(?:MIT|Apache-2\.0|ISC|BSD-[23]-Clause|0BSD|Unlicense|Python-2\.0|PSF-2\.0)(?: (?:OR|AND) (?:MIT|Apache-2\.0|BSD-3-Clause))?\)?$/;
    // Of what is in nothing that ships, a licence may ask for changes to be published.
    const isTool = ({ dev, license }: Locked) => dev === true && license === 'MPL-2.0';
    const others = locked.filter(([, entry]) => !allowed.test(entry.license ?? '') && !isTool(entry));
    expect(others.map(([path]) => path)).toEqual([]);
  });
});
