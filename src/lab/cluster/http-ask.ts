import http from 'node:http';
import type { Exec } from '../../sys/exec.ts';
import { formatEndpoint } from '../../util/endpoint.ts';
import { nodeArgv } from './node-exec.ts';

/** The answer of a port to `GET /`. */
export type Heard =
  | {
      result: 'answered';
      /** HTTP status. */
      status: number;
      /** The host that the page says it is (the echo-server's does); undefined when it names none. */
      host?: string;
    }
  | {
      result: 'refused' | 'timeout' | 'error';
      detail: string;
    };

/** One deadline for all of it: an answer that trickles, or stops half way, does not count. */
const DEADLINE_MS = 2000;
/** A page is read as far as this to find out who wrote it. */
const MAX_PAGE = 65_536;

/** Asks from where this process stands. */
export function ask(address: string, port: number, deadlineMs = DEADLINE_MS): Promise<Heard> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException) => {
      // Bun's own name beside the system's.
      const isRefused = error.code === 'ECONNREFUSED' || error.code === 'ConnectionRefused';
      resolve({ result: isRefused ? 'refused' : 'error', detail: isRefused ? REFUSED : error.message });
    };
    const request = http.get({ host: address, port, path: '/', agent: false }, (response) => {
      let page = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (page.length < MAX_PAGE) page += chunk;
      });
      response.on('error', failed);
      response.on('end', () => {
        if (response.complete) resolve(answered(response.statusCode ?? 0, page));
        else resolve({ result: 'error', detail: 'the answer broke off' });
      });
    });
    const timer = setTimeout(() => {
      resolve({ result: 'timeout', detail: `no whole answer within ${deadlineMs} ms` });
      request.destroy();
    }, deadlineMs);
    request.on('error', failed);
    request.on('close', () => {
      clearTimeout(timer);
      // Says nothing new when one of the above has spoken.
      resolve({ result: 'error', detail: 'the connection was closed without an answer' });
    });
  });
}

const REFUSED = 'connection refused';

/** curl's exit statuses for a connection that was refused and for one deadline over all. Source: curl(1), EXIT CODES. */
const CURL = { couldNotConnect: 7, timedOut: 28 };

/** Asks on a node itself, with its curl: for addresses that mean something else on every machine, as loopback does. */
export async function askOnNode(exec: Exec, node: string, address: string, port: number): Promise<Heard> {
  const command = [
    'curl',
    '--silent',
    '--show-error',
    '--globoff',
    '--noproxy',
    '*',
    '--max-time',
    String(DEADLINE_MS / 1000),
    '--write-out',
    '\n%{http_code}',
    `http://${formatEndpoint({ address, port })}/`,
  ];
  const { code, stdout, stderr } = await exec.run(await nodeArgv(exec, node, command));
  if (code === CURL.couldNotConnect) return { result: 'refused', detail: REFUSED };
  if (code === CURL.timedOut) {
    return { result: 'timeout', detail: `no whole answer within ${DEADLINE_MS} ms` };
  }
  if (code !== 0) return { result: 'error', detail: stderr.trim() || `curl on ${node}: exit status ${code}` };
  const end = stdout.lastIndexOf('\n');
  return answered(Number(stdout.slice(end + 1)), stdout.slice(0, end));
}

function answered(status: number, page: string): Heard {
  return { result: 'answered', status, host: /My hostname is: (\S+)/.exec(page)?.[1] };
}
