import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundledPackages, licenceText } from './npm-packages.ts';
import type { PluginEngine } from './plugin-engine.ts';

const RULE = '-'.repeat(100);

/** NOTICE: the licences of everything in the program and the plugins that is not ours. */
export function notice(root: string, runtimeVersion: string, { engine, compiler }: PluginEngine): string {
  const parts = [
    'hostport is licensed under the Apache License 2.0, which is in LICENSE. It contains the following software of others. Images have the licences of their packages of Debian in /usr/share/doc.',
    `Bun ${runtimeVersion} (the runtime): MIT, with libraries under the licences below\n\n${runtimeLicence(root)}`,
    `QuickJS-ng ${engine.version} (in the CNI plugins): MIT\n\n${engine.licence}`,
    `musl, of Zig ${compiler.version} (in the CNI plugins): MIT\n\n${compiler.muslLicence}`,
    ...bundledPackages(root).map((each) => {
      const text =
        licenceText(each) ?? 'The package has no text of its licence; the Apache License 2.0 is in LICENSE.';
      if (licenceText(each) === undefined && each.license !== 'Apache-2.0')
        throw new Error(`${each.name} ${each.version} has no text of its licence, ${each.license}`);
      return `${each.name} ${each.version}: ${each.license}\n\n${text}`;
    }),
  ];
  return `${parts.join(`\n\n${RULE}\n\n`)}\n`;
}

/** What the runtime's documentation says about its licences, of the version that the lock file pins. */
function runtimeLicence(root: string): string {
  const page = readFileSync(join(root, 'node_modules/bun-types/docs/project/license.mdx'), 'utf8');
  return page
    .replace(/^---\n[\s\S]*?\n---\n/, '')
    .replace(/ {2,}(?=\|)/g, ' ')
    .replace(/-{4,}/g, '---')
    .trim();
}
