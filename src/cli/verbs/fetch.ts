import { readFile } from 'node:fs/promises';
import { fetchRelease } from '../../lab/engine/kubernetes/fetch/fetch-release.ts';
import { OFFICIAL_MIRROR, readMirror } from '../../lab/engine/kubernetes/fetch/mirror.ts';
import { readVersion, releaseHost } from '../../lab/engine/kubernetes/release.ts';
import { calledAs } from '../../sys/called-as.ts';
import { realExec } from '../../sys/exec.ts';
import { fileProblem } from '../../sys/file-problem.ts';
import { InputError, messageOf } from '../../util/errors.ts';
import { VERSION } from '../../util/version.ts';
import { interruptible } from '../interruptible.ts';
import { oneOf } from '../option-values.ts';
import { renderJson } from '../printer/document.ts';
import { layoutOf } from '../printer/layout.ts';
import { terminalProgress } from '../printer/progress.ts';
import { paragraph } from '../printer/wrap.ts';
import { command, examples } from '../verb.ts';

/** `fetch kubernetes`: puts the programs of a published release where `create cluster --kubernetes` looks for them. */
export function fetchVerb() {
  const kubernetes = command('kubernetes')
    .description(
      'download the programs of a Kubernetes release for the lab\n\n' +
        'They go into the cache of the user ($XDG_CACHE_HOME or ~/.cache), where "create cluster --kubernetes" finds them.\n' +
        'Each is checked against the SHA-512 that the mirror publishes beside it. An interrupted download is continued.',
    )
    .argument('<version>', 'such as v1.36.1')
    .option(
      '--mirror <url>',
      'where to download from: URL/VERSION/bin/linux/ARCH/PROGRAM, and PROGRAM.sha512',
      OFFICIAL_MIRROR,
    )
    .option('--mirror-ca <file>', "PEM of the authorities that the mirror's certificate may be from")
    .option('-o, --output <format>', 'json instead of lines', oneOf('json'))
    .action(async (given: string, options) => {
      const version = readVersion(given);
      const mirror = readMirror(options.mirror);
      const ca = options.mirrorCa === undefined ? undefined : await readAuthorities(options.mirrorCa);
      const progress = terminalProgress(process.stderr);
      const release = await interruptible((signal) =>
        fetchRelease(version, mirror, {
          host: releaseHost(realExec),
          access: { env: process.env, userAgent: `hostport/${VERSION}`, ...(ca !== undefined && { ca }) },
          env: process.env,
          progress,
          signal,
        }),
      );
      const [first] = release.programs;
      if (options.output === 'json') process.stdout.write(renderJson(release, 2));
      else {
        if (first !== undefined)
          progress.note(`SHA-512 as published beside each program: ${first.checksumFrom}, …`);
        process.stdout.write(
          `${paragraph(
            `Kubernetes ${version} is in ${release.directory}, to run it in a lab:`,
            layoutOf(process.stdout),
          )}  ${calledAs()} create cluster --kubernetes ${version}\n`,
        );
      }
    });
  examples(
    kubernetes,
    'hostport fetch kubernetes v1.36.1',
    'hostport fetch kubernetes v1.36.1 --mirror https://mirror.example/kubernetes',
  );
  return command('fetch').description('download programs for the lab').addCommand(kubernetes);
}

async function readAuthorities(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch((cause) => {
    throw new InputError(`cannot read the authorities in ${path}: ${fileProblem(cause) ?? messageOf(cause)}`);
  });
  if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
  throw new InputError(`cannot read the authorities in ${path}: it has no certificate in PEM`);
}
