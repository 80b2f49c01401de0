import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:https';
import { parseArgs } from 'node:util';
import { realClock } from '../../sys/clock.ts';
import { parseIPv4 } from '../../util/address.ts';
import { Backoff } from '../../util/backoff.ts';
import { parseSubnet, type Subnet } from '../../util/cidr.ts';
import { formatEndpoint } from '../../util/endpoint.ts';
import { messageOf, UserError } from '../../util/errors.ts';
import { EtcdClient } from '../etcd/client.ts';
import { ClusterAdmission } from './admission.ts';
import { ApiServer } from './api-server.ts';
import { Authenticator } from './authenticator.ts';
import { Authorizer } from './authorizer.ts';
import { bootstrap } from './bootstrap.ts';
import { compactPeriodically } from './compaction.ts';
import { CustomKinds } from './custom-kinds.ts';
import { EscalationCheck } from './escalation-check.ts';
import { EtcdStorage } from './etcd-storage.ts';
import { KubeletProxy } from './kubelet-proxy.ts';
import { NodeAuthorizer } from './node-authorizer.ts';
import { NodeRestriction } from './node-restriction.ts';
import { ROOT } from './objects.ts';
import { RbacAuthorizer } from './rbac-authorizer.ts';
import { ResourceHandler } from './resource-handler.ts';
import { ResourceStore } from './resource-store.ts';
import { ReviewHandler } from './reviews.ts';
import { ServiceAccountTokens } from './service-account-tokens.ts';
import { firstAddress } from './service-addresses.ts';
import type { Storage } from './storage.ts';
import { SubresourceHandler } from './subresource-handler.ts';
import { parseTokenFile } from './token-file.ts';
import { WatchHub } from './watch-hub.ts';

/** A server's settings with every file already read. */
export interface ServerConfig {
  bindAddress: string;
  /** 0: one that is free. */
  securePort: number;
  advertiseAddress: string;
  serviceRange: Subnet;
  certificate: string;
  privateKey: string;
  tokenFile?: { text: string; path: string };
  serviceAccounts?: { issuer: string; signingKey: string; publicKeys: string[] };
  kubeletCredentials?: { cert: string; key: string; ca: string };
  compactionIntervalMs: number;
}

/** A server that is listening. */
export interface RunningServer {
  readonly port: number;
  /** Resolves when every decision can be made and what a cluster starts with is there. */
  readonly ready: Promise<void>;
  /** Ends watches, lets requests under way finish for `graceMs`, then closes everything, storage included. */
  stop(graceMs?: number): Promise<void>;
}

const STOP_GRACE_MS = 2000;
const START_RETRY_MS = 50;
const START_RETRY_MAX_MS = 2000;

/**
 * `kube-apiserver`: serves the Kubernetes API from etcd. Runs until SIGTERM or SIGINT, then answers 0. Flags are those of
 * the daemon it stands for, as far as there are any in docs/architecture.md.
 */
export async function main(argv: string[]): Promise<number> {
  const { values } = parseArgs({ args: argv, options: FLAGS, strict: true });
  const config = await readConfig(values);
  const [cafile, certfile, keyfile] = [
    values['etcd-cafile'],
    values['etcd-certfile'],
    values['etcd-keyfile'],
  ];
  const tls =
    cafile === undefined || certfile === undefined || keyfile === undefined
      ? undefined
      : {
          ca: await readFlag('etcd-cafile', cafile),
          cert: await readFlag('etcd-certfile', certfile),
          key: await readFlag('etcd-keyfile', keyfile),
        };
  const endpoints = (values['etcd-servers'] ?? '').split(',').filter((url) => url !== '');
  if (endpoints.length === 0) throw new UserError('kube-apiserver: --etcd-servers is required');
  if (tls === undefined && endpoints.some((url) => url.startsWith('https:'))) {
    throw new UserError(
      'kube-apiserver: https etcd servers need --etcd-cafile, --etcd-certfile and --etcd-keyfile',
    );
  }
  const storage = new EtcdStorage(new EtcdClient({ endpoints, tls }));
  const server = await serve(config, storage, log);
  const stopped = Promise.withResolvers<void>();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stopped.resolve());
  server.ready.then(
    () => log(`ready on port ${server.port}`),
    (error) => log(`start failed: ${messageOf(error)}`),
  );
  await stopped.promise;
  log('stopping');
  await server.stop();
  return 0;
}

