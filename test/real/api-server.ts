import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority, createServiceAccountKeys, issueCertificate } from '../../src/kube/pki.ts';
import { ApiAsker, TOKENS } from '../../src/lab/apiserver/test-server.fake.ts';
import { freePort, TestEtcd } from '../../src/lab/etcd/test-etcd.fake.ts';

const START_MS = 90_000;
const POLL_MS = 100;

/**
 * Kubernetes' own API server for tests: on a port of 127.0.0.1, over an etcd of its own, without controllers, nodes or a network.
 * It is set up as the lab sets up its own: the same admission, authorizers, users and service range.
 */
export class KubeApiServer extends ApiAsker {
  readonly #etcd: TestEtcd;
  readonly #directory: string;
  #process: ChildProcess | undefined;

  private constructor(url: string, caPem: string, etcd: TestEtcd, directory: string) {
    super(url, caPem);
    this.#etcd = etcd;
    this.#directory = directory;
  }

  /** Starts the program `binary` and waits until it is ready. Rejects with the end of its log when it does not get there. */
  static async start(binary: string): Promise<KubeApiServer> {
    const etcd = await TestEtcd.start();
    const directory = await mkdtemp(join(tmpdir(), 'kube-apiserver-'));
    const file = (name: string) => join(directory, name);
    const ca = await createAuthority('kubernetes');
    const names = { commonName: 'kube-apiserver', ipAddresses: ['127.0.0.1'] };
    const serving = await issueCertificate(ca, { ...names, usage: 'server' });
    const keys = await createServiceAccountKeys();
    const secrets: Record<string, string> = {
      'server.crt': serving.certPem,
      'server.key': serving.keyPem,
      'sa.key': keys.privatePem,
      'sa.pub': keys.publicPem,
      'tokens.csv': TOKENS,
      'etcd-ca.crt': `${etcd.tls.ca}`,
      'etcd.crt': `${etcd.tls.cert}`,
      'etcd.key': `${etcd.tls.key}`,
    };
    for (const [name, text] of Object.entries(secrets)) await writeFile(file(name), text, { mode: 0o600 });
    const port = await freePort();
    const server = new KubeApiServer(`https://127.0.0.1:${port}`, ca.certPem, etcd, directory);
    server.#process = spawn(
      binary,
      [
        ...['--bind-address=127.0.0.1', `--secure-port=${port}`, '--advertise-address=192.0.2.1'],
        ...[`--etcd-servers=${etcd.endpoint}`, `--etcd-cafile=${file('etcd-ca.crt')}`],
        ...[`--etcd-certfile=${file('etcd.crt')}`, `--etcd-keyfile=${file('etcd.key')}`],
        ...[`--tls-cert-file=${file('server.crt')}`, `--tls-private-key-file=${file('server.key')}`],
        ...[`--cert-dir=${directory}`, `--token-auth-file=${file('tokens.csv')}`],
        '--service-account-issuer=https://kubernetes.default.svc',
        `--service-account-key-file=${file('sa.pub')}`,
        `--service-account-signing-key-file=${file('sa.key')}`,
        ...['--service-cluster-ip-range=10.96.0.0/24', '--authorization-mode=Node,RBAC'],
        '--enable-admission-plugins=NodeRestriction',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let log = '';
    server.#process.stderr?.on('data', (chunk: Buffer) => {
      log = (log + chunk).slice(-4000);
    });
    try {
      await server.#ready();
    } catch (cause) {
      await server.stop();
      throw new Error(`${binary} did not become ready; its log ends with\n${log}`, { cause });
    }
    return server;
  }

  async #ready(): Promise<void> {
    for (const end = Date.now() + START_MS; ; ) {
      if (this.#process?.exitCode !== null)
        throw new Error(`it ended with status ${this.#process?.exitCode}`);
      const answer = await this.ask('GET', '/readyz').catch((error: unknown) => error);
      if (!(answer instanceof Error) && (answer as { status: number }).status === 200) return;
      if (Date.now() > end) throw new Error('not ready in time', { cause: answer });
      await Bun.sleep(POLL_MS);
    }
  }

  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child?.exitCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    await this.#etcd.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
