import { join } from 'node:path';
import { z } from 'zod';
import { readLinked } from '../sys/bounded-file.ts';
import { writeFileAtomic } from '../sys/files.ts';
import { boundedText } from '../util/bounded.ts';
import { parseJson } from '../util/parse-json.ts';
import { AGENT_MODES, STATE_DIRECTORY } from './manifests.ts';

/** What a running agent says of itself, for `hostport agent status`. Times are RFC 3339. */
const stateSchema = z.object({
  version: boundedText({ most: 100 }),
  mode: z.enum(AGENT_MODES),
  node: boundedText({ most: 253 }),
  /** The last look that succeeded; absent until one has. */
  lookedAt: z.iso.datetime().optional(),
  /** When that look, or a glance that showed no change since, ended; an agent of an earlier version writes {@link lookedAt} for both. */
  checkedAt: z.iso.datetime().optional(),
  /** Findings of that look. */
  broken: z.number().int().nonnegative().optional(),
  risks: z.number().int().nonnegative().optional(),
  /** How many of them have which code, those that occur most first. */
  codes: z.record(boundedText({ most: 100 }), z.number().int().positive()).optional(),
  /** Why the last look failed; absent when it succeeded. */
  failure: boundedText({ most: 2000 }).optional(),
});

export type AgentState = z.infer<typeof stateSchema>;

/** The file in an agent's container. */
const STATE_FILE = join(STATE_DIRECTORY, 'agent.json');

/** Replaces the file: who reads it meanwhile reads one of the two. */
export function writeState(state: AgentState, file = STATE_FILE): Promise<void> {
  return writeFileAtomic(file, `${JSON.stringify(state)}\n`);
}

/** The content of the file, as the agent of this container has written it. Throws when there is none: no agent runs here. */
export function readState(file = STATE_FILE): string {
  return readLinked(file, MAX_STATE_BYTES).toString('utf8');
}

/** The longest field has 2,000 characters. */
const MAX_STATE_BYTES = 64 * 1024;

/** The content of the file. A container may print anything. @throws when it is not an agent's. */
export function parseState(text: string): AgentState {
  return stateSchema.parse(parseJson(text, 'state of the agent'));
}
