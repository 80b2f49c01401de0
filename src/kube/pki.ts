import {
  createHash,
  createPrivateKey,
  generateKeyPair,
  type KeyObject,
  type KeyPairKeyObjectResult,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { promisify } from 'node:util';
import {
  DER_TRUE,
  derBits,
  derInteger,
  derOctets,
  derOid,
  derParts,
  derSequence,
  derSet,
  derTime,
  derUtf8,
  derValue,
} from '../util/der.ts';
import { parseIp } from '../util/ip.ts';

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

const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 3650;
const LEAF_DAYS = 365;
/** A certificate is valid from a little before it was made: clocks of two machines differ. */
const BACKDATE_MS = 5 * 60_000;

// Object identifiers: RFC 5280, 4.2 and appendix A; RFC 5758, 3.2.
const ECDSA_WITH_SHA256 = derSequence(derOid('1.2.840.10045.4.3.2'));
const COMMON_NAME = '2.5.4.3';
const ORGANIZATION = '2.5.4.10';
const EXTENSION = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
} as const;
const SERVER_AUTH = derOid('1.3.6.1.5.5.7.3.1');
const CLIENT_AUTH = derOid('1.3.6.1.5.5.7.3.2');
const PURPOSES = {
  server: [SERVER_AUTH],
  client: [CLIENT_AUTH],
  both: [SERVER_AUTH, CLIENT_AUTH],
} as const;

/** The bits of KeyUsage that are set, and how many bits of the byte follow the last: RFC 5280, 4.2.1.3. */
const DIGITAL_SIGNATURE = derBits(Buffer.from([0b1000_0000]), 7);
const SIGNATURE_AND_CERTIFICATES = derBits(Buffer.from([0b1000_0110]), 1);

/** What is signed of a certificate, apart from what all have alike. */
interface Leaf {
  /** DER, as the names below. */
  issuer: Buffer;
  subject: Buffer;
  notBefore: Date;
  notAfter: Date;
  publicKey: KeyObject;
  extensions: readonly Buffer[];
}

/** Makes a new authority: ECDSA P-256, self-signed, ten years, may sign leaves but no further authorities. */
export async function createAuthority(commonName: string): Promise<Authority> {
  const { privateKey, publicKey } = await generateKeys();
  const name = nameOf({ commonName });
  const certPem = signed(privateKey, {
    issuer: name,
    subject: name,
    ...lifetime(AUTHORITY_DAYS),
    publicKey,
    extensions: [
      extension('basicConstraints', derSequence(DER_TRUE, derInteger(Buffer.from([0]))), 'critical'),
      extension('keyUsage', SIGNATURE_AND_CERTIFICATES, 'critical'),
      extension('subjectKeyIdentifier', derOctets(keyIdentifier(publicKey))),
    ],
  });
  return { certPem, keyPem: privatePem(privateKey) };
}

/**
 * Issues a leaf certificate with a new key. Names go into subjectAltName, where Go's x509 looks for them (it ignores the
 * common name). Rejects when `authority` cannot be parsed or an address is invalid.
 */
export async function issueCertificate(
  authority: Authority,
  request: CertificateRequest,
): Promise<KeyedCertificate> {
  const issuer = new X509Certificate(authority.certPem);
  const { privateKey, publicKey } = await generateKeys();
  const { notBefore, notAfter } = lifetime(request.days ?? LEAF_DAYS);
  const names = subjectAltNames(request);
  const certPem = signed(createPrivateKey(authority.keyPem), {
    issuer: subjectNameOf(issuer),
    subject: nameOf(request),
    notBefore: new Date(Math.max(notBefore.getTime(), Date.parse(issuer.validFrom))),
    notAfter: new Date(Math.min(notAfter.getTime(), Date.parse(issuer.validTo))),
    publicKey,
    extensions: [
      extension('basicConstraints', derSequence(), 'critical'),
      extension('keyUsage', DIGITAL_SIGNATURE, 'critical'),
      extension('extendedKeyUsage', derSequence(...PURPOSES[request.usage])),
      extension('subjectKeyIdentifier', derOctets(keyIdentifier(publicKey))),
      ...(names.length === 0 ? [] : [extension('subjectAltName', derSequence(...names))]),
      extension('authorityKeyIdentifier', derSequence(derValue(0x80, keyIdentifier(issuer.publicKey)))),
    ],
  });
  return { certPem, keyPem: privatePem(privateKey) };
}

