import { messageOf } from '../util/errors.ts';

/**
 * Error codes of the CNI specification, section "Error". Codes of 100 and above are a plugin's own.
 * https://www.cni.dev/docs/spec/#error
 */
export const cniErrorCode = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  ioFailure: 5,
  decodingFailure: 6,
  invalidNetworkConfig: 7,
  invalidNetns: 8,
  tryAgainLater: 11,
  pluginNotAvailable: 50,
  limitedConnectivity: 51,
  internal: 999,
} as const;

/** An error as a plugin prints it and a runtime reads it. */
export interface CniErrorDocument {
  cniVersion?: string;
  code: number;
  msg: string;
  details?: string;
}

/** A failure of a CNI operation with the code that a runtime acts on (11: try again later). */
export class CniError extends Error {
  readonly code: number;
  readonly details: string;

  constructor(code: number, message: string, details = '', options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'CniError';
    this.code = code;
    this.details = details;
  }

  /** The document for standard output. `cniVersion` is left out when the configuration's could not be read. */
  toDocument(cniVersion?: string): CniErrorDocument {
    return {
      ...(cniVersion === undefined ? {} : { cniVersion }),
      code: this.code,
      msg: this.message,
      ...(this.details === '' ? {} : { details: this.details }),
    };
  }
}

/** Error 7, the network configuration is not valid. */
export function invalidConfig(message: string, details = ''): CniError {
  return new CniError(cniErrorCode.invalidNetworkConfig, message, details);
}

/** An error as libcni prints that of a plugin, in one line. */
export function cniErrorText(error: unknown): string {
  if (!(error instanceof CniError)) return messageOf(error);
  return error.details === '' ? error.message : `${error.message}; ${error.details}`;
}
