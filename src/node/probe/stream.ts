import type { Heard, Probe } from './heard.ts';
import { heardOf, POLLOUT, ProbeSocket } from './socket.ts';

// netinet/in.h
const IPPROTO_TCP = 6;
const IPPROTO_SCTP = 132;

/** Opens a TCP connection and closes it in good order, so that connection tracking remembers who answered. */
export const probeTcp: Probe = (...target) => probeStream(IPPROTO_TCP, ...target);

/** Opens an SCTP association and closes it; a kernel without SCTP leaves the answer unknown. */
export const probeSctp: Probe = (...target) => probeStream(IPPROTO_SCTP, ...target);

/** {@link probeTcp} for any protocol that has streams. */
export async function probeStream(
  protocol: number,
  ...[address, port, timeoutMs, from]: Parameters<Probe>
): Promise<Heard> {
  const socket = ProbeSocket.open('stream', protocol, address, port, from);
  if (!(socket instanceof ProbeSocket)) return socket;
  try {
    const ended = await socket.waits(POLLOUT, timeoutMs);
    const sourcePort = socket.localPort;
    if (!ended) return { outcome: 'timeout', detail: `no answer within ${timeoutMs} ms`, sourcePort };
    const failed = socket.error();
    return failed === undefined
      ? { outcome: 'answered', detail: 'connected', sourcePort }
      : heardOf(failed.error);
  } finally {
    socket.close();
  }
}
