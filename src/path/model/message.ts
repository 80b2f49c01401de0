/**
 * What a message names: a name, an address or other text; a number; or several names. Values are as they are in the message, so a port
 * is `TCP 80` and a pod outside of the default namespace is `namespace/name`; the subject of a finding has them in parts.
 */
export type ArgValue = string | number | string[];

/** The values that a message names, by the names of its placeholders. */
export type Args = Record<string, ArgValue>;

/** A sentence and its values, apart: the text is only ever made of both ({@link textOf}), so they cannot disagree. */
export interface Message {
  readonly template: string;
  readonly args: Readonly<Args>;
}

/** What is between the braces of a template. */
type Placeholder<Template extends string> = Template extends `${string}{${infer Inner}}${infer Rest}`
  ? Inner | Placeholder<Rest>
  : never;
type NameOf<Inner> = Inner extends `${infer Name}:${string}` ? Name : Inner;
/** The name of a placeholder that chooses between two words by a number. */
type Counted<Inner> = Inner extends `${infer Name}:${string}|${string}` ? Name : never;
/** The name of a placeholder that joins a list by a word. */
type Joined<Inner> = Inner extends `${string}:${string}|${string}`
  ? never
  : Inner extends `${infer Name}:${string}`
    ? Name
    : never;

/** The values that a template needs: exactly those, and of the kind that its placeholders can show. */
type ArgsOf<Template extends string> = {
  readonly [Name in NameOf<Placeholder<Template>> & string]: Name extends Joined<Placeholder<Template>>
    ? readonly string[]
    : Name extends Counted<Placeholder<Template>>
      ? number | readonly string[]
      : string | number | readonly string[];
};

/**
 * A message. The template has a placeholder for each value; one that lacks its value, and a value without a placeholder, do not compile:
 * - `{name}`: the value; a list is joined by commas;
 * - `{names:and}`: a list, joined by that word;
 * - `{count:mapping|mappings}`: the first word for the number 1 or a list of one, else the second.
 */
export function words<const Template extends string>(template: Template, args: ArgsOf<Template>): Message {
  // Reports are of all kinds: where a value is missing after all, the rest of the message is still worth reading.
  const values = Object.entries(args as Readonly<Record<string, ArgValue | undefined>>);
  return { template, args: Object.fromEntries(values.map(([name, value]) => [name, value ?? 'unknown'])) };
}

/** The message with more text at its end, which names no values. */
export function withSuffix({ template, args }: Message, suffix: string): Message {
  return { template: template + suffix, args };
}

/** The text of a message. Values are only ever inserted: what looks like a placeholder in one stays as it is. */
export function textOf({ template, args }: Message): string {
  return template.replace(
    /\{(\w+)(?::([^{}|]+)(?:\|([^{}|]+))?)?\}/g,
    (_, name: string, first?: string, second?: string) => {
      const value = Object.hasOwn(args, name) ? args[name] : undefined;
      if (value === undefined) throw new Error(`no value for {${name}} of the message "${template}"`);
      if (second !== undefined) return (Array.isArray(value) ? value.length : value) === 1 ? first! : second;
      return Array.isArray(value) ? value.join(first === undefined ? ', ' : ` ${first} `) : String(value);
    },
  );
}
