import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import { realExec } from '../sys/exec.ts';
import {
  type Authority,
  type CertificateRequest,
  createAuthority,
  createServiceAccountKeys,
  issueCertificate,
} from './pki.ts';

let authority: Authority;
let directory: string;

beforeAll(async () => {
  authority = await createAuthority('kubernetes');
  directory = await mkdtemp(join(tmpdir(), 'pki-test-'));
});
afterAll(() => rm(directory, { recursive: true }));

async function opensslVerify(purpose: string, ca: string, leaf: string, ...extra: string[]) {
  await writeFile(join(directory, 'ca.crt'), ca);
  await writeFile(join(directory, 'leaf.crt'), leaf);
  const argv = ['openssl', 'verify', '-x509_strict', '-CAfile', 'ca.crt', '-purpose', purpose, ...extra];
  return realExec.run([...argv, 'leaf.crt'], { cwd: directory });
}

describe('issueCertificate', () => {
  const cases: { name: string; request: CertificateRequest; purposes: string[]; refused: string[] }[] = [
    {
      name: 'server',
      request: {
        commonName: 'kube-apiserver',
        usage: 'server',
        dnsNames: ['localhost'],
        ipAddresses: ['10.96.0.1', '::1'],
      },
      purposes: ['sslserver'],
      refused: ['sslclient'],
    },
    {
      name: 'client with groups',
      request: { commonName: 'admin', organizations: ['system:masters', 'other'], usage: 'client' },
      purposes: ['sslclient'],
      refused: ['sslserver'],
    },
    {
      name: 'peer',
      request: { commonName: 'etcd', usage: 'both', dnsNames: ['localhost'] },
      purposes: ['sslserver', 'sslclient'],
      refused: [],
    },
  ];
  for (const { name, request, purposes, refused } of cases) {
    test(`${name}: OpenSSL accepts it strictly for its purpose and for no other`, async () => {
      const { certPem } = await issueCertificate(authority, request);
      for (const purpose of purposes) {
        const result = await opensslVerify(purpose, authority.certPem, certPem);
        expect(result).toEqual({ code: 0, stdout: 'leaf.crt: OK\n', stderr: '' });
      }
      for (const purpose of refused) {
        const result = await opensslVerify(purpose, authority.certPem, certPem);
        expect(result.stderr).toMatch(/unsuitable certificate purpose|unsupported certificate purpose/);
      }
    });
  }

  test('names are in the subjectAltName and in no other way believed', async () => {
    const leaf = await issueCertificate(authority, cases[0]!.request);
    const match = (...check: string[]) =>
      opensslVerify('sslserver', authority.certPem, leaf.certPem, ...check);
    expect((await match('-verify_ip', '10.96.0.1')).code).toBe(0);
    expect((await match('-verify_ip', '::1')).code).toBe(0);
    expect((await match('-verify_hostname', 'localhost')).code).toBe(0);
    expect((await match('-verify_ip', '10.96.0.2')).code).not.toBe(0);
    expect((await match('-verify_hostname', 'kube-apiserver')).code).not.toBe(0);
  });

  test('subject, issuer, key and identifiers belong together', async () => {
    const leaf = await issueCertificate(authority, cases[1]!.request);
    const certificate = new X509Certificate(leaf.certPem);
    const issuer = new X509Certificate(authority.certPem);
    expect(certificate.subject).toBe('O=system:masters\nO=other\nCN=admin');
    expect(certificate.checkIssued(issuer)).toBe(true);
    expect(certificate.verify(issuer.publicKey)).toBe(true);
    expect(certificate.checkPrivateKey(createPrivateKey(leaf.keyPem))).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(issuer.ca).toBe(true);
    const text = await realExec.run(['openssl', 'x509', '-noout', '-text'], { stdin: leaf.certPem });
    for (const part of [
      'Subject Key Identifier',
      'Authority Key Identifier',
      'CA:FALSE',
      'ecdsa-with-SHA256',
    ]) {
      expect(text.stdout).toContain(part);
    }
  });

  test('a leaf never outlives its authority', async () => {
    const leaf = await issueCertificate(authority, { commonName: 'long', usage: 'client', days: 100_000 });
    expect(new X509Certificate(leaf.certPem).validTo).toBe(new X509Certificate(authority.certPem).validTo);
  });

  test('another authority of the same name does not vouch for it', async () => {
    const other = await createAuthority('kubernetes');
    const leaf = await issueCertificate(authority, cases[0]!.request);
    expect((await opensslVerify('sslserver', other.certPem, leaf.certPem)).code).not.toBe(0);
  });

  test('an invalid address is refused', async () => {
    const request: CertificateRequest = { commonName: 'x', usage: 'server', ipAddresses: ['10.0.0.256'] };
    await expect(issueCertificate(authority, request)).rejects.toThrow();
  });

  test('serves TLS, and identifies a client', async () => {
    const server = await issueCertificate(authority, {
      commonName: 'server',
      usage: 'server',
      ipAddresses: ['127.0.0.1'],
    });
    const client = await issueCertificate(authority, {
      commonName: 'system:node:kind-worker',
      organizations: ['system:nodes'],
      usage: 'client',
    });
    const listener = createServer(
      { cert: server.certPem, key: server.keyPem, ca: authority.certPem, requestCert: true },
      (socket) => socket.end(JSON.stringify([socket.authorized, socket.getPeerCertificate().subject.CN])),
    );
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = listener.address() as AddressInfo;
      const socket = connect({
        host: '127.0.0.1',
        port,
        ca: authority.certPem,
        cert: client.certPem,
        key: client.keyPem,
      });
      let body = '';
      for await (const chunk of socket) body += chunk;
      expect(JSON.parse(body)).toEqual([true, 'system:node:kind-worker']);
    } finally {
      listener.close();
    }
  });
});

test('service-account keys are one pair on P-256', async () => {
  const { privatePem, publicPem } = await createServiceAccountKeys();
  const derived = createPublicKey(createPrivateKey(privatePem)).export({ type: 'spki', format: 'pem' });
  expect(publicPem).toBe(derived as string);
  expect(createPrivateKey(privatePem).asymmetricKeyDetails?.namedCurve).toBe('prime256v1');
});

test('certificates of one authority have serial numbers of their own', async () => {
  const own = await createAuthority('kubernetes');
  const names = Array.from({ length: 15 }, (_, i) => `node-${i}`);
  const all = await Promise.all(
    names.map((name) => issueCertificate(own, { commonName: name, usage: 'both', dnsNames: [name] })),
  );
  expect(new Set(all.map((c) => new X509Certificate(c.certPem).serialNumber)).size).toBe(names.length);
});
