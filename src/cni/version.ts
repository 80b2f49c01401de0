import { CniError, cniErrorCode, invalidConfig } from './errors.ts';

/** Every released version of the specification, oldest first. */
export const cniVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
export type CniVersion = (typeof cniVersions)[number];

/** The newest version we speak. */
export const currentCniVersion: CniVersion = '1.1.0';

export function isCniVersion(text: string): text is CniVersion {
  return (cniVersions as readonly string[]).includes(text);
}

/** Whether `version` is `minimum` or newer. */
export function isAtLeast(version: CniVersion, minimum: CniVersion): boolean {
  return cniVersions.indexOf(version) >= cniVersions.indexOf(minimum);
}

/**
 * The version of a network configuration, which an absent or empty field puts at 0.1.0 (as libcni has it).
 * A version that `supported` lacks is error 1, which names both.
 */
export function negotiateVersion(declared: unknown, supported: readonly CniVersion[]): CniVersion {
  if (declared !== undefined && declared !== null && typeof declared !== 'string') {
    throw new CniError(
      cniErrorCode.decodingFailure,
      `cniVersion must be a string, is ${JSON.stringify(declared)}`,
    );
  }
  const version = declared || '0.1.0';
  if (isCniVersion(version) && supported.includes(version)) return version;
  throw new CniError(
    cniErrorCode.incompatibleVersion,
    'incompatible CNI versions',
    `config is ${JSON.stringify(version)}, plugin supports [${supported.map((known) => JSON.stringify(known)).join(' ')}]`,
  );
}

/**
 * Compares two versions as numbers, part by part: negative, zero or positive. They need not be versions we know; an empty one is
 * 0.1.0, and missing parts are zero (libcni's ParseVersion). An invalid version is error 7.
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [versionParts(a), versionParts(b)];
  for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return left[i]! - right[i]!;
  return 0;
}

function versionParts(text: string): number[] {
  const match = /^(\d{1,9})(?:\.(\d{1,9})(?:\.(\d{1,9}))?)?$/.exec(text || '0.1.0');
  if (match === null) {
    throw invalidConfig(`invalid CNI version ${JSON.stringify(text)}`);
  }
  return match.slice(1).map((part) => Number(part ?? 0));
}
