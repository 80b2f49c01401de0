import { CniError, cniErrorCode } from './errors.ts';

/** CNI_ARGS: keys and values in the runtime's order. */
export type CniArgs = readonly (readonly [key: string, value: string])[];

/** Parses `KEY=VALUE;…`; an empty text has no pairs. A pair without key or value, or with a second `=`, is error 4 (as cnitool has it). */
export function parseCniArgs(text: string): CniArgs {
  if (text === '') return [];
  return text.split(';').map((pair) => {
    const [key, value, ...more] = pair.split('=');
    if (!key || !value || more.length > 0) {
      throw new CniError(cniErrorCode.invalidEnvironment, `invalid CNI_ARGS pair ${JSON.stringify(pair)}`);
    }
    return [key, value];
  });
}

export function formatCniArgs(args: CniArgs): string {
  return args.map(([key, value]) => `${key}=${value}`).join(';');
}
