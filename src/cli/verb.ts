import {
  type AddHelpTextContext,
  type AddHelpTextPosition,
  Command,
  type ErrorOptions,
  type Option,
  type OutputConfiguration,
} from 'commander';
import { UserError } from '../util/errors.ts';
import { layoutOf } from './printer/layout.ts';
import { errorText } from './printer/notices.ts';
import { wrap, wrapCommand } from './printer/wrap.ts';

/** A command of ours: errors are thrown instead of ending the process, and name the command whose help explains. */
export class Verb extends Command {
  /** Exit status when it could not do its work. */
  failureStatus = 1;

  /** The flags that were given, by their long form. */
  readonly #given = new Set<string>();

  /** Options that have an effect only together with another, each with that. */
  readonly #needs: [option: string, needed: string][] = [];

  constructor(name: string) {
    super(name);
    this.hook('preAction', (_, action) => {
      if (action !== this) return;
      this.#checkOpposites();
      this.#checkNeeds();
    });
  }

  /**
   * Declares that an option has an effect only together with another (both by their long flag): without that it is refused. If it were
   * ignored, the user would rely on an effect that it does not have.
   */
  needs(option: string, needed: string): this {
    this.#needs.push([option, needed]);
    return this;
  }

  override addOption(option: Option): this {
    super.addOption(option);
    const { long } = option;
    if (long) this.on(`option:${option.name()}`, () => this.#given.add(long));
    return this;
  }

  /** A flag and its opposite: which of them counts must not depend on their order. */
  #checkOpposites(): void {
    for (const long of this.#given) {
      if (!this.#given.has(`--no-${long.slice(2)}`)) continue;
      this.error(`error: option '${long}' cannot be used with option '--no-${long.slice(2)}'`);
    }
  }

  #checkNeeds(): void {
    for (const [long, needed] of this.#needs) {
      if (this.#isGiven(long) && !this.#isGiven(needed)) {
        this.error(`error: option '${long}' means nothing without option '${needed}'`);
      }
    }
  }

  #isGiven(long: string): boolean {
    const option = this.options.find((known) => known.long === long);
    if (option === undefined) throw new Error(`${this.path} has no option ${long}`);
    const source = this.getOptionValueSource(option.attributeName());
    // `--no-x` leaves false where `--x` leaves true: two options of one value.
    const isOther = !option.negate && this.getOptionValue(option.attributeName()) === false;
    return source !== undefined && source !== 'default' && !isOther;
  }

  /** Texts beside the help are broken as the help is: what follows a line begins below its text, and that below its label if it has one. */
  override addHelpText(
    position: AddHelpTextPosition,
    text: string | ((context: AddHelpTextContext) => string),
  ): this {
    if (typeof text !== 'string') return super.addHelpText(position, text);
    return super.addHelpText(position, () => {
      const { width } = layoutOf(process.stdout);
      return text
        .split('\n')
        .flatMap((line) => {
          const before = /^ *(?:\S+ {2,})?/.exec(line)![0];
          return wrap(line.slice(before.length), width, before, ' '.repeat(before.length));
        })
        .join('\n');
    });
  }

  /** The words that lead to it: `hostport get nodes`. */
  get path(): string {
    return this.parent instanceof Verb ? `${this.parent.path} ${this.name()}` : this.name();
  }

  /** Declares the exit status for failures of a command whose status 1 means something else. */
  failsWith(status: number): this {
    this.failureStatus = status;
    return this;
  }

  /** Prints an error as the program prints its own: harmless, in lines of the terminal's width. */
  override error(message: string, options?: ErrorOptions): never {
    const said = `${message.replace(/^error: /, '')}\n(see "${this.path} --help")`;
    return super.error(errorText(said, process.stderr).trimEnd(), options);
  }
}

/** An option in `--help`, with its default as a person types it: no quotes, durations with their unit, and nothing for what is off or empty. */
function describeOption({ description, defaultValue, defaultValueDescription }: Option): string {
  const shown = defaultValueDescription ?? (typeof defaultValue === 'string' ? defaultValue : undefined);
  return shown === undefined ? description : `${description} (default: ${shown})`;
}

/** The first line of a description: what a list of commands shows. */
function describeInner(inner: Command): string {
  return inner.description().split('\n', 1)[0]!;
}

/** Creates a command; options of an inner command are its own. */
export function command(name: string, output?: OutputConfiguration): Verb {
  const made = new Verb(name)
    .exitOverride()
    .enablePositionalOptions()
    .configureHelp({ optionDescription: describeOption, subcommandDescription: describeInner });
  return output === undefined ? made : made.configureOutput(output);
}

/** Adds the examples that every command's help ends with. */
export function examples<T extends Command>(target: T, ...lines: string[]): T {
  return target.addHelpText('after', () => {
    const { width } = layoutOf(process.stdout);
    return `\nExample:\n${lines.flatMap((line) => wrapCommand(line, width, '  ', '    ')).join('\n')}`;
  });
}

/** Sets what the process exits with once the command is done. */
export function exitWith(status: number): void {
  process.exitCode = status;
}

/** Throws when the user is not root. Clusters are namespaces, mounts and files that only root may read. */
export function requireRoot(what: string, uid = process.getuid?.()): void {
  if (uid === 0) return;
  throw new UserError(
    `cannot run ${what}: it needs root, because clusters are namespaces, mounts and secrets of root; run it with sudo`,
  );
}
