import { createSocket } from 'node:dgram';
import { familyOf } from '../../util/family.ts';
import type { Heard, Probe } from './heard.ts';

/** Harmless to whatever listens: a line that asks for nothing. */
const DATAGRAM = 'hostport probe\n';

/**
 * Sends a datagram from a connected socket, which reports ICMP errors. Any datagram back is an answer; "port unreachable" is a refusal;
 * silence proves nothing, since an application need not answer what it does not understand.
 */
export const probeUdp: Probe = (address, port, timeoutMs) =>
  new Promise((resolve) => {
    const socket = createSocket(familyOf(address) === 'ipv6' ? 'udp6' : 'udp4');
    let sourcePort: number | undefined;
    const done = (heard: Heard) => {
      clearTimeout(timer);
      socket.close();
      resolve(sourcePort === undefined ? heard : { ...heard, sourcePort });
    };
    const timer = setTimeout(
      () =>
        done({ outcome: 'unknown', detail: `silence for ${timeoutMs} ms, which proves nothing with UDP` }),
      timeoutMs,
    );
    socket.once('message', (message: Buffer) =>
      done({ outcome: 'answered', detail: `${message.length} bytes` }),
    );
    socket.once('error', (cause: NodeJS.ErrnoException) => {
      const code = cause.code ?? '';
      if (code === 'ECONNREFUSED') done({ outcome: 'refused', detail: 'ICMP port unreachable' });
      else if (code === 'EHOSTUNREACH' || code === 'ENETUNREACH') {
        done({ outcome: 'unreachable', detail: code });
      } else done({ outcome: 'unknown', detail: code || cause.message });
    });
    socket.connect(port, address, () => {
      sourcePort = socket.address().port;
      socket.send(DATAGRAM);
    });
  });
