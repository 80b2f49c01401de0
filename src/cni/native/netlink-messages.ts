/** In the place of sys/netlink-messages.ts: C takes messages apart, and only what is wanted becomes text. */
import type { MessageReader, Wanted } from '../../sys/netlink-messages.ts';
import { Bytes } from './buffer.ts';
import { port } from './port.ts';

export function messageReader(wanted?: Wanted): MessageReader {
  let mark: Uint8Array | undefined;
  let ports: Uint8Array | undefined;
  let chain = '';
  if (wanted !== undefined && 'mark' in wanted) mark = Bytes.from(wanted.mark, 'latin1');
  else if (wanted !== undefined) {
    chain = wanted.chain;
    ports = new Uint8Array(8192);
    for (const wantedPort of wanted.ports) ports[wantedPort >> 3]! |= 1 << (wantedPort & 7);
  }
  return (buffer, size, payloads) => port.messages(buffer, size, payloads, mark, ports, chain);
}
