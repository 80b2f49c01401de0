import type { ApiAsker } from '../../src/lab/apiserver/test-server.fake.ts';
import { normalise } from './compare.ts';
import { type Answered, nameOf, type Operation } from './operations.ts';

/** What a server said, without what two servers cannot have in common. */
interface Said {
  status: number;
  type: string | null;
  warning: string | null;
  body: unknown;
}

/** Sends the operations to one server, one after the other, and returns what it said to each. */
export async function ask(
  server: ApiAsker,
  operations: readonly Operation[],
): Promise<ReadonlyMap<string, Said>> {
  const answers = new Map<string, Answered>();
  const said = new Map<string, Said>();
  for (const operation of operations) {
    const name = nameOf(operation);
    if (said.has(name)) throw new Error(`${name}: two operations of this name`);
    const { method, path, body, headers, user } = operation.fill?.(answers, operation) ?? operation;
    const { status, headers: answered, text } = await server.ask(method, path, body, { headers, user });
    const parsed =
      operation.watch && status === 200 ? text.split('\n').filter(Boolean).map(parse) : parse(text);
    answers.set(name, { status, body: parsed });
    said.set(name, {
      status,
      type: answered.get('content-type'),
      warning: answered.get('warning'),
      body: normalise(parsed),
    });
  }
  return said;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
