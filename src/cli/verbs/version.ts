import { cniVersions } from '../../cni/version.ts';
import { BUILD } from '../../util/version.ts';
import { oneOf } from '../option-values.ts';
import { renderJson } from '../printer/document.ts';
import { command, examples } from '../verb.ts';

/** The CNI plugins of the product, which are built with it from the same source. */
const PLUGINS = ['portmap', 'loopback'];

/** What `version -o json` prints: what was built, and what it runs on. */
export function versionDocument() {
  const { version, commit, date, libc } = BUILD;
  return {
    program: 'hostport',
    version,
    ...(commit !== undefined && { commit, date }),
    platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
    ...(libc !== undefined && { libc }),
    runtime: { name: 'bun', version: Bun.version, revision: Bun.revision },
    plugins: PLUGINS.map((name) => ({ name, version, cniVersions })),
  };
}

/** `version`: prints what `--version` prints, as kind has it; as JSON the program by its own name, also where it is called by another. */
export function versionVerb(line: string) {
  const verb = command('version')
    .description('print the version')
    .option(
      '-o, --output <format>',
      'json (with commit, runtime and plugins) instead of a line',
      oneOf('json'),
    )
    .action(({ output }) => {
      process.stdout.write(output === 'json' ? renderJson(versionDocument(), 2) : `${line}\n`);
    });
  return examples(verb, 'hostport version', 'hostport version -o json');
}
