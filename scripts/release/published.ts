import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import type { Exec } from '../../src/sys/exec.ts';
import { readTar } from '../../src/sys/tar.ts';
import { InputError, messageOf } from '../../src/util/errors.ts';
import type { WrittenRelease } from './written.ts';

/** What an earlier run has published of a release, which may have ended anywhere. */
export interface Published {
  /** The files of packages that npm's registry has, as they are. */
  packages: ReadonlySet<string>;
  /** The release of the repository's host. */
  release: 'absent' | 'draft' | 'published';
}

const ASK_MS = 60_000;
const manifestSchema = z.object({ name: z.string(), version: z.string() });
const errorSchema = z.object({ error: z.object({ code: z.string() }) });

/** Asks npm's registry and the repository's host. Throws when a package is there with other bytes: its version cannot be published again. */
export async function publishedOf(
  exec: Exec,
  { version, directory, files }: WrittenRelease,
): Promise<Published> {
  const packages = new Set<string>();
  for (const { name } of files.filter((file) => file.name.startsWith('npm/'))) {
    const archive = readFileSync(join(directory, name));
    const id = await packageId(name, archive);
    const there = await integrityOf(exec, id);
    if (there === undefined) continue;
    const here = `sha512-${createHash('sha512').update(archive).digest('base64')}`;
    if (there !== here)
      throw new InputError(
        `cannot publish ${id}: npm's registry has it with the integrity ${there}, and ${name} has ${here}; release the files that were published, or a new version`,
      );
    packages.add(name);
  }
  return { packages, release: await releaseState(exec, `v${version}`) };
}

async function packageId(name: string, archive: Buffer): Promise<string> {
  async function* chunks() {
    yield gunzipSync(archive);
  }
  for await (const { path, body } of readTar(chunks())) {
    if (path !== 'package/package.json') continue;
    const text = Buffer.concat(await Array.fromAsync(body)).toString('utf8');
    const manifest = manifestSchema.parse(JSON.parse(text));
    return `${manifest.name}@${manifest.version}`;
  }
  throw new Error(`${name} has no package.json`);
}

/** The integrity of a package in the registry; undefined when it has no such version. */
async function integrityOf(exec: Exec, id: string): Promise<string | undefined> {
  const { code, stdout, stderr } = await ask(exec, ['npm', 'view', id, 'dist.integrity', '--json']);
  const said = parseJson(stdout);
  if (code === 0) {
    // npm prints nothing for a version that a package has not.
    if (stdout.trim() === '') return undefined;
    if (typeof said === 'string') return said;
  } else if (errorSchema.safeParse(said).data?.error.code === 'E404') return undefined;
  throw new InputError(
    `cannot publish ${id}: npm does not say whether it is there: ${stderr.trim() || stdout.trim()}; check "npm ping"`,
  );
}

/** By a list, since drafts are not found by their tag. */
async function releaseState(exec: Exec, tag: string): Promise<Published['release']> {
  const argv = ['gh', 'api', '--paginate', 'repos/{owner}/{repo}/releases'];
  const { code, stdout, stderr } = await ask(exec, [...argv, '--jq', '.[] | [.tag_name, .draft] | @tsv']);
  if (code !== 0)
    throw new InputError(
      `cannot publish ${tag}: gh does not list releases: ${stderr.trim()}; check "gh auth status"`,
    );
  const states = stdout
    .split('\n')
    .map((line) => line.split('\t'))
    .filter(([name]) => name === tag)
    .map(([, isDraft]) => isDraft === 'true');
  if (states.length > 1)
    throw new InputError(`cannot publish ${tag}: it has ${states.length} releases; delete the drafts`);
  return states[0] === undefined ? 'absent' : states[0] ? 'draft' : 'published';
}

function ask(exec: Exec, argv: string[]): ReturnType<Exec['run']> {
  return exec.run(argv, { timeoutMs: ASK_MS }).catch((cause: unknown) => {
    throw new InputError(`cannot publish: ${messageOf(cause)}; install ${argv[0]}, then run this again`);
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