/** Starts a server over any storage. Rejects when the port cannot be listened on. */
export async function serve(
  config: ServerConfig,
  storage: Storage,
  onLog: (line: string) => void,
): Promise<RunningServer> {
  const onError = (error: unknown) => onLog(messageOf(error));
  const hub = new WatchHub({ storage, prefix: ROOT, onError });
  const admission = new ClusterAdmission({ storage, serviceRange: config.serviceRange });
  const store = new ResourceStore({ storage, admission });
  const tokens =
    config.serviceAccounts === undefined
      ? undefined
      : new ServiceAccountTokens({ storage, ...config.serviceAccounts });
  const { tokenFile } = config;
  const staticTokens = tokenFile === undefined ? new Map() : parseTokenFile(tokenFile.text, tokenFile.path);
  const authenticator = new Authenticator(staticTokens, tokens);
  const nodes = new NodeAuthorizer({ storage, hub, onError });
  const rbac = new RbacAuthorizer({ storage, hub, onError });
  const authorizer = new Authorizer(nodes, rbac);
  const kinds = new CustomKinds({ storage, hub, store, onError });
  const kubelets = new KubeletProxy(config.kubeletCredentials, onLog);
  let ready = false;
  const becameReady = Promise.withResolvers<void>();
  let stopping = false;
  const ping = async () => void (await storage.get(ROOT));
  const unlessReady = (problem: string) => () => {
    if (!ready) throw new Error(problem);
  };
  const api = new ApiServer({
    authenticator,
    authorizer,
    nodeRestriction: new NodeRestriction({ storage, authorizer }),
    escalation: new EscalationCheck({ storage, authorizer }),
    resources: new ResourceHandler(store, hub),
    subresources: new SubresourceHandler({ store, tokens, kubelets }),
    reviews: new ReviewHandler(authenticator, authorizer, rbac),
    kinds,
    kubelets,
    tokens,
    serverAddress: formatEndpoint({ address: config.advertiseAddress, port: config.securePort }),
    health: [
      { name: 'ping', check() {} },
      { name: 'etcd', check: ping },
      { name: 'etcd-readiness', check: ping, readinessOnly: true },
      {
        name: 'informer-sync',
        check: unlessReady('roles and nodes have not been read'),
        readinessOnly: true,
      },
      ...['start-system-namespaces-controller', 'rbac/bootstrap-roles', 'bootstrap-controller'].map(
        (hook) => ({
          name: `poststarthook/${hook}`,
          check: unlessReady('not finished'),
        }),
      ),
      {
        name: 'shutdown',
        check() {
          if (stopping) throw new Error('process is shutting down');
        },
        readinessOnly: true,
      },
    ],
    isReady: () => ready && !stopping,
    ready: becameReady.promise,
    log: onLog,
  });
  const server = createServer({
    cert: config.certificate,
    key: config.privateKey,
  });
  // Watches and followed logs last: no request may be ended for the time it takes.
  server.requestTimeout = 0;
  server.on('request', (request, response) => void api.handle(request, response));
  server.on('upgrade', (request, socket, head) => void api.upgrade(request, socket, head));
  const port = await listen(server, config.bindAddress, config.securePort);

  const compaction = new AbortController();
  const start = async () => {
    await retryUntil(
      async () => hub.start((await storage.get(ROOT)).revision),
      () => stopping,
      onError,
    );
    if (stopping) return;
    await retryUntil(
      async () => {
        const serviceAddress = firstAddress(config.serviceRange);
        await Promise.all([
          rbac.start(),
          nodes.start(),
          kinds.start(),
          bootstrap({
            store,
            storage,
            advertiseAddress: config.advertiseAddress,
            securePort: port,
            serviceAddress,
          }),
        ]);
        await hub.caughtUp((await storage.get(ROOT)).revision, AbortSignal.timeout(5000));
      },
      () => stopping,
      onError,
    );
    ready = true;
    becameReady.resolve();
    void compactPeriodically(storage, config.compactionIntervalMs, compaction.signal, onError);
  };
  const started = start();
  // A failure reaches whoever awaits it; while nobody does, it must not end the process.
  started.catch(() => {});

  return {
    port,
    ready: started,
    async stop(graceMs = STOP_GRACE_MS) {
      stopping = true;
      compaction.abort();
      api.stop();
      rbac.stop();
      nodes.stop();
      kinds.stop();
      hub.stop();
      await closeServer(server, graceMs);
      storage.close();
    },
  };
}

