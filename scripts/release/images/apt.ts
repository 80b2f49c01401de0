import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Exec, output } from '../../../src/sys/exec.ts';
import type { Architecture } from './debian-lock.ts';

const APT_MS = 10 * 60_000;

/**
 * apt for an architecture, from the sources that this machine has, with a state of its own: nothing of the machine is read but its sources, and
 * nothing of it is changed.
 */
export class Apt {
  readonly #exec: Exec;
  readonly #directory: string;
  readonly #env: Record<string, string | undefined>;

  private constructor(exec: Exec, directory: string) {
    this.#exec = exec;
    this.#directory = directory;
    this.#env = { ...process.env, APT_CONFIG: join(directory, 'apt.conf'), LC_ALL: 'C' };
  }

  /** In a new directory, with the lists of packages as they are now. */
  static async begin(exec: Exec, architecture: Architecture, directory: string): Promise<Apt> {
    for (const each of ['state/lists/partial', 'cache/archives/partial', 'debs'])
      mkdirSync(join(directory, each), { recursive: true });
    writeFileSync(join(directory, 'status'), '');
    writeFileSync(
      join(directory, 'apt.conf'),
      [
        `APT::Architecture "${architecture}";`,
        '#clear APT::Architectures;',
        `APT::Architectures { "${architecture}"; };`,
        `Dir::State "${directory}/state";`,
        `Dir::State::status "${directory}/status";`,
        `Dir::Cache "${directory}/cache";`,
        'APT::Sandbox::User "root";',
        'APT::Install-Recommends "false";',
        '',
      ].join('\n'),
    );
    const apt = new Apt(exec, directory);
    await apt.#run('apt-get', 'update', '-qq');
    return apt;
  }

  /** The names of these packages and of all that they depend on. */
  async closure(names: readonly string[]): Promise<string[]> {
    const simulated = await this.#run('apt-get', 'install', '-s', '-qq', ...names);
    return [...simulated.matchAll(/^Inst (\S+) /gm)].map(([, name]) => name!.replace(/:.*$/, '')).sort();
  }

  /** Downloads packages, `name` or `name=version`; returns their files. */
  async download(packages: readonly string[]): Promise<string[]> {
    await this.#run('apt-get', 'download', '-qq', ...packages);
    const directory = join(this.#directory, 'debs');
    return readdirSync(directory).map((name) => join(directory, name));
  }

  #run(...argv: [string, ...string[]]): Promise<string> {
    return output(this.#exec, argv, {
      cwd: join(this.#directory, 'debs'),
      env: this.#env,
      timeoutMs: APT_MS,
    });
  }
}
