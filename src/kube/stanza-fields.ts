import { readFile } from 'node:fs/promises';
import { fileProblem } from '../sys/file-problem.ts';
import { messageOf, UserError } from '../util/errors.ts';
import { bearerToken, NOT_A_TOKEN } from './bearer-token.ts';
import { besideFile, type Stanza } from './kubeconfig-files.ts';

/** Words that are `true` in YAML 1.1, which kubectl reads, and text in YAML 1.2, which we do. */
const TRUE = /^(?:y|yes|true|on)$/i;
const FALSE = /^(?:n|no|false|off)$/i;

/** Reads the fields of one cluster, user or context; every error names the file, the object and the field, and quotes no value. */
export class StanzaFields {
  readonly #stanza: Stanza;
  /** `cluster "prod"`. */
  readonly #what: string;

  constructor(stanza: Stanza, what: string) {
    this.#stanza = stanza;
    this.#what = what;
  }

  /** @throws UserError always. */
  fail(problem: string): never {
    throw new UserError(`cannot use kubeconfig ${this.#stanza.file}: ${this.#what}${problem}`);
  }

  has(field: string): boolean {
    return (this.#stanza.fields[field] ?? null) !== null;
  }

  /** A text; undefined when it is absent or empty. */
  text(field: string): string | undefined {
    const value = this.#stanza.fields[field] ?? '';
    if (typeof value !== 'string') this.fail(`: ${field} is not a string`);
    return value === '' ? undefined : value;
  }

  /** A bearer token; undefined when it is absent or empty. */
  token(field: string): string | undefined {
    return (bearerToken(this.text(field) ?? '') ?? this.fail(`: ${field} ${NOT_A_TOKEN}`)) || undefined;
  }

  flag(field: string): boolean {
    const value = this.#stanza.fields[field] ?? false;
    if (typeof value === 'boolean') return value;
    if (typeof value === 'string' && TRUE.test(value)) return true;
    if (typeof value === 'string' && FALSE.test(value)) return false;
    return this.fail(`: ${field} is neither true nor false`);
  }

  texts(field: string): string[] {
    const value = this.#stanza.fields[field] ?? [];
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) {
      this.fail(`: ${field} is not a list of strings`);
    }
    return value;
  }

  /** A list of mappings, each to be read as a stanza of its own. */
  items(field: string): StanzaFields[] {
    const value = this.#stanza.fields[field] ?? [];
    if (!Array.isArray(value)) this.fail(`: ${field} is not a list`);
    return value.map((item) => this.#inner(field, item));
  }

  /** A mapping, to be read as a stanza of its own; undefined when it is absent. */
  mapping(field: string): StanzaFields | undefined {
    return this.has(field) ? this.#inner(field, this.#stanza.fields[field]) : undefined;
  }

  /** All fields, as they are. */
  get all(): Readonly<Record<string, unknown>> {
    return this.#stanza.fields;
  }

  /** The absolute path of a file that a field names; relative ones are meant beside the kubeconfig. */
  path(field: string): string | undefined {
    const path = this.text(field);
    return path === undefined ? undefined : besideFile(this.#stanza, path);
  }

  /**
   * What reads a PEM text that is either in the field `<field>-data` in base64 or in the file that `field` names; the data comes first, as
   * in client-go. `isFixed` when it is data. Undefined when there is neither.
   */
  pem(field: string): { isFixed: boolean; read(): Promise<string> } | undefined {
    const data = this.text(`${field}-data`);
    if (data !== undefined) {
      if (!/^[A-Za-z0-9+/\s]+={0,2}\s*$/.test(data)) this.fail(`: ${field}-data is not base64`);
      const text = Buffer.from(data, 'base64').toString('utf8');
      return { isFixed: true, read: async () => text };
    }
    const path = this.path(field);
    if (path === undefined) return undefined;
    const unreadable = (cause: unknown) =>
      this.fail(`: ${field} ${path} cannot be read: ${fileProblem(cause) ?? messageOf(cause)}`);
    return { isFixed: false, read: () => readFile(path, 'utf8').catch(unreadable) };
  }

  #inner(field: string, value: unknown): StanzaFields {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.fail(`: ${field} is not a mapping`);
    }
    const { file } = this.#stanza;
    return new StanzaFields({ file, fields: value as Record<string, unknown> }, `${this.#what}: ${field}`);
  }
}
