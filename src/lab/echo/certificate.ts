import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import {
  derBits,
  derInteger,
  derOctets,
  derOid,
  derSequence,
  derSet,
  derTime,
  derUtf8,
  derValue,
} from '../../util/der.ts';

/** A certificate and its key, PEM. */
export interface SelfSigned {
  certPem: string;
  keyPem: string;
}

const ECDSA_WITH_SHA256 = derSequence(derOid('1.2.840.10045.4.3.2'));
const COMMON_NAME = derOid('2.5.4.3');
const SUBJECT_ALT_NAME = derOid('2.5.29.17');
const YEAR_MS = 365 * 86_400_000;

/** Makes a self-signed ECDSA P-256 certificate for these DNS names and IPv4 addresses, valid for ten years. */
export function selfSignedCertificate(commonName: string, names: readonly string[], now: Date): SelfSigned {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const name = derSequence(derSet(derSequence(COMMON_NAME, derUtf8(commonName))));
  const alternatives = names.map((text) =>
    isIP(text) === 4 ? ipName(text) : derValue(0x82, Buffer.from(text)),
  );
  const extension = derSequence(SUBJECT_ALT_NAME, derOctets(derSequence(...alternatives)));
  const serial = randomBytes(16);
  // Positive and not zero: the first bits are 01.
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  const body = derSequence(
    derValue(0xa0, derInteger(Buffer.from([2]))),
    derInteger(serial),
    ECDSA_WITH_SHA256,
    name,
    derSequence(
      derTime(new Date(now.getTime() - 3_600_000)),
      derTime(new Date(now.getTime() + 10 * YEAR_MS)),
    ),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    derValue(0xa3, derSequence(extension)),
  );
  const certificate = derSequence(body, ECDSA_WITH_SHA256, derBits(sign('sha256', body, privateKey)));
  const base64 = certificate.toString('base64').replace(/.{1,64}/g, '$&\n');
  return {
    certPem: `-----BEGIN CERTIFICATE-----\n${base64}-----END CERTIFICATE-----\n`,
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}

function ipName(address: string): Buffer {
  return derValue(0x87, Buffer.from(address.split('.').map(Number)));
}
