import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority, issueCertificate } from '../../kube/pki.ts';
import type { GrpcTls } from '../../sys/grpc.ts';
import { EtcdClient } from './client.ts';

/** A real etcd for tests: on 127.0.0.1, with mutual TLS, its data in a temporary directory. */
export class TestEtcd {
  readonly endpoint: string;
  readonly tls: GrpcTls;
  readonly #directory: string;
  readonly #argv: string[];
  #process: ChildProcess | undefined;

  private constructor(directory: string, endpoint: string, argv: string[], tls: GrpcTls) {
    this.#directory = directory;
    this.endpoint = endpoint;
    this.#argv = argv;
    this.tls = tls;
  }

  static async start(): Promise<TestEtcd> {
    const directory = await mkdtemp(join(tmpdir(), 'etcd-'));
    const authority = await createAuthority('etcd-ca');
    const server = await issueCertificate(authority, {
      commonName: 'etcd',
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1'],
      usage: 'both',
    });
    const client = await issueCertificate(authority, { commonName: 'kube-apiserver', usage: 'client' });
    const file = (name: string) => join(directory, name);
    await writeFile(file('ca.crt'), authority.certPem);
    await writeFile(file('server.crt'), server.certPem);
    await writeFile(file('server.key'), server.keyPem, { mode: 0o600 });
    const [clientPort, peerPort] = [await freePort(), await freePort()];
    const endpoint = `https://127.0.0.1:${clientPort}`;
    const peer = `http://127.0.0.1:${peerPort}`;
    const argv = [
      ...['--name', 'test', '--data-dir', file('data')],
      ...['--listen-client-urls', endpoint, '--advertise-client-urls', endpoint],
      ...[
        '--listen-peer-urls',
        peer,
        '--initial-advertise-peer-urls',
        peer,
        '--initial-cluster',
        `test=${peer}`,
      ],
      ...['--cert-file', file('server.crt'), '--key-file', file('server.key')],
      ...['--trusted-ca-file', file('ca.crt'), '--client-cert-auth'],
    ];
    const tls = { ca: authority.certPem, cert: client.certPem, key: client.keyPem };
    const etcd = new TestEtcd(directory, endpoint, argv, tls);
    await etcd.run();
    return etcd;
  }

  client(): EtcdClient {
    return new EtcdClient({ endpoints: [this.endpoint], tls: this.tls });
  }

  /** Starts the process and waits until it answers. */
  async run(): Promise<void> {
    this.#process = spawn('etcd', this.#argv, { stdio: 'ignore' });
    const client = this.client();
    try {
      for (const end = performance.now() + 10_000; ; ) {
        try {
          await client.range({ key: Buffer.from('ready') });
          return;
        } catch (error) {
          if (performance.now() > end) throw error;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    } finally {
      client.close();
    }
  }

  /** Kills the process as a crash would and waits for its end. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    this.#process = undefined;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** A port of 127.0.0.1 without a listener at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
