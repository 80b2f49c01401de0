import { existsSync } from 'node:fs';
import { z } from 'zod';
import type { NodeReport } from '../../path/model/node-report.ts';
import { boundedList, boundedText } from '../../util/bounded.ts';
import { parseJson } from '../../util/parse-json.ts';
import { observe } from './observe.ts';

type Cilium = NonNullable<NodeReport['cilium']>;

/** Where Cilium's agent serves its API, without the link `/var/run`, which a container may not have. Source: github.com/cilium/cilium/pkg/defaults (SockPath). */
const SOCKET = '/run/cilium/cilium.sock';

/** Bytes of one answer: a service is some 500, and a node has no more than the cluster. */
const MAX_ANSWER = 16 * 1024 * 1024;

/** How long one answer may take, in milliseconds; then the connection is closed. */
const ANSWER_MS = 2000;

/** What is read of `GET /v1/healthz`. Source: Cilium's api/v1/openapi.yaml, StatusResponse and KubeProxyReplacement. */
const statusSchema = z.object({
  cilium: z.object({ msg: boundedText({ most: 1000 }).optional() }).optional(),
  'kube-proxy-replacement': z
    .object({
      mode: boundedText({ most: 100 }).optional(),
      features: z.object({ hostPort: z.object({ enabled: z.boolean().optional() }).optional() }).optional(),
    })
    .optional(),
});

const addressSchema = z.object({
  ip: boundedText({ most: 100 }).optional(),
  port: z.number().optional(),
  protocol: boundedText({ most: 20 }).optional(),
});

/** What is read of `GET /v1/service`. Source: the same, Service and ServiceSpec. */
const servicesSchema = boundedList(
  z.object({
    spec: z
      .object({
        'frontend-address': addressSchema.nullish(),
        'backend-addresses': z.array(addressSchema).nullish(),
        flags: z.object({ type: boundedText({ most: 100 }).optional() }).nullish(),
      })
      .optional(),
  }),
  { most: 100_000 },
);

/** What the agent of Cilium on this node says of hostPorts; undefined where there is none. */
export async function readCilium(socket = SOCKET, timeoutMs = ANSWER_MS): Promise<Cilium | undefined> {
  if (!existsSync(socket)) return undefined;
  return observe(socket, async () => {
    const status = statusSchema.parse(await ask(socket, '/v1/healthz', timeoutMs));
    const replacement = status['kube-proxy-replacement'];
    const hostPorts = replacement?.features?.hostPort?.enabled === true;
    const version = /^\d+\.\d+\.\d+\S*/.exec(status.cilium?.msg ?? '')?.[0];
    return {
      ...(version === undefined ? {} : { version }),
      hostPorts,
      mappings: hostPorts
        ? mappingsOf(servicesSchema.parse(await ask(socket, '/v1/service', timeoutMs)))
        : [],
    };
  });
}

type Mapping = Extract<Cilium, { value: unknown }>['value']['mappings'][number];

function mappingsOf(services: z.infer<typeof servicesSchema>): Mapping[] {
  return services.flatMap(({ spec }): Mapping[] => {
    const frontend = spec?.['frontend-address'];
    if (spec?.flags?.type !== 'HostPort' || frontend?.port === undefined) return [];
    return [
      {
        address: frontend.ip ?? '',
        port: frontend.port,
        ...(frontend.protocol === undefined ? {} : { protocol: frontend.protocol }),
        backends: (spec['backend-addresses'] ?? []).map(({ ip, port }) => ({
          address: ip ?? '',
          port: port ?? 0,
        })),
      },
    ];
  });
}

async function ask(socket: string, path: string, timeoutMs: number): Promise<unknown> {
  const response = await fetch(`http://cilium${path}`, {
    unix: socket,
    // A redirect would be followed away from the socket, to wherever it says.
    redirect: 'manual',
    signal: AbortSignal.timeout(timeoutMs),
  });
  if (!response.ok) throw new Error(`GET ${path}: status ${response.status}`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_ANSWER) throw new Error(`GET ${path}: more than ${MAX_ANSWER} bytes`);
    chunks.push(chunk);
  }
  return parseJson(Buffer.concat(chunks).toString(), `GET ${path}`);
}
