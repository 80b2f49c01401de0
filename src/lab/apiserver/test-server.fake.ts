import {
  createAuthority,
  createServiceAccountKeys,
  issueCertificate,
  type KeyedCertificate,
} from '../../kube/pki.ts';
import type { WatchEvent } from '../../kube/types.ts';
import { type RunningServer, type ServerConfig, serve } from './main.ts';
import type { ApiObject } from './objects.ts';
import type { Storage } from './storage.ts';

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the server says is what a test looks at.
  body: any;
}

/** The users of a test's server, as a token file. */
export const TOKENS = `admin,kubernetes-admin,1,"system:masters"
worker,system:node:worker,2,"system:nodes"
scheduler,system:kube-scheduler,3
bob,bob,4
`;

/** A way to ask an API server, any, as one of the users of {@link TOKENS}. */
export class ApiAsker {
  readonly url: string;
  readonly #caPem: string;

  constructor(url: string, caPem: string) {
    this.url = url;
    this.#caPem = caPem;
  }

  /** One request. `body` that is neither text nor bytes is sent as JSON. */
  async ask(
    method: string,
    path: string,
    body?: unknown,
    options: { user?: string; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const { user = 'admin', headers = {} } = options;
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(user === '' ? {} : { authorization: `Bearer ${user}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body:
        body === undefined || typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
      tls: { ca: this.#caPem },
    } as RequestInit);
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.startsWith('application/json') ?? false;
    return {
      status: response.status,
      headers: response.headers,
      text,
      // Only when it is looked at: a watch's answer is many documents.
      get body() {
        return isJson ? JSON.parse(text) : undefined;
      },
    };
  }

  /** Asks, and throws unless the answer is a success; returns the object. */
  async must(
    method: string,
    path: string,
    body?: unknown,
    options: Parameters<ApiAsker['ask']>[3] = {},
  ): Promise<ApiObject> {
    const answer = await this.ask(method, path, body, options);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.body as ApiObject;
  }

  /** Events of a watch, until the loop is left or the server ends it. */
  async *watch(
    path: string,
    options: { user?: string; accept?: string } = {},
  ): AsyncGenerator<WatchEvent<ApiObject>> {
    const abort = new AbortController();
    const response = await fetch(this.url + path, {
      headers: {
        authorization: `Bearer ${options.user ?? 'admin'}`,
        accept: options.accept ?? 'application/json',
      },
      signal: abort.signal,
      tls: { ca: this.#caPem },
    } as RequestInit);
    const decoder = new TextDecoder();
    let pending = '';
    try {
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        pending += decoder.decode(chunk, { stream: true });
        const lines = pending.split('\n');
        pending = lines.pop() ?? '';
        for (const line of lines) yield JSON.parse(line) as WatchEvent<ApiObject>;
      }
    } finally {
      abort.abort();
    }
  }

  /** The first `count` events of a watch, as `TYPE name`. */
  async events(path: string, count: number, options: { user?: string } = {}): Promise<string[]> {
    const seen: string[] = [];
    for await (const { type, object } of this.watch(path, options)) {
      seen.push(`${type} ${object.metadata?.name ?? (object as { reason?: string }).reason ?? ''}`.trim());
      if (seen.length === count) break;
    }
    return seen;
  }
}

/** A server on a free port of 127.0.0.1 and a way to ask it, for tests. Users: admin, worker (a node), scheduler, bob. */
export class TestServer extends ApiAsker {
  readonly ca: KeyedCertificate;
  readonly #running: RunningServer;

  private constructor(running: RunningServer, ca: KeyedCertificate) {
    super(`https://127.0.0.1:${running.port}`, ca.certPem);
    this.#running = running;
    this.ca = ca;
  }

  static async start(
    storage: Storage,
    change: (config: ServerConfig, ca: KeyedCertificate) => ServerConfig | Promise<ServerConfig> = (config) =>
      config,
    /** Runs while the server is listening but not yet known to be ready. */
    early: (server: TestServer) => Promise<void> = async () => {},
    onLog: (line: string) => void = () => {},
  ): Promise<TestServer> {
    const ca = await createAuthority('kubernetes');
    const serving = await issueCertificate(ca, {
      commonName: 'kube-apiserver',
      ipAddresses: ['127.0.0.1'],
      usage: 'server',
    });
    const keys = await createServiceAccountKeys();
    const config: ServerConfig = {
      bindAddress: '127.0.0.1',
      securePort: 0,
      advertiseAddress: '172.17.0.2',
      serviceRange: { network: 0x0a600000, prefix: 24 },
      certificate: serving.certPem,
      privateKey: serving.keyPem,
      tokenFile: { text: TOKENS, path: 'tokens.csv' },
      serviceAccounts: {
        issuer: 'https://kubernetes.default.svc',
        signingKey: keys.privatePem,
        publicKeys: [keys.publicPem],
      },
      compactionIntervalMs: 0,
    };
    const running = await serve(await change(config, ca), storage, onLog);
    const server = new TestServer(running, ca);
    await early(server);
    await running.ready;
    return server;
  }

  stop(): Promise<void> {
    return this.#running.stop(200);
  }
}
