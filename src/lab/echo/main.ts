import http from 'node:http';
import { hostname } from 'node:os';
import { messageOf, UserError } from '../../util/errors.ts';
import { type SelfSigned, selfSignedCertificate } from './certificate.ts';
import { readConfiguration } from './configuration.ts';
import { serveEcho } from './server.ts';

/**
 * The echo-server daemon, as the image inanimate/echo-server: HTTP on `PORT`, TLS with a certificate of its own making on
 * `SSLPORT`. It takes its settings from the environment only and ends on SIGTERM with status 0.
 */
export async function main(argv: string[]): Promise<number> {
  if (argv.length > 0) {
    throw new UserError(
      `echo-server: takes no arguments (was given ${argv.join(' ')}): set PORT, SSLPORT, ADD_HEADERS`,
    );
  }
  const stopped = new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve());
    process.once('SIGINT', () => resolve());
  });
  const environment = { ...process.env };
  const { port, sslPort, headers } = readConfiguration(environment);
  // The largest that Go's server takes, whose place this one has; the default is 16 KiB. Bun
  // lets it be set, Node's types do not know.
  (http as { maxHeaderSize: number }).maxHeaderSize = 1 << 20;
  const log = (line: string) => process.stdout.write(`${line}\n`);
  const listen = (what: string, on: number, certificate?: SelfSigned) => {
    try {
      serveEcho({ port: on, headers, environment, certificate, log });
    } catch (cause) {
      throw new UserError(`echo-server: cannot listen on port ${on}: ${messageOf(cause)}`, { cause });
    }
    log(`Echo server listening on ${what}port ${on}.`);
  };
  listen('', port);
  const names = ['localhost', hostname(), '127.0.0.1', ...(environment.POD_IP ? [environment.POD_IP] : [])];
  listen('ssl ', sslPort, selfSignedCertificate('echo-server', names, new Date()));
  await stopped;
  return 0;
}
