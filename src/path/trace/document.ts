import { z } from 'zod';

const direction = z
  .enum(['request', 'answer'])
  .describe('of the packet: the one that asks for the connection, or the first that answers it');
const endpoint = z.string().describe('address and port');

const step = z.strictObject({
  direction,
  kind: z
    .enum(['arrived', 'hook', 'rule', 'policy', 'rewrite', 'left'])
    .describe(
      'came in by a device, came to a hook, matched a rule, ended by a policy, was rewritten, left by a device',
    ),
  hook: z.string().optional(),
  input: z.string().optional().describe('device that it came in by'),
  output: z.string().optional().describe('device that it leaves by'),
  source: endpoint.optional(),
  destination: endpoint.optional(),
  table: z.string().optional().describe('family and name'),
  chain: z.string().optional(),
  rule: z.string().optional().describe('as its tool writes it'),
  verdict: z
    .enum(['accept', 'drop', 'queue', 'stolen', 'continue', 'jump', 'goto', 'return', 'other'])
    .optional(),
  field: z.enum(['source', 'destination']).optional().describe('what was rewritten'),
  from: endpoint.optional(),
  to: endpoint.optional(),
});

/** What `hostport trace -o json` prints. */
export const traceDocumentSchema = z.strictObject({
  apiVersion: z.literal('hostport/v1'),
  kind: z.literal('Trace'),
  node: z.string().describe('node whose kernel was asked'),
  address: z.string().describe('address that the probe was sent to'),
  port: z.number().int(),
  protocol: z.enum(['TCP', 'UDP', 'SCTP']),
  from: z.string().describe('"outside", the name of a node, or namespace/name of a pod'),
  sourcePort: z.number().int(),
  pod: z.string().optional().describe('pod that asks for this hostPort'),
  probe: z.strictObject({
    outcome: z.enum(['answered', 'refused', 'timeout', 'unreachable', 'unknown']),
    detail: z.string(),
  }),
  outcome: z.enum(['answered', 'died', 'inconclusive']),
  message: z.string().describe('what became of the connection, in a sentence'),
  steps: z.array(step).describe('what happened to the packets on the node, in order'),
  death: z
    .strictObject({
      direction,
      message: z.string(),
      hook: z.string().optional(),
      table: z.string().optional(),
      chain: z.string().optional(),
      rule: z.string().optional(),
      reason: z.string().optional().describe("the kernel's name for why it was dropped"),
      isReasonCertain: z
        .boolean()
        .optional()
        .describe('false: the only reason that fits among those of all packets meanwhile'),
      code: z.string().optional().describe('the failure that it is a sign of: docs/failures/<code>.md'),
      cause: z
        .string()
        .optional()
        .describe('what the doctor finds of the mapping, where that is why no rule led to the pod'),
    })
    .optional()
    .describe('where it died, and why'),
  notes: z.array(z.string()).describe('what is not known, and why'),
});

export type TraceDocument = z.infer<typeof traceDocumentSchema>;
