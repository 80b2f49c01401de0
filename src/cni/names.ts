import { CniError, cniErrorCode, invalidConfig } from './errors.ts';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** IFNAMSIZ less its terminating NUL. */
const MAX_INTERFACE_NAME = 15;

/** Network names and container IDs are letters, digits, `_`, `.` and `-`, a letter or digit first (specification, "Parameters"). */
export function isCniName(text: string): boolean {
  return NAME.test(text);
}

/** Rejects a container ID that the specification does not allow: error 3 when it is missing, 4 when it is malformed. */
export function validateContainerId(id: string): void {
  if (id === '') throw new CniError(cniErrorCode.unknownContainer, 'missing containerID');
  if (!isCniName(id)) {
    throw new CniError(cniErrorCode.invalidEnvironment, 'invalid characters in containerID', id);
  }
}

/** Rejects a missing or malformed network name, with error 7; one that is not text, with error 6, as Go's decoder does. */
export function validateNetworkName(name: unknown): string {
  if (name === undefined || name === null || name === '') {
    throw invalidConfig('missing network name');
  }
  if (typeof name !== 'string') {
    throw new CniError(
      cniErrorCode.decodingFailure,
      `network name must be a string, is ${JSON.stringify(name)}`,
    );
  }
  if (!isCniName(name)) throw invalidConfig('invalid characters found in network name', name);
  return name;
}

/** Rejects what Linux refuses as an interface name (dev_valid_name in net/core/dev.c), with error 4. */
export function validateInterfaceName(name: string): void {
  const problem =
    name === ''
      ? 'interface name is empty'
      : new TextEncoder().encode(name).length > MAX_INTERFACE_NAME
        ? 'interface name is too long'
        : name === '.' || name === '..'
          ? 'interface name is . or ..'
          : /[/:\s]/.test(name)
            ? 'interface name contains / or : or whitespace characters'
            : undefined;
  if (problem !== undefined) throw new CniError(cniErrorCode.invalidEnvironment, problem, name);
}
