import { z } from 'zod';
import { unknownKinds } from '../path/model/finding.ts';
import { boundedText } from '../util/bounded.ts';

/** Version of the layout of a bundle. */
export const BUNDLE_VERSION = 'hostport/v1';

export const manifestSchema = z.object({
  apiVersion: z.literal(BUNDLE_VERSION),
  kind: z.literal('Bundle'),
  observedAt: z.string().refine((time) => !Number.isNaN(Date.parse(time)), 'not a time'),
  unread: z
    .array(
      z.object({
        // Without it, it may have been a pod.
        kind: z.enum(unknownKinds).default('pod'),
        node: boundedText({ most: 253 }).optional(),
        what: boundedText({ most: 253 }),
        why: z.string(),
      }),
    )
    .optional(),
});

export type Manifest = z.infer<typeof manifestSchema>;

/** The kinds of objects, each a file under `objects`. */
export const KINDS = ['nodes', 'pods', 'services', 'events', 'policies'] as const;
export type Kind = (typeof KINDS)[number];

const MEBIBYTE = 1024 * 1024;
/** Several times what a cluster of 5,000 nodes and 150,000 mappings comes to: 250 MB of probes. */
export const MAX_BYTES = {
  manifest: MEBIBYTE,
  objects: 1024 * MEBIBYTE,
  report: 32 * MEBIBYTE,
  probes: 1024 * MEBIBYTE,
};
export const MAX_REPORTS = 10_000;

/** A node's name, and that of its file: a DNS subdomain (RFC 1123), so it is also one step of a path. */
export const NODE_FILE = /^([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)\.json$/;

/** Whether a path is that of a bundle that is an archive. */
export function isArchiveName(path: string): boolean {
  return path.endsWith('.tar.gz');
}
