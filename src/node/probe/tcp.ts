import { connect } from 'node:net';
import { connectingPort } from './connecting-port.ts';
import type { Heard, Probe } from './heard.ts';

/** What an error of connect(2) says about the way. Others are a failure of the probe itself. */
const OUTCOMES: Record<string, Heard['outcome']> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'refused',
  ETIMEDOUT: 'timeout',
  EHOSTUNREACH: 'unreachable',
  ENETUNREACH: 'unreachable',
};

/** Opens a TCP connection and closes it in good order, so that connection tracking remembers who answered. */
export const probeTcp: Probe = (address, port, timeoutMs) =>
  new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const timer = setTimeout(() => {
      const localPort = connectingPort(address, port);
      socket.destroy();
      resolve({ outcome: 'timeout', detail: `no answer within ${timeoutMs} ms`, ...withPort(localPort) });
    }, timeoutMs);
    socket.once('connect', () => {
      clearTimeout(timer);
      const { localPort } = socket;
      socket.end();
      // An application that does not close its side must not hold the probe up.
      socket.unref();
      resolve({ outcome: 'answered', detail: 'connected', ...withPort(localPort) });
    });
    socket.on('error', (cause: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      const code = cause.code ?? '';
      resolve({ outcome: OUTCOMES[code] ?? 'unknown', detail: code || cause.message });
    });
  });

function withPort(sourcePort: number | undefined): { sourcePort?: number } {
  return sourcePort === undefined ? {} : { sourcePort };
}
