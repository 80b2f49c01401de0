import type { KeyedCertificate } from '../kube/pki.ts';
import type { Access } from './metrics-access.ts';
import type { Condition } from './record.ts';

/** How long a connection may be idle, in seconds: longer than the pause between two scrapes is not worth its memory. */
const IDLE_S = 30;

export interface MetricsServerOptions {
  /** The address to listen on: the node's own, never all of them. */
  address: string;
  /** 0 for any that is free. */
  port: number;
  certificate: KeyedCertificate;
  metrics(): { type: string; text: string };
  ready(): Condition;
  alive(): Condition;
  /** Whether who asks may read the metrics; rejects when nobody knows. */
  access(authorization: string | null): Promise<Access>;
  onError(error: unknown): void;
}

/** A listener that serves an agent's metrics and probes. */
export interface MetricsServer {
  port: number;
  stop(): Promise<void>;
}

/**
 * Serves `/metrics` to who may read it, and `/healthz` and `/readyz` to anybody, over TLS: a kubelet has no token for a pod, and these say
 * `ok` or not, and nothing of the node. Throws when the port is taken.
 */
export function serveMetrics(options: MetricsServerOptions): MetricsServer {
  const { address, port, certificate, metrics, ready, alive, access, onError } = options;
  const server = Bun.serve({
    hostname: address,
    port,
    tls: { cert: certificate.certPem, key: certificate.keyPem },
    idleTimeout: IDLE_S,
    // No request has a body.
    maxRequestBodySize: 0,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const answers: Record<string, () => Response | Promise<Response>> = {
        '/healthz': () => probeAnswer(alive()),
        '/readyz': () => probeAnswer(ready()),
        '/metrics': async () => {
          const answer = REFUSALS[await access(request.headers.get('authorization'))];
          if (answer !== undefined) return new Response(`${answer.text}\n`, answer);
          const { type, text } = metrics();
          return new Response(text, { headers: { 'content-type': type } });
        },
      };
      const answer = Object.hasOwn(answers, pathname) ? answers[pathname] : undefined;
      if (answer === undefined) return new Response('not found\n', { status: 404 });
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        return new Response('only GET\n', { status: 405, headers: { allow: 'GET, HEAD' } });
      }
      return answer();
    },
    error(error) {
      onError(error);
      return new Response('cannot ask the API who that is\n', { status: 503 });
    },
  });
  return { port: server.port!, stop: () => server.stop(true) };
}

const REFUSALS: Readonly<
  Record<Access, { status: number; text: string; headers?: HeadersInit } | undefined>
> = {
  allowed: undefined,
  nobody: {
    status: 401,
    text: 'a token of the cluster is needed',
    headers: { 'www-authenticate': 'Bearer' },
  },
  forbidden: { status: 403, text: 'that one may not get /metrics' },
  busy: { status: 503, text: 'too many ask at once', headers: { 'retry-after': '1' } },
};

/** What is wrong is in the log and in `hostport agent status`: here anybody may ask. */
function probeAnswer({ holds }: Condition): Response {
  return new Response(holds ? 'ok\n' : 'not ok\n', { status: holds ? 200 : 503 });
}
