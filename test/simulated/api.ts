import type { Server, ServerWebSocket } from 'bun';
import type { KubeObject, Pod } from '../../src/kube/types.ts';
import type { NodeRequest } from '../../src/node/serve/request.ts';

/** What a simulated cluster has. */
export interface SimulatedObjects {
  nodes: KubeObject[];
  pods: KubeObject[];
}

export interface SimulatedOptions extends SimulatedObjects {
  /** What the program on a node answers: the JSON of the value, or of a compressed one. */
  answer(node: string, request: NodeRequest): AnswerText | Promise<AnswerText>;
  /** How a program that is not `node-serve` ends on a node; each ends with status 0 and says nothing unless given. */
  run?: (node: string, argv: readonly string[]) => { code: number; stdout: string };
  /** How long every request, and every question to a node, takes longer than it would, in milliseconds. */
  latencyMs?: number;
  /** By which the server is verified: PEM. */
  tls?: { cert: string; key: string };
  /** What is answered in place of what was asked for. */
  fault?: (request: { method: string; path: string }) => Response | undefined;
}

/** `value`: JSON; `gzip`: JSON compressed, in base64. */
export type AnswerText = { value: string } | { gzip: string };

interface Session {
  node: string;
  argv: readonly string[];
  pending: string;
}

/** API servers send output in pieces of this size. */
const PIECE = 32 * 1024;
const STDIN = 0;
const STDOUT = 1;
const ERROR = 3;

/**
 * An API server of a cluster that only exists as objects, on a socket of the loopback: lists in pages, watches, pods that run as soon as they are
 * created and in which a program answers (exec over WebSocket), and requests that are counted. It admits its differences: no validation, no
 * authorisation but a token, selectors by label only for what the doctor has created.
 */
export class SimulatedApi {
  /** How many requests there were, by what they are: `GET pods`, `POST pods`, `EXEC`. */
  readonly requests = new Map<string, number>();
  /** The token that is accepted; any when undefined. */
  token: string | undefined;
  readonly #options: SimulatedOptions;
  readonly #lists: Readonly<Record<string, readonly string[]>>;
  readonly #created = new Map<string, Pod>();
  readonly #namespaces = new Map<string, KubeObject>();
  readonly #watchers = new Set<{ tell(line: string): void; end(): void }>();
  readonly #sockets = new Set<ServerWebSocket<Session>>();
  /** All changes so far. */
  readonly #changes: { version: number; line: string }[] = [];
  #server: Server<Session> | undefined;
  #port = 0;
  #version = 1;

