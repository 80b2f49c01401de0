import type { Socket } from 'node:net';
import { parseIp } from '../util/ip.ts';
import { userOf } from '../util/url-user.ts';
import { readUntil } from './socket-reading.ts';

const VERSION = 5;
const METHOD = { none: 0, password: 2, noneAcceptable: 0xff };
const CONNECT = 1;
const ADDRESS = { ipv4: 1, name: 3, ipv6: 4 };

/** What a SOCKS server answers instead of 0. Source: RFC 1928, 6. */
const REPLIES = [
  'succeeded',
  'general SOCKS server failure',
  'connection not allowed by ruleset',
  'network unreachable',
  'host unreachable',
  'connection refused',
  'TTL expired',
  'command not supported',
  'address type not supported',
];

/**
 * Asks a SOCKS 5 proxy, on a socket that is connected to it, for a connection to `host`, whose name the proxy resolves. From then on the
 * socket is that connection. Source: RFC 1928; RFC 1929 for user and password, which `proxy` may have.
 */
export async function socksHandshake(socket: Socket, proxy: URL, host: string, port: number): Promise<void> {
  const user = userOf(proxy);
  const methods = user !== undefined ? [METHOD.none, METHOD.password] : [METHOD.none];
  socket.write(Buffer.from([VERSION, methods.length, ...methods]));
  const [version, method] = await readUntil(socket, () => 2);
  if (version !== VERSION) throw new Error('the proxy does not speak SOCKS 5');
  if (method === METHOD.password && user !== undefined) await authenticate(socket, user);
  else if (method !== METHOD.none)
    throw new Error('the proxy accepts none of the offered authentication methods');
  socket.write(Buffer.from([VERSION, CONNECT, 0, ...addressOf(host), port >> 8, port & 0xff]));
  // The address that follows is the proxy's own end, of no interest.
  const reply = await readUntil(socket, (bytes) => {
    if (bytes.length < 5) return undefined;
    const length = { [ADDRESS.ipv4]: 4, [ADDRESS.ipv6]: 16, [ADDRESS.name]: 1 + bytes[4]! }[bytes[3]!];
    if (length === undefined) throw new Error('the proxy does not speak SOCKS 5');
    return 4 + length + 2;
  });
  const code = reply[1]!;
  if (code !== 0) throw new Error(`the proxy did not connect: ${REPLIES[code] ?? `reply ${code}`}`);
}

async function authenticate(
  socket: Socket,
  { username, password }: NonNullable<ReturnType<typeof userOf>>,
): Promise<void> {
  socket.write(Buffer.from([1, ...counted(username), ...counted(password)]));
  const [, status] = await readUntil(socket, () => 2);
  if (status !== 0) throw new Error('the proxy refuses the user or the password');
}

function addressOf(host: string): number[] {
  const ip = parseIp(host);
  if (ip === undefined) return [ADDRESS.name, ...counted(host)];
  return [ADDRESS[ip.family], ...ip.bytes];
}

/** A text of at most 255 bytes after its length. */
function counted(text: string): number[] {
  const bytes = Buffer.from(text, 'utf8');
  if (bytes.length > 255) throw new Error('a name for the proxy has more than 255 bytes');
  return [bytes.length, ...bytes];
}
