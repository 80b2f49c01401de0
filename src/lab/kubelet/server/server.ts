import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { RuntimeError } from '../../../cri/runtime.ts';
import type { Pod } from '../../../kube/types.ts';
import { messageOf } from '../../../util/errors.ts';
import { METRICS_TYPE } from '../../../util/prometheus.ts';
import { containerLogs } from './container-logs.ts';
import { HttpError } from './http-error.ts';
import { kubeletMetrics } from './metrics.ts';
import type { Served } from './served.ts';
import { forwardUpgrade } from './upgrade.ts';

export interface ServerOptions {
  port: number;
  certFile: string;
  keyFile: string;
  /** Only holders of a certificate of this CA are served. */
  clientCaFile: string;
  /** Default: every address. */
  host?: string;
  log: (line: string) => void;
}

/**
 * The kubelet's own API, which the API server calls for `kubectl logs`, `exec`, `attach` and `port-forward`: paths as the
 * kubelet has always had them. exec, attach and portForward are answered by the runtime's streaming server; the upgrade and
 * then the bytes are passed on, whatever protocol they speak.
 */
export async function serveKubelet(
  kubelet: Served,
  options: ServerOptions,
): Promise<{ port: number; close(): void }> {
  const [cert, key, ca] = await Promise.all(
    [options.certFile, options.keyFile, options.clientCaFile].map((path) => readFile(path, 'utf8')),
  );
  const server = createServer(
    { cert, key, ca, requestCert: true, rejectUnauthorized: true },
    (request, response) => {
      answer(kubelet, request, response).catch((error) => refuse(response, error));
    },
  );
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgrade(kubelet, request, socket, head).catch((error) => {
      options.log(`${request.method} ${request.url}: ${messageOf(error)}`);
      const { status, message } = asHttpError(error);
      socket.end(
        `HTTP/1.1 ${status} ${status === 404 ? 'Not Found' : 'Error'}\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(message)}\r\nConnection: close\r\n\r\n${message}`,
      );
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host ?? '0.0.0.0', resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(kubelet: Served, request: IncomingMessage, response: ServerResponse): Promise<void> {
  authorize(request);
  const url = new URL(request.url ?? '/', 'https://kubelet');
  const [, route, namespace, name, container] = url.pathname.split('/').map(decodeURIComponent);
  if (url.pathname === '/healthz') {
    response.writeHead(200, { 'content-type': 'text/plain' }).end('ok');
    return;
  }
  if (url.pathname === '/metrics') {
    response.writeHead(200, { 'content-type': METRICS_TYPE }).end(await kubeletMetrics(kubelet));
    return;
  }
  if (url.pathname === '/pods' || url.pathname === '/pods/') {
    const body = JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items: kubelet.pods() });
    response.writeHead(200, { 'content-type': 'application/json' }).end(body);
    return;
  }
  if (route === 'containerLogs' && container !== undefined) {
    const pod = findPod(kubelet, namespace, name, undefined);
    await containerLogs(kubelet, pod, container, url.searchParams, request, response);
    return;
  }
  if (route === 'exec' || route === 'attach' || route === 'portForward') {
    throw new HttpError(400, `${route}: the request has no Upgrade header`);
  }
  throw new HttpError(404, `no such path: ${url.pathname}`);
}

async function upgrade(
  kubelet: Served,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  authorize(request);
  const target = new URL(await streamingUrl(kubelet, request));
  await forwardUpgrade(request, socket, head, target, connect);
}

/** Where the runtime serves this exec, attach or port-forward. */
async function streamingUrl(kubelet: Served, request: IncomingMessage): Promise<string> {
  const url = new URL(request.url ?? '/', 'https://kubelet');
  const parts = url.pathname.split('/').slice(1).map(decodeURIComponent);
  const [route, namespace, name] = parts;
  const query = url.searchParams;
  const flag = (...names: string[]) => names.some((key) => ['1', 'true'].includes(query.get(key) ?? ''));
  const streams = {
    stdin: flag('input', 'stdin'),
    stdout: flag('output', 'stdout'),
    stderr: flag('error', 'stderr'),
    tty: flag('tty'),
  };
  // With a terminal both outputs are one, and the runtime refuses to be asked for the second.
  if (streams.tty) streams.stderr = false;
  if (route === 'portForward' && name !== undefined) {
    const pod = findPod(kubelet, namespace, name, parts[3]);
    const id = await kubelet.sandboxId(pod);
    if (id === undefined) throw new HttpError(500, `pod ${name} has no sandbox that is ready`);
    const ports = [...query.getAll('port'), ...query.getAll('ports')]
      .flatMap((text) => text.split(','))
      .map(Number);
    return await kubelet.runtime.portForward(id, ports);
  }
  const container = parts.at(-1);
  if ((route !== 'exec' && route !== 'attach') || container === undefined || parts.length < 4) {
    throw new HttpError(404, `no such path: ${url.pathname}`);
  }
  const pod = findPod(kubelet, namespace, name, parts.length > 4 ? parts[3] : undefined);
  const [run] = await kubelet.containerRuns(pod, container);
  if (run?.state !== 'running')
    throw new HttpError(404, `container not found (${JSON.stringify(container)})`);
  if (route === 'attach') return await kubelet.runtime.attach(run.id, streams);
  return await kubelet.runtime.exec(run.id, query.getAll('command'), streams);
}

function findPod(
  kubelet: Served,
  namespace: string | undefined,
  name: string | undefined,
  uid: string | undefined,
): Pod {
  const pod = kubelet
    .pods()
    .find(
      ({ metadata }) =>
        metadata?.namespace === namespace &&
        metadata?.name === name &&
        (uid === undefined || metadata?.uid === uid),
    );
  if (pod === undefined)
    throw new HttpError(404, `pod ${JSON.stringify(`${namespace}/${name}`)} does not exist`);
  return pod;
}

/** The handshake has refused everybody without a certificate of the CA; this is the second lock on that door. */
function authorize(request: IncomingMessage): void {
  if ((request.socket as TLSSocket).authorized !== true) {
    throw new HttpError(401, 'Unauthorized: a client certificate of the cluster is required');
  }
}

function asHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof RuntimeError && error.code === 'NotFound') return new HttpError(404, error.message);
  return new HttpError(500, messageOf(error));
}

function refuse(response: ServerResponse, error: unknown): void {
  const { status, message } = asHttpError(error);
  if (response.headersSent) response.destroy();
  else response.writeHead(status, { 'content-type': 'text/plain' }).end(message);
}
