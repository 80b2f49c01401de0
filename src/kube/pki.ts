import { randomBytes } from 'node:crypto';
import type { Extension, JsonGeneralName } from '@peculiar/x509';

/** A certificate and its private key (PKCS #8), both PEM. */
export interface KeyedCertificate {
  certPem: string;
  keyPem: string;
}

/** A certificate authority: its own certificate, and the key that signs with it. */
export type Authority = KeyedCertificate;

export interface CertificateRequest {
  /** Subject CN: the user name when an API server reads it from a client certificate. */
  commonName: string;
  /** Subject O, one RDN each: the groups of that user. */
  organizations?: readonly string[];
  dnsNames?: readonly string[];
  /** Textual IPv4 or IPv6 addresses. */
  ipAddresses?: readonly string[];
  /** Which side of a TLS connection may show it (extended key usage). */
  usage: 'server' | 'client' | 'both';
  /** Life in days from now; the authority's own end comes first where it is earlier. Default 365, as kubeadm's. */
  days?: number;
}

const KEY_ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const SIGNING_ALGORITHM = { ...KEY_ALGORITHM, hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 3650;
const LEAF_DAYS = 365;
/**
 * Certificates and tokens are valid from a day before they were made: clocks of two machines differ, and one that was wrong, by a time zone for
 * instance, is set back while they are in use.
 */
export const BACKDATE_MS = DAY_MS;

/** Loaded on first use: a program that never issues a certificate must not pay for the ASN.1 classes at its start. */
async function x509() {
  // The library's dependency injection asks for the Reflect metadata API before anything else is loaded.
  await import('@abraham/reflection');
  return await import('@peculiar/x509');
}

/** Makes a new authority: ECDSA P-256, self-signed, ten years, may sign leaves but no further authorities. */
export async function createAuthority(commonName: string): Promise<Authority> {
  const lib = await x509();
  const keys = await generateKeys();
  const certificate = await lib.X509CertificateGenerator.createSelfSigned({
    ...lifetime(AUTHORITY_DAYS),
    serialNumber: serialNumber(),
    name: [{ CN: [commonName] }],
    keys,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      new lib.BasicConstraintsExtension(true, 0, true),
      new lib.KeyUsagesExtension(
        lib.KeyUsageFlags.digitalSignature | lib.KeyUsageFlags.keyCertSign | lib.KeyUsageFlags.cRLSign,
        true,
      ),
      await lib.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certPem: pemLine(certificate.toString('pem')), keyPem: await privatePem(keys.privateKey) };
}

/**
 * Issues a leaf certificate with a new key. Names go into subjectAltName, where Go's x509 looks for them (it ignores the
 * common name). Rejects when `authority` cannot be parsed or an address is invalid.
 */
export async function issueCertificate(
  authority: Authority,
  request: CertificateRequest,
): Promise<KeyedCertificate> {
  const lib = await x509();
  const issuer = new lib.X509Certificate(authority.certPem);
  const signingKey = await importPrivateKey(authority.keyPem);
  const keys = await generateKeys();
  const { notBefore, notAfter } = lifetime(request.days ?? LEAF_DAYS);
  const certificate = await lib.X509CertificateGenerator.create({
    notBefore: new Date(Math.max(notBefore.getTime(), issuer.notBefore.getTime())),
    notAfter: new Date(Math.min(notAfter.getTime(), issuer.notAfter.getTime())),
    serialNumber: serialNumber(),
    subject: subjectOf(request),
    issuer: issuer.subjectName.toJSON(),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: SIGNING_ALGORITHM,
    extensions: [
      ...(await leafExtensions(request, keys)),
      await lib.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return { certPem: pemLine(certificate.toString('pem')), keyPem: await privatePem(keys.privateKey) };
}

/** A key pair that signs service-account tokens (ES256): PKCS #8 and SubjectPublicKeyInfo, PEM. */
export async function createServiceAccountKeys(): Promise<{ privatePem: string; publicPem: string }> {
  const keys = await generateKeys();
  const spki = await crypto.subtle.exportKey('spki', keys.publicKey);
  return { privatePem: await privatePem(keys.privateKey), publicPem: pem('PUBLIC KEY', spki) };
}

async function leafExtensions(request: CertificateRequest, keys: CryptoKeyPair): Promise<Extension[]> {
  const lib = await x509();
  const { serverAuth, clientAuth } = lib.ExtendedKeyUsage;
  const usages = { server: [serverAuth], client: [clientAuth], both: [serverAuth, clientAuth] };
  const names: JsonGeneralName[] = [
    ...(request.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
    ...(request.ipAddresses ?? []).map((value) => ({ type: 'ip' as const, value })),
  ];
  return [
    new lib.BasicConstraintsExtension(false, undefined, true),
    new lib.KeyUsagesExtension(lib.KeyUsageFlags.digitalSignature, true),
    new lib.ExtendedKeyUsageExtension(usages[request.usage]),
    await lib.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ...(names.length === 0 ? [] : [new lib.SubjectAlternativeNameExtension(names)]),
  ];
}

function subjectOf(request: Pick<CertificateRequest, 'commonName' | 'organizations'>) {
  return [...(request.organizations ?? []).map((o) => ({ O: [o] })), { CN: [request.commonName] }];
}

function lifetime(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - BACKDATE_MS), notAfter: new Date(now + days * DAY_MS) };
}

/** 127 random bits: positive in DER, and never the same twice (RFC 5280, 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes.toString('hex');
}

function generateKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(KEY_ALGORITHM, true, ['sign', 'verify']) as Promise<CryptoKeyPair>;
}

function importPrivateKey(keyPem: string): Promise<CryptoKey> {
  const base64 = keyPem.replace(/-----[A-Z ]+-----/g, '').replace(/\s/g, '');
  return crypto.subtle.importKey('pkcs8', Buffer.from(base64, 'base64'), KEY_ALGORITHM, false, ['sign']);
}

async function privatePem(key: CryptoKey): Promise<string> {
  return pem('PRIVATE KEY', await crypto.subtle.exportKey('pkcs8', key));
}

function pem(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** One line break at the end, so that PEM texts can be put after one another. */
function pemLine(text: string): string {
  return `${text.trimEnd()}\n`;
}
