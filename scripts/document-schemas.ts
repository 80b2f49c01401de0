/**
 * JSON Schemas of the documents that the program writes, for whoever reads them by a program: `bun scripts/document-schemas.ts` writes
 * docs/schema. A test holds the files to what is written here, and the types of the program to it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Summary } from '../src/cli/printer/summary.ts';
import { type Diagnosis, severities, unknownKinds } from '../src/path/model/finding.ts';
import { nodeReportSchema } from '../src/path/model/node-report.ts';
import { probeResultSchema } from '../src/path/model/probe.ts';
import { stages } from '../src/path/model/stages.ts';
import { traceDocumentSchema } from '../src/path/trace/document.ts';

const code = z
  .string()
  .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/)
  .describe('stable name of a kind of failure: docs/failures/<code>.md');
const stage = z.enum(stages);

const pod = z.strictObject({ namespace: z.string(), name: z.string(), uid: z.string() });

const port = z
  .strictObject({
    hostPort: z.number().int(),
    containerPort: z.number().int(),
    protocol: z.enum(['TCP', 'UDP', 'SCTP']),
    hostIP: z.string().optional().describe('absent: every address of the node'),
  })
  .describe('a mapping that a pod asks for');

const family = z
  .enum(['IPv4', 'IPv6'])
  .describe('present only where pod and node have addresses of both families');

const evidence = z.strictObject({
  kind: z.enum([
    'file',
    'rule',
    'sysctl',
    'event',
    'probe',
    'object',
    'runtime',
    'route',
    'flow',
    'socket',
    'result',
  ]),
  where: z.string().describe('which one: a path, a chain, a name'),
  saw: z.string().describe('the content that was found, shortened if it is long'),
});

const finding = z.strictObject({
  code,
  stage,
  severity: z.enum(severities),
  subject: z
    .strictObject({
      node: z.string().optional(),
      pod: pod.optional(),
      port: port.optional(),
      family: family.optional(),
    })
    .describe(
      'what the finding is about: a node, a pod, or one mapping of a pod; a pod has its node, a mapping its pod and node',
    ),
  message: z.string().describe('one sentence with the names and values of this case'),
  args: z
    .record(z.string(), z.union([z.string(), z.number(), z.array(z.string())]))
    .describe(
      'the names and values in the message, by what they are; which there are depends on the code and its case',
    ),
  evidence: z.array(evidence),
  explanation: z.string(),
  remedy: z.string(),
  command: z.string().optional().describe('the command that fixes it, if there is one'),
  restart: z.enum(['no', 'avoided', 'needed']),
  restartReason: z.string().optional().describe('why there is no other way, where a restart is needed'),
  documentation: z.string().describe('page, relative to the root of the project'),
});

const verdict = z.strictObject({
  verdict: z.enum(['ok', 'broken', 'risk', 'unknown', 'muted']),
  codes: z.array(code).describe('of the findings behind it'),
  reason: z
    .string()
    .optional()
    .describe('why it is unknown, by which code it is muted, or why it is OK in an unusual way'),
});

const path = z.strictObject({
  node: z.string().optional().describe('absent until the pod has one'),
  pod,
  port,
  family: family.optional(),
  stages: z.strictObject(
    Object.fromEntries(stages.map((name) => [name, verdict])) as Record<
      (typeof stages)[number],
      typeof verdict
    >,
  ),
});

const unknown = z.strictObject({
  kind: z.enum(unknownKinds).describe('what it is about; a node or a pod is status 2'),
  node: z.string().optional(),
  what: z.string(),
  why: z.string(),
});

/** What `hostport doctor -o json` prints. */
export const diagnosisSchema = z.strictObject({
  apiVersion: z.literal('hostport/v1'),
  kind: z.literal('Diagnosis'),
  observedAt: z.string().describe('RFC 3339'),
  paths: z.array(path),
  findings: z
    .array(finding)
    .describe(
      'cause by cause: worst first, then what hurts most pods; those of one cause by stage, node, pod and port',
    ),
  unknowns: z.array(unknown).describe('what could not be read'),
});

const count = z.number().int().min(0);
const verdictCounts = z.strictObject({ ok: count, broken: count, risk: count, unknown: count, muted: count });

/** What `hostport doctor --summary -o json` prints. */
const summarySchema = z.strictObject({
  apiVersion: z.literal('hostport/v1'),
  kind: z.literal('Summary'),
  observedAt: z.string().describe('RFC 3339'),
  mappings: z
    .strictObject({ total: count, good: count, risk: count, broken: count, unknown: count })
    .describe('mappings by the worst of their stages'),
  stages: z
    .strictObject(
      Object.fromEntries(stages.map((name) => [name, verdictCounts])) as Record<
        (typeof stages)[number],
        typeof verdictCounts
      >,
    )
    .describe('mappings by the verdict of each stage'),
  codes: z
    .array(
      z.strictObject({
        code,
        stage,
        severity: finding.shape.severity,
        causes: count.describe('how many different causes, each on one or more nodes'),
        nodes: count,
        pods: count,
        mappings: count,
      }),
    )
    .describe('kinds of failures, worst first, then by how many mappings they are behind'),
  unknowns: count.describe('how many things could not be read'),
});

/** A line of what `hostport doctor -o ndjson` prints; the first is the summary. */
const lineSchema = z.union([
  summarySchema,
  z.strictObject({ kind: z.literal('Path'), path }),
  z.strictObject({ kind: z.literal('Finding'), finding }),
  z.strictObject({ kind: z.literal('Unknown'), unknown }),
]);

// The schema and the type of the program are each other's: a field that one lacks does not compile.
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;
true satisfies Same<z.infer<typeof diagnosisSchema>, Diagnosis>;
true satisfies Same<z.infer<typeof summarySchema>, Summary>;

const TITLES = {
  diagnosis: ['Diagnosis: what "hostport doctor -o json" prints', diagnosisSchema],
  summary: ['Summary: what "hostport doctor --summary -o json" prints', summarySchema],
  'diagnosis-line': ['A line of what "hostport doctor -o ndjson" prints', lineSchema],
  'node-report': ['NodeReport: what "hostport node-report" prints', nodeReportSchema],
  trace: ['Trace: what "hostport trace -o json" prints', traceDocumentSchema],
  probes: ['Probe results: probes.json of a bundle', z.array(probeResultSchema)],
} as const;

/** A later release may add fields: who reads a document by its schema must not refuse them (docs/doctor.md). */
function allowMore({ jsonSchema }: { jsonSchema: { additionalProperties?: unknown } }): void {
  if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
}

/** The schemas as they are in docs/schema, by file name. */
export function documentSchemas(): Map<string, string> {
  return new Map(
    Object.entries(TITLES).map(([name, [title, schema]]) => {
      const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'output', override: allowMore });
      return [`${name}.json`, `${JSON.stringify({ $schema, title, ...rest }, null, 2)}\n`];
    }),
  );
}

if (import.meta.main) {
  const directory = join(import.meta.dir, '../docs/schema');
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of documentSchemas()) writeFileSync(join(directory, name), text);
}
