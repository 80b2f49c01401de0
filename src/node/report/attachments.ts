import { join } from 'node:path';
import { z } from 'zod';
import { decodeStruct, parseDocument } from '../../cni/json.ts';
import { isCniName } from '../../cni/names.ts';
import { CACHED_FIELDS, resultFields } from '../../cni/result.ts';
import { isNamespace } from '../../cni/sandbox.ts';
import type { CachedAttachment } from '../../path/model/node-report.ts';
import { localPaths, namesOfAtMost, readBelow } from '../../sys/bounded-file.ts';
import { isErrno, unlessMissing } from '../../sys/errno.ts';
import { boundedList, boundedText } from '../../util/bounded.ts';
import { messageOf } from '../../util/errors.ts';
import { parseIp } from '../../util/ip.ts';
import { documentWithoutSecrets, withoutSecrets } from './secrets.ts';

/** Where libcni keeps the results of attachments, below its cache directory. */
export const RESULT_CACHE = '/var/lib/cni/results';

const MAX_BYTES = 1024 * 1024;
const MAX_ENTRIES = 5000;

const port = z.number().int().min(0).max(65535);

/** go-cni writes Go's own field names, others those of the convention; Go reads either, whatever the case. */
const portMapping = z
  .record(z.string(), z.unknown())
  .transform((fields) =>
    Object.fromEntries(Object.entries(fields).map(([key, value]) => [key.toLowerCase(), value])),
  )
  .pipe(
    z.object({
      hostport: port,
      containerport: port,
      protocol: z
        .string()
        .regex(/^[A-Za-z]{1,16}$/)
        .default('tcp'),
      hostip: z
        .string()
        .refine((address) => address === '' || parseIp(address) !== undefined, 'not an address')
        .optional(),
    }),
  )
  .transform(({ hostport, containerport, protocol, hostip }) => ({
    hostPort: hostport,
    containerPort: containerport,
    protocol: protocol.toLowerCase(),
    ...(hostip === undefined || hostip === '' ? {} : { hostIP: hostip }),
  }));

/** A container's id, or a network's name. A value that libcni refuses is not reported: it could be anything. */
const identity = boundedText({ most: 256 }).refine(isCniName, 'not a name');

/** An entry in the form that libcni has written since 0.7. The older form was the bare result, which names nobody. */
const cacheEntry = z.object({
  kind: z.literal('cniCacheV1'),
  containerId: identity,
  /** Base64 of the configuration list. */
  config: z.string(),
  ifName: z.string().regex(/^[^/:\s]{1,16}$/),
  networkName: identity,
  netns: z
    .string()
    .regex(/^(?:\/\S*)?$/)
    .optional(),
  capabilityArgs: z.object({ portMappings: boundedList(portMapping, { most: 2000 }).nullish() }).nullish(),
  result: z.record(z.string(), z.unknown()),
});

/** The attachments in libcni's cache, and the files in its directory that are not attachments, with the reason. */
export function readAttachments(directory: string = RESULT_CACHE): {
  attachments: CachedAttachment[];
  skipped: { file: string; why: string }[];
} {
  const attachments: CachedAttachment[] = [];
  const skipped: { file: string; why: string }[] = [];
  const resolve = localPaths();
  const root = unlessMissing(() => resolve(directory));
  if (root === undefined) return { attachments, skipped };
  for (const name of namesOfAtMost(root, MAX_ENTRIES)) {
    const file = join(directory, name);
    try {
      const { bytes, stat } = readBelow(root, file, MAX_BYTES, resolve);
      attachments.push(parseAttachment(file, stat.mtime, bytes.toString('utf8')));
    } catch (cause) {
      // A DEL of this very moment removes the file.
      if (!isErrno(cause, 'ENOENT')) skipped.push({ file, why: briefly(cause) });
    }
  }
  return { attachments, skipped };
}

function parseAttachment(file: string, modified: Date, text: string): CachedAttachment {
  const entry = cacheEntry.parse(decodeStruct(parseDocument(text, file), CACHED_FIELDS));
  const { containerId, networkName, ifName, result } = entry;
  const netns = entry.netns ?? sandboxOf(result);
  return {
    file,
    modified: modified.toISOString(),
    networkName,
    containerId,
    ifName,
    ...(netns === undefined ? {} : { netns, netnsExists: isNamespace(netns) }),
    portMappings: entry.capabilityArgs?.portMappings ?? [],
    result: documentWithoutSecrets(result),
    config: withoutSecrets(Buffer.from(entry.config, 'base64').toString('utf8')),
  };
}

/** The sandbox that a result names: libcni before 1.2 keeps no netns of its own. */
function sandboxOf(result: Record<string, unknown>): string | undefined {
  const interfaces = resultFields(result)?.interfaces;
  if (!Array.isArray(interfaces)) return undefined;
  return interfaces
    .map((entry: unknown) => (entry as { sandbox?: unknown } | null)?.sandbox)
    .find((sandbox): sandbox is string => typeof sandbox === 'string' && sandbox.startsWith('/'));
}

function briefly(cause: unknown): string {
  if (!(cause instanceof z.ZodError)) return messageOf(cause);
  const [issue] = cause.issues;
  return `not an entry of libcni's cache: ${issue!.path.join('.') || 'document'}: ${issue!.message}`;
}