/** A certificate of version 3, PEM. Source: RFC 5280, 4.1. */
function signed(key: KeyObject, leaf: Leaf): string {
  const body = derSequence(
    derValue(0xa0, derInteger(Buffer.from([2]))),
    derInteger(serialNumber()),
    ECDSA_WITH_SHA256,
    leaf.issuer,
    derSequence(derTime(leaf.notBefore), derTime(leaf.notAfter)),
    leaf.subject,
    spkiOf(leaf.publicKey),
    derValue(0xa3, derSequence(...leaf.extensions)),
  );
  return pem('CERTIFICATE', derSequence(body, ECDSA_WITH_SHA256, derBits(sign('sha256', body, key))));
}

function extension(name: keyof typeof EXTENSION, value: Buffer, critical?: 'critical'): Buffer {
  return derSequence(
    derOid(EXTENSION[name]),
    ...(critical === undefined ? [] : [DER_TRUE]),
    derOctets(value),
  );
}

/** The DNS names and addresses of a request, as GeneralNames. */
function subjectAltNames({ dnsNames = [], ipAddresses = [] }: CertificateRequest): Buffer[] {
  return [
    ...dnsNames.map((name) => derValue(0x82, Buffer.from(name, 'latin1'))),
    ...ipAddresses.map((text) => {
      const ip = parseIp(text);
      if (ip === undefined) throw new Error(`cannot issue a certificate for ${text}: not an IP address`);
      return derValue(0x87, Buffer.from(ip.bytes));
    }),
  ];
}

function nameOf({
  commonName,
  organizations = [],
}: Pick<CertificateRequest, 'commonName' | 'organizations'>): Buffer {
  const part = (type: string, text: string) => derSet(derSequence(derOid(type), derUtf8(text)));
  return derSequence(...organizations.map((each) => part(ORGANIZATION, each)), part(COMMON_NAME, commonName));
}

/** The subject of a certificate as it is written there: names are compared byte by byte. */
function subjectNameOf({ raw }: X509Certificate): Buffer {
  const [body] = derParts(raw);
  const [, , , , , subject] = derParts(body!);
  return subject!;
}

/** RFC 5280, 4.2.1.2, method 1: SHA-1 of the key's bits, which are the last part of its SubjectPublicKeyInfo. */
function keyIdentifier(key: KeyObject): Buffer {
  const bits = derParts(spkiOf(key)).at(-1)!;
  // Tag, length and the number of unused bits are one byte each.
  return createHash('sha1').update(bits.subarray(3)).digest();
}

function spkiOf(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' });
}

/** A key pair that signs service-account tokens (ES256): PKCS #8 and SubjectPublicKeyInfo, PEM. */
export async function createServiceAccountKeys(): Promise<{ privatePem: string; publicPem: string }> {
  const { privateKey, publicKey } = await generateKeys();
  return { privatePem: privatePem(privateKey), publicPem: pem('PUBLIC KEY', spkiOf(publicKey)) };
}

function lifetime(days: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - BACKDATE_MS), notAfter: new Date(now + days * DAY_MS) };
}

/** 127 random bits: positive in DER, and never the same twice (RFC 5280, 4.1.2.2). */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0]! & 0x3f) | 0x40;
  return bytes;
}

function generateKeys(): Promise<KeyPairKeyObjectResult> {
  return promisify(generateKeyPair)('ec', { namedCurve: 'P-256' });
}

function privatePem(key: KeyObject): string {
  return pem('PRIVATE KEY', key.export({ type: 'pkcs8', format: 'der' }));
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').replace(/.{1,64}/g, '$&\n');
  return `-----BEGIN ${label}-----\n${lines}-----END ${label}-----\n`;
}
