import { UserError } from '../../util/errors.ts';

/** What the environment of the server says. */
export interface EchoConfiguration {
  port: number;
  sslPort: number;
  /** Headers that every page carries beside Content-Type, by their canonical names. */
  headers: [name: string, value: string][];
}

/** `token` of RFC 9110, 5.6.2: what a header's name may be. */
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Reads `PORT` (8080), `SSLPORT` (8443) and `ADD_HEADERS`; what makes no sense is a {@link UserError} that says so. */
export function readConfiguration(environment: NodeJS.ProcessEnv): EchoConfiguration {
  const port = portOf(environment, 'PORT', 8080);
  const sslPort = portOf(environment, 'SSLPORT', 8443);
  if (port === sslPort)
    throw new UserError(`echo-server: PORT and SSLPORT are both ${port}: they must differ`);
  return { port, sslPort, headers: readHeaders(environment.ADD_HEADERS ?? '') };
}

function portOf(environment: NodeJS.ProcessEnv, name: string, fallback: number): number {
  const text = environment[name] ?? '';
  if (text === '') return fallback;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port >= 1 && port <= 65535))
    throw new UserError(`echo-server: ${name}=${text}: must be a port, 1 to 65535`);
  return port;
}

function readHeaders(text: string): [string, string][] {
  if (text === '') return [];
  const bad = (why: string, cause?: unknown) =>
    new UserError(`echo-server: ADD_HEADERS=${text}: ${why}; it must be like {"X-Foo": "bar"}`, { cause });
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw bad('is not JSON', cause);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw bad('is not an object');
  return Object.entries(parsed).map(([name, value]) => {
    if (!HEADER_NAME.test(name)) throw bad(`${JSON.stringify(name)} cannot be the name of a header`);
    if (typeof value !== 'string') throw bad(`the value of ${name} is not a string`);
    if (/[\r\n\0]/.test(value)) throw bad(`the value of ${name} has a line break in it`);
    return [canonicalHeader(name), value];
  });
}

/** A header's name as Go's net/http writes it: `x-real-server` is `X-Real-Server`. */
export function canonicalHeader(name: string): string {
  return name.toLowerCase().replace(/(^|-)[a-z]/g, (start) => start.toUpperCase());
}
