import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** A module of ours that requires a published one, in a directory below `real/`: what a part is built from. */
export interface GoModule {
  directory: string;
  goMod: string;
  /** Version of the module that it is there for: `v1.36.1`. */
  version: string;
  /** Identity of all that Go reads of it. */
  digest: string;
}

/** Reads the module in `directory`, which requires `published`. */
export async function readGoModule(directory: string, published: string): Promise<GoModule> {
  const names = (await readdir(directory, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && (/^go\.(?:mod|sum)$/.test(entry.name) || entry.name.endsWith('.go')))
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
  const hash = createHash('sha256');
  for (const name of names) {
    const content = await readFile(join(directory, name));
    hash.update(`${name} ${content.length}\n`).update(content);
  }
  const goMod = await readFile(join(directory, 'go.mod'), 'utf8');
  const required = goMod
    .split('\n')
    .map((line) =>
      line
        .replace(/^require /, '')
        .trim()
        .split(' '),
    )
    .find(([path]) => path === published)?.[1];
  if (required === undefined) throw new Error(`${directory}/go.mod does not require ${published}`);
  return { directory, goMod, version: required, digest: hash.digest('hex') };
}
