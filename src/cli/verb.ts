import { Command, type ErrorOptions, type OutputConfiguration } from 'commander';
import { UserError } from '../util/errors.ts';
import { safeText } from './printer/safe-text.ts';

/** A command of ours: errors are thrown instead of ending the process, and name the command whose help explains. */
export class Verb extends Command {
  /** Exit status when it could not do its work. */
  failureStatus = 1;

  /** The words that lead to it: `hostport get nodes`. */
  get path(): string {
    return this.parent instanceof Verb ? `${this.parent.path} ${this.name()}` : this.name();
  }

  /** Declares the exit status of a command whose status 1 says something else than that it failed. */
  failsWith(status: number): this {
    this.failureStatus = status;
    return this;
  }

  override error(message: string, options?: ErrorOptions): never {
    return super.error(
      `${message.split('\n').map(safeText).join('\n')}\n(see "${this.path} --help")`,
      options,
    );
  }
}

/** Makes a command; options of an inner command are its own. */
export function command(name: string, output?: OutputConfiguration): Verb {
  const made = new Verb(name).exitOverride().enablePositionalOptions();
  return output === undefined ? made : made.configureOutput(output);
}

/** Adds the examples that every command's help ends with. */
export function examples<T extends Command>(target: T, ...lines: string[]): T {
  return target.addHelpText('after', `\nExample:\n${lines.map((line) => `  ${line}`).join('\n')}`);
}

/** Sets what the process exits with once the command is done. */
export function exitWith(status: number): void {
  process.exitCode = status;
}

/** Throws when the user is not root. Clusters are namespaces, mounts and files that only root may read. */
export function requireRoot(what: string, uid = process.getuid?.()): void {
  if (uid === 0) return;
  throw new UserError(
    `${what}: needs root, to whom clusters (namespaces, mounts, secrets) belong; run it with sudo`,
  );
}