async function retryUntil(
  attempt: () => Promise<void>,
  isOver: () => boolean,
  onError: (error: unknown) => void,
): Promise<void> {
  const backoff = new Backoff(START_RETRY_MS, START_RETRY_MAX_MS);
  while (!isOver()) {
    try {
      return await attempt();
    } catch (error) {
      onError(error);
      await realClock.sleep(backoff.next(''));
    }
  }
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const where = formatEndpoint({ address: host, port });
      reject(new UserError(`kube-apiserver: cannot listen on ${where}: ${cause.message}`, { cause }));
    });
    server.listen(port, host, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

function closeServer(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.closeAllConnections();
      resolve();
    }, graceMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}

const FLAGS = {
  'bind-address': { type: 'string', default: '0.0.0.0' },
  'secure-port': { type: 'string', default: '6443' },
  'advertise-address': { type: 'string' },
  'etcd-servers': { type: 'string' },
  'etcd-cafile': { type: 'string' },
  'etcd-certfile': { type: 'string' },
  'etcd-keyfile': { type: 'string' },
  'etcd-compaction-interval': { type: 'string', default: '300' },
  'tls-cert-file': { type: 'string' },
  'tls-private-key-file': { type: 'string' },
  // Taken, as every API server's command line has it, but without effect: see Authenticator.
  'client-ca-file': { type: 'string' },
  'token-auth-file': { type: 'string' },
  'service-account-key-file': { type: 'string', multiple: true },
  'service-account-signing-key-file': { type: 'string' },
  'service-account-issuer': { type: 'string', default: 'https://kubernetes.default.svc.cluster.local' },
  'service-cluster-ip-range': { type: 'string', default: '10.96.0.0/12' },
  'kubelet-client-certificate': { type: 'string' },
  'kubelet-client-key': { type: 'string' },
  'kubelet-certificate-authority': { type: 'string' },
} as const;

type Flags = ReturnType<typeof parseArgs<{ options: typeof FLAGS }>>['values'];

async function readConfig(flags: Flags): Promise<ServerConfig> {
  const required = (name: 'tls-cert-file' | 'tls-private-key-file' | 'advertise-address') => {
    const value = flags[name];
    if (value === undefined) throw new UserError(`kube-apiserver: --${name} is required`);
    return value;
  };
  const optional = async (name: keyof Flags & string) => {
    const path = flags[name];
    return typeof path === 'string' ? await readFlag(name, path) : undefined;
  };
  const port = Number(flags['secure-port']);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new UserError(`kube-apiserver: --secure-port ${flags['secure-port']}: not a port`);
  }
  const serviceRange = parseSubnet(flags['service-cluster-ip-range']);
  if (serviceRange === undefined || serviceRange.prefix > 30) {
    throw new UserError(
      `kube-apiserver: --service-cluster-ip-range ${flags['service-cluster-ip-range']}: not an IPv4 subnet of at least four addresses`,
    );
  }
  const advertiseAddress = required('advertise-address');
  if (parseIPv4(advertiseAddress) === undefined) {
    throw new UserError(`kube-apiserver: --advertise-address ${advertiseAddress}: not an IPv4 address`);
  }
  const seconds = Number(flags['etcd-compaction-interval'].replace(/s$/, ''));
  if (!(seconds >= 0)) {
    throw new UserError(
      `kube-apiserver: --etcd-compaction-interval ${flags['etcd-compaction-interval']}: not a number of seconds`,
    );
  }
  const signingKey = await optional('service-account-signing-key-file');
  const publicKeys = await Promise.all(
    (flags['service-account-key-file'] ?? []).map((path) => readFlag('service-account-key-file', path)),
  );
  const tokenPath = flags['token-auth-file'];
  const cert = await optional('kubelet-client-certificate');
  const key = await optional('kubelet-client-key');
  const ca = await optional('kubelet-certificate-authority');
  return {
    bindAddress: flags['bind-address'],
    securePort: port,
    advertiseAddress,
    serviceRange,
    certificate: await readFlag('tls-cert-file', required('tls-cert-file')),
    privateKey: await readFlag('tls-private-key-file', required('tls-private-key-file')),
    tokenFile:
      tokenPath === undefined
        ? undefined
        : { text: await readFlag('token-auth-file', tokenPath), path: tokenPath },
    serviceAccounts:
      signingKey === undefined
        ? undefined
        : { issuer: flags['service-account-issuer'], signingKey, publicKeys },
    kubeletCredentials:
      cert === undefined || key === undefined || ca === undefined ? undefined : { cert, key, ca },
    compactionIntervalMs: seconds * 1000,
  };
}

async function readFlag(name: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new UserError(`kube-apiserver: cannot read --${name} ${path}: ${messageOf(cause)}`, { cause });
  }
}

function log(line: string): void {
  process.stderr.write(`${new Date().toISOString()} kube-apiserver: ${line}\n`);
}