  constructor(options: SimulatedOptions) {
    this.#options = options;
    const texts = (objects: readonly KubeObject[]) => objects.map((object) => JSON.stringify(object));
    this.#lists = {
      nodes: texts(options.nodes),
      pods: texts(options.pods),
      services: [],
      events: [],
      networkpolicies: [],
    };
  }

  get url(): string {
    return `${this.#options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${this.#port}`;
  }

  /** Names of what was created and is there. */
  get created(): string[] {
    return [...this.#namespaces.keys(), ...this.#created.keys()];
  }

  /** Starts to listen, on the same port as the last time. */
  start(): void {
    const { tls } = this.#options;
    this.#server = Bun.serve<Session>({
      hostname: '127.0.0.1',
      port: this.#port,
      // Watches are idle.
      idleTimeout: 0,
      ...(tls && { tls }),
      fetch: (request, server) => this.#handle(request, server),
      websocket: {
        open: (socket) => {
          this.#sockets.add(socket);
          if (!socket.data.argv.includes('node-serve')) this.#run(socket);
        },
        close: (socket) => {
          this.#sockets.delete(socket);
        },
        message: (socket, message) => this.#take(socket, Buffer.from(message as Buffer)),
        idleTimeout: 0,
        maxPayloadLength: 64 * 1024 * 1024,
        perMessageDeflate: false,
      },
    });
    this.#port = this.#server.port!;
  }

  /** Ends all connections and listens no more. */
  stop(): void {
    for (const { end } of this.#watchers) end();
    for (const socket of this.#sockets) socket.terminate();
    this.#watchers.clear();
    // It listens no more when this returns; its promise waits for what is still being answered, which may be who called.
    void this.#server?.stop(true);
    this.#server = undefined;
  }

  async #handle(request: Request, server: Server<Session>): Promise<Response | undefined> {
    const { pathname, searchParams } = new URL(request.url);
    const path = request.url.slice(this.url.length);
    const { method } = request;
    const text = method === 'POST' || method === 'DELETE' ? await request.text() : '';
    await this.#late();
    if (this.token !== undefined && request.headers.get('authorization') !== `Bearer ${this.token}`)
      return status(401, 'Unauthorized', 'Unauthorized');
    const fault = this.#options.fault?.({ method, path });
    if (fault !== undefined) return fault;
    const exec = /\/namespaces\/([^/]+)\/pods\/([^/]+)\/exec$/.exec(pathname);
    if (exec !== null) return this.#exec(request, server, exec[2]!);
    const [, namespace, plural = '', name] =
      /^\/(?:api|apis\/[^/]+)\/v1(?:\/namespaces\/([^/]+)(?=\/.))?\/([^/]+)(?:\/([^/]+))?$/.exec(pathname) ??
      [];
    this.#count(`${searchParams.get('watch') === 'true' ? 'WATCH' : method} ${plural}`);
    if (plural === 'selfsubjectaccessreviews') return Response.json({ status: { allowed: true } });
    if (plural === 'namespaces') return this.#namespace(method, name, text, searchParams);
    if (searchParams.get('watch') === 'true') return this.#watch(Number(searchParams.get('resourceVersion')));
    if (method === 'POST') return this.#createPod(JSON.parse(text) as Pod, namespace!);
    if (method === 'DELETE') return this.#deletePod(name!);
    if (searchParams.has('labelSelector')) {
      // Only what runs have created has the label that is asked for.
      const items =
        namespace === undefined ? [] : [...this.#created.values()].map((pod) => JSON.stringify(pod));
      return this.#page(items, searchParams);
    }
    return this.#page(this.#lists[plural] ?? [], searchParams);
  }

  #page(items: readonly string[], parameters: URLSearchParams): Response {
    const from = Number(parameters.get('continue') ?? 0);
    const to = from + Number(parameters.get('limit') ?? items.length);
    const next = to < items.length ? `,"continue":"${to}"` : '';
    return new Response(
      `{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"${this.#version}"${next}},"items":[${items.slice(from, to).join(',')}]}`,
      { headers: { 'content-type': 'application/json' } },
    );
  }

  #namespace(method: string, name: string | undefined, text: string, parameters: URLSearchParams): Response {
    if (method === 'POST') {
      const made = JSON.parse(text) as KubeObject;
      this.#namespaces.set(made.metadata?.name ?? '', made);
      return Response.json(made, { status: 201 });
    }
    if (name === undefined)
      return this.#page(
        [...this.#namespaces.values()].map((each) => JSON.stringify(each)),
        parameters,
      );
    const found = this.#namespaces.get(name);
    if (found === undefined) return status(404, 'NotFound', `namespaces "${name}" not found`);
    if (method === 'DELETE') this.#namespaces.delete(name);
    return Response.json(found);
  }

  #createPod(pod: Pod, namespace: string): Response {
    const name = pod.metadata?.name ?? '';
    if (this.#created.has(name)) return status(409, 'AlreadyExists', `pods "${name}" already exists`);
    const running: Pod = {
      ...pod,
      metadata: { ...pod.metadata, namespace, uid: `uid-${name}`, resourceVersion: String(++this.#version) },
      status: {
        phase: 'Running',
        startTime: '2026-01-01T00:00:00Z',
        containerStatuses: pod.spec!.containers.map((container) => ({
          name: container.name,
          image: container.image ?? '',
          imageID: '',
          ready: true,
          restartCount: 0,
          state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
        })),
      },
    };
    this.#created.set(name, running);
    this.#tell('ADDED', running);
    return Response.json(running, { status: 201 });
  }

  #deletePod(name: string): Response {
    const pod = this.#created.get(name);
    if (pod === undefined) return status(404, 'NotFound', `pods "${name}" not found`);
    this.#created.delete(name);
    this.#tell('DELETED', {
      ...pod,
      metadata: { ...pod.metadata, resourceVersion: String(++this.#version) },
    });
    return Response.json(pod);
  }

  #tell(type: string, object: Pod): void {
    const line = `${JSON.stringify({ type, object })}\n`;
    this.#changes.push({ version: this.#version, line });
    for (const { tell } of this.#watchers) tell(line);
  }

  /** What has changed since a version, and what changes from then on. */
  #watch(since: number): Response {
    let watcher: { tell(line: string): void; end(): void };
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        watcher = {
          tell: (line) => controller.enqueue(Buffer.from(line)),
          end: () => controller.error(new Error('the server ends')),
        };
        this.#watchers.add(watcher);
        for (const { version, line } of this.#changes) if (version > since) watcher.tell(line);
      },
      cancel: () => {
        this.#watchers.delete(watcher);
      },
    });
    return new Response(body, { headers: { 'content-type': 'application/json' } });
  }

  #exec(request: Request, server: Server<Session>, pod: string): Response | undefined {
    this.#count('EXEC');
    const node = this.#created.get(pod)?.spec?.nodeName;
    if (node === undefined) return status(404, 'NotFound', `pods "${pod}" not found`);
    const headers = { 'Sec-WebSocket-Protocol': 'v5.channel.k8s.io' };
    const argv = new URL(request.url).searchParams.getAll('command');
    if (server.upgrade(request, { headers, data: { node, argv, pending: '' } })) return undefined;
    return status(400, 'BadRequest', 'want a WebSocket');
  }

  #run(socket: ServerWebSocket<Session>): void {
    const { node, argv } = socket.data;
    const { code, stdout } = this.#options.run?.(node, argv) ?? { code: 0, stdout: '' };
    if (stdout !== '') socket.send(Buffer.concat([Buffer.from([STDOUT]), Buffer.from(stdout)]));
    const causes = [{ reason: 'ExitCode', message: String(code) }];
    const end =
      code === 0
        ? { status: 'Success' }
        : {
            status: 'Failure',
            reason: 'NonZeroExitCode',
            message: `exit status ${code}`,
            details: { causes },
          };
    socket.send(Buffer.concat([Buffer.from([ERROR]), Buffer.from(JSON.stringify(end))]));
    socket.close(1000);
  }

  #take(socket: ServerWebSocket<Session>, message: Buffer): void {
    if (message[0] !== STDIN) return;
    const { data } = socket;
    const lines = `${data.pending}${message.toString('utf8', 1)}`.split('\n');
    data.pending = lines.pop()!;
    for (const line of lines) void this.#answer(socket, line);
  }

  async #answer(socket: ServerWebSocket<Session>, line: string): Promise<void> {
    const { id, request } = JSON.parse(line) as { id: number; request: NodeRequest };
    this.#count(`ASK ${request.do}`);
    await this.#late();
    const answer = await this.#options.answer(socket.data.node, request);
    const text =
      'value' in answer ? `{"id":${id},"value":${answer.value}}\n` : `{"id":${id},"gzip":"${answer.gzip}"}\n`;
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += PIECE)
      socket.send(Buffer.concat([Buffer.from([STDOUT]), bytes.subarray(at, at + PIECE)]));
  }

  #count(what: string): void {
    this.requests.set(what, (this.requests.get(what) ?? 0) + 1);
  }

  async #late(): Promise<void> {
    const { latencyMs = 0 } = this.#options;
    if (latencyMs > 0) await Bun.sleep(latencyMs);
  }
}

/** What an API server says in place of an object. */
export function status(
  code: number,
  reason: string,
  message: string,
  headers: Record<string, string> = {},
): Response {
  return Response.json(
    { kind: 'Status', status: 'Failure', code, reason, message },
    { status: code, headers },
  );
}
