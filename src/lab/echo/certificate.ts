import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';

/** A certificate and its key, PEM. */
export interface SelfSigned {
  certPem: string;
  keyPem: string;
}

// The X.509 classes that issue the cluster's certificates take 13 MB and 55 ms, more than all the rest of an echo server,
// in every pod. One self-signed leaf is a dozen DER values (RFC 5280, 4.1), so it is put together here.

const OID = {
  commonName: '0603550403',
  subjectAltName: '0603551d11',
  ecdsaWithSha256: '06082a8648ce3d040302',
} as const;
const YEAR_MS = 365 * 86_400_000;

/** Makes a self-signed ECDSA P-256 certificate for these DNS names and IPv4 addresses, valid for ten years. */
export function selfSignedCertificate(commonName: string, names: readonly string[], now: Date): SelfSigned {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(Buffer.from(OID.ecdsaWithSha256, 'hex'));
  const attribute = sequence(Buffer.from(OID.commonName, 'hex'), value(0x0c, Buffer.from(commonName)));
  const name = sequence(value(0x31, attribute));
  const alternatives = names.map((text) =>
    isIP(text) === 4 ? ipName(text) : value(0x82, Buffer.from(text)),
  );
  const extension = sequence(Buffer.from(OID.subjectAltName, 'hex'), value(0x04, sequence(...alternatives)));
  const serial = randomBytes(16);
  // Positive and not zero: the first bits are 01.
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  const body = sequence(
    value(0xa0, value(0x02, Buffer.from([2]))),
    value(0x02, serial),
    algorithm,
    name,
    sequence(time(new Date(now.getTime() - 3_600_000)), time(new Date(now.getTime() + 10 * YEAR_MS))),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    value(0xa3, sequence(extension)),
  );
  const signature = Buffer.concat([Buffer.from([0]), sign('sha256', body, privateKey)]);
  const certificate = sequence(body, algorithm, value(0x03, signature));
  const base64 = certificate.toString('base64').replace(/.{1,64}/g, '$&\n');
  return {
    certPem: `-----BEGIN CERTIFICATE-----\n${base64}-----END CERTIFICATE-----\n`,
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

/** One DER value: tag, length, content. */
function value(tag: number, content: Buffer): Buffer {
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  // DER wants the shortest form.
  const bytes = content.length < 0x100 ? [content.length] : [content.length >> 8, content.length & 0xff];
  return Buffer.concat([Buffer.from([tag, 0x80 | bytes.length, ...bytes]), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return value(0x30, Buffer.concat(parts));
}

function ipName(address: string): Buffer {
  return value(0x87, Buffer.from(address.split('.').map(Number)));
}

/** GeneralizedTime from 2050 on, UTCTime before: RFC 5280, 4.1.2.5. */
function time(date: Date): Buffer {
  const digits = date
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replace(/[-:T]/g, '');
  return date.getUTCFullYear() >= 2050
    ? value(0x18, Buffer.from(digits))
    : value(0x17, Buffer.from(digits.slice(2)));
}
