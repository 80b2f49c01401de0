import type { Heard, Probe } from './heard.ts';
import { heardOf, POLLIN, ProbeSocket } from './socket.ts';

// netinet/in.h
const IPPROTO_UDP = 17;

/** Harmless to whatever listens: a line that asks for nothing. */
const DATAGRAM = Buffer.from('hostport probe\n');

/**
 * Sends a datagram from a connected socket, which reports ICMP errors. Any datagram back is an answer; "port unreachable" is a refusal;
 * silence proves nothing, since an application need not answer what it does not understand.
 */
export const probeUdp: Probe = async (address, port, timeoutMs, from) => {
  const socket = ProbeSocket.open('datagram', IPPROTO_UDP, address, port, from);
  if (!(socket instanceof ProbeSocket)) return socket;
  try {
    const sourcePort = socket.localPort;
    return { ...(await answerOf(socket, timeoutMs)), sourcePort };
  } finally {
    socket.close();
  }
};

async function answerOf(socket: ProbeSocket, timeoutMs: number): Promise<Heard> {
  const unsent = socket.send(DATAGRAM);
  if (unsent !== undefined) return heardOfUdp(unsent.error);
  if (!(await socket.waits(POLLIN, timeoutMs))) {
    return { outcome: 'unknown', detail: `silence for ${timeoutMs} ms, which proves nothing with UDP` };
  }
  const received = socket.receive();
  if (typeof received === 'number') return { outcome: 'answered', detail: `${received} bytes` };
  return heardOfUdp(received.error);
}

function heardOfUdp(error: string): Heard {
  return error === 'ECONNREFUSED' ? { outcome: 'refused', detail: 'ICMP port unreachable' } : heardOf(error);
}
