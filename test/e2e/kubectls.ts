import { existsSync, mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { CommandOptions, Lab, Ran, Started } from './lab.ts';

const WANTED = ['1.27', '1.30', '1.33'];

/** One kubectl, asked about the cluster of one lab. */
export class Kubectl {
  readonly #lab: Lab;
  readonly path: string;
  /** `1.27`, or `on PATH` where the version is not in the name. */
  readonly version: string;
  /** Part of the names of what is made with it, so that versions can be tried at the same time. */
  readonly tag: string;

  constructor(lab: Lab, path: string, version = basename(path).replace(/^kubectl\.?/, '') || 'on PATH') {
    this.#lab = lab;
    this.path = path;
    this.version = version;
    this.tag = `v${this.version.replaceAll(/[^0-9]/g, '')}`;
  }

  /** Runs it; `words` are split at spaces unless they come as an array. */
  run(words: string | string[], options: CommandOptions = {}): Promise<Ran> {
    return this.#lab.kubectl(split(words), { ...options, kubectl: this.path });
  }

  /** Runs it and throws when it fails. Returns its standard output. */
  async must(words: string | string[], stdin?: string): Promise<string> {
    const ran = await this.run(words, stdin === undefined ? {} : { stdin });
    if (ran.code !== 0) {
      throw new Error(
        `kubectl ${split(words).join(' ')}: exit ${ran.code}\n${ran.stdout}${ran.stderr}${stdin ?? ''}`,
      );
    }
    return ran.stdout;
  }

  /** Starts one that runs until it is stopped. */
  start(words: string | string[]): Started {
    return this.#lab.start([this.path, ...split(words)]);
  }

  /** Runs it on a terminal of the given size, on which nobody types. */
  async onTerminal(
    words: string[],
    rows: number,
    columns: number,
  ): Promise<{ code: number; printed: string }> {
    const quoted = [this.path, ...words].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
    const command = `stty rows ${rows} cols ${columns}; exec ${quoted}`;
    const argv = ['script', '--quiet', '--return', '--command', command, '/dev/null'];
    const started = this.#lab.start(argv);
    const code = await started.exited;
    return { code, printed: started.printed };
  }
}

/**
 * The kubectls to test with: `kubectl.1.27`, `.1.30` and `.1.33` where they lie beside the one on PATH (some distributions
 * of it bring several, and the one on PATH starts a second process, one of them), else just that one.
 */
export function kubectls(): string[] {
  const plain = Bun.which('kubectl');
  if (plain === null) throw new Error('no kubectl on PATH; "make setup" installs one');
  const beside = dirname(realpathSync(plain));
  const found = WANTED.map((version) => join(beside, `kubectl.${version}`)).filter((path) =>
    existsSync(path),
  );
  return found.length > 0 ? found : [plain];
}

/**
 * A PATH on which `kubectl` is the newest of them itself, for what runs commands of the how-to: one that chooses asks the cluster for its
 * version first, each time.
 */
export function pathWithKubectl(lab: Lab): string {
  const directory = join(lab.scratch, 'kubectl');
  mkdirSync(directory);
  symlinkSync(kubectls().at(-1)!, join(directory, 'kubectl'));
  return `${directory}:${process.env.PATH}`;
}

function split(words: string | string[]): string[] {
  return typeof words === 'string' ? words.split(' ') : words;
}
