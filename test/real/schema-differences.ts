import type { ApiAsker } from '../../src/lab/apiserver/test-server.fake.ts';

// biome-ignore lint/suspicious/noExplicitAny: documents are read as a client reads them, by path.
type Any = any;

/** What a definition says that clients go by: not descriptions, which are for people. */
const SAID = ['type', 'format', 'required', 'items', 'additionalProperties', '$ref', 'default'] as const;

/**
 * The fields of every definition in the OpenAPI 2 document of `own` whose type, necessity or merging is another in `real`'s; and
 * those that only one has.
 */
export async function schemaDifferences(own: ApiAsker, real: ApiAsker): Promise<string[]> {
  const [ours, theirs] = await Promise.all(
    [own, real].map(async (server) => (await server.ask('GET', '/openapi/v2')).body.definitions as Any),
  );
  const found: string[] = [];
  for (const [name, definition] of Object.entries<Any>(ours)) {
    // Kinds that Kubernetes has dropped and the how-to needs.
    if (name.includes('.extensions.')) continue;
    const other = theirs[name];
    if (other === undefined) {
      found.push(`${name}: only ours`);
      continue;
    }
    const fields = new Set([
      ...Object.keys(definition.properties ?? {}),
      ...Object.keys(other.properties ?? {}),
    ]);
    for (const field of fields) {
      const [mine, its] = [definition, other].map((schema) => saidOf(schema, field));
      if (mine !== its) found.push(`${name}.${field}: ${mine}, not ${its}`);
    }
  }
  return found;
}

function saidOf(definition: Any, field: string): string {
  const schema = definition.properties?.[field];
  if (schema === undefined) return 'absent';
  const said: Record<string, unknown> = { required: (definition.required ?? []).includes(field) };
  for (const [key, value] of Object.entries<Any>(schema)) {
    const counts = key.startsWith('x-kubernetes-') || (SAID as readonly string[]).includes(key);
    if (counts) said[key] = key === 'items' || key === 'additionalProperties' ? pick(value) : value;
  }
  return JSON.stringify(Object.fromEntries(Object.entries(said).sort(([a], [b]) => (a < b ? -1 : 1))));
}

function pick({ type, format, $ref, items }: Any): object {
  return { type, format, $ref, ...(items === undefined ? {} : { items: pick(items) }) };
}
