import { lstatSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { PluginFile } from '../../path/model/node-report.ts';
import type { Observed } from '../../path/model/observed.ts';
import { localPaths, namesOfAtMost, readHead } from '../../sys/bounded-file.ts';
import { unlessMissing } from '../../sys/errno.ts';
import { type Exec, ExecError } from '../../sys/exec.ts';
import { MarkedChildren } from '../../sys/marked-children.ts';
import { boundedList } from '../../util/bounded.ts';
import { messageOf } from '../../util/errors.ts';
import { parseJson } from '../../util/parse-json.ts';
import { describeContent } from './describe-content.ts';
import { executableFormat, FORMAT_BYTES } from './elf.ts';

/** How long a plugin may take to say which versions it speaks, in milliseconds: it does nothing else then. */
const VERSION_DEADLINE_MS = 3000;
/** Its answer is a list of versions. */
const VERSION_MAX_BYTES = 1024 * 1024;
const MAX_FILES = 1000;

/**
 * The executables of the plugin directories. Only those that a configuration names (`named`) are asked for their versions, and of
 * several with one name only the first, which is the one a runtime would run. `read`: how the beginning of a file is read.
 */
export async function readPluginFiles(
  exec: Exec,
  directories: readonly string[],
  named: ReadonlySet<string>,
  read: (path: string, limit: number) => Buffer = readHead,
): Promise<PluginFile[]> {
  const asked = new Set<string>();
  const files = directories.flatMap((directory) => filesIn(directory, read));
  if (!files.some(({ name }) => named.has(name))) return files;
  // A plugin may start something that stays, and is asked again at each look.
  const children = new MarkedChildren();
  try {
    return await Promise.all(
      files.map(async (file) => {
        if (!named.has(file.name) || asked.has(file.name)) return file;
        asked.add(file.name);
        return { ...file, versions: await askVersions(exec, join(file.directory, file.name), children.fd) };
      }),
    );
  } finally {
    children.end();
  }
}

function filesIn(directory: string, read: typeof readHead): PluginFile[] {
  const resolve = localPaths();
  const root = unlessMissing(() => resolve(directory));
  if (root === undefined) return [];
  return namesOfAtMost(root, MAX_FILES).flatMap((name) => {
    const path = join(directory, name);
    // Follows links wherever they lead, as a runtime does: no content is reported. A dangling link counts as missing.
    const real = unlessMissing(() => resolve(path), ['ENOTDIR', 'ELOOP']);
    if (real === undefined) return [];
    const stat = statSync(real);
    if (!stat.isFile()) return [];
    return [
      {
        name,
        directory,
        ...(lstatSync(path).isSymbolicLink() ? { target: readlinkSync(path) } : {}),
        mode: `0${(stat.mode & 0o777).toString(8).padStart(3, '0')}`,
        size: stat.size,
        format: formatOf(real, read),
      },
    ];
  });
}

function formatOf(path: string, read: typeof readHead): PluginFile['format'] {
  try {
    return executableFormat(read(path, FORMAT_BYTES));
  } catch (cause) {
    // Plugins may be readable to root only; what they are is not known then.
    if ((cause as NodeJS.ErrnoException).code === 'EACCES') return { kind: 'unreadable' };
    throw cause;
  }
}

/** The only text of a plugin in a report: a file under a plugin's name may be anything. */
const version = z.string().regex(/^\d{1,4}(?:\.\d{1,4}){1,3}(?:-[a-z0-9.]{1,16})?$/);
const versionAnswer = z.object({ supportedVersions: boundedList(version, { most: 64 }) });

/** What a plugin answers to `CNI_COMMAND=VERSION`. https://www.cni.dev/docs/spec/#version-probe-plugin-version-support */
async function askVersions(exec: Exec, path: string, inherit: number): Promise<Observed<string[]>> {
  try {
    const { code, stdout, stderr } = await exec.run([path], {
      env: { CNI_COMMAND: 'VERSION', PATH: process.env.PATH },
      stdin: '{"cniVersion":"1.0.0"}',
      timeoutMs: VERSION_DEADLINE_MS,
      maxBytes: VERSION_MAX_BYTES,
      inherit,
    });
    if (code !== 0) {
      const printed = stderr || stdout;
      return {
        unknown: `VERSION: exit status ${code} (printed ${printed === '' ? 'nothing' : describeContent(printed)})`,
      };
    }
    const answer = versionAnswer.safeParse(parseJson(stdout, 'answer'));
    if (answer.success) return { value: answer.data.supportedVersions };
    return { unknown: `VERSION: answer: no list of versions (${describeContent(stdout)})` };
  } catch (cause) {
    // What it printed until a deadline is in the message.
    return { unknown: `VERSION: ${cause instanceof ExecError ? cause.end : messageOf(cause)}` };
  }
}
