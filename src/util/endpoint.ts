/** An address or a host name, and a port. */
export interface Endpoint {
  address: string;
  port: number;
}

/** An address or a host name as the authority of a URL has it: IPv6 in brackets (RFC 3986, 3.2.2). */
export function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** `address:port`, `[address]:port` for IPv6. */
export function formatEndpoint({ address, port }: { address: string; port: number | string }): string {
  return `${bracketed(address)}:${port}`;
}

/** Parses what {@link formatEndpoint} writes; undefined when the text is not of that form. What `address` is is not checked. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  return match === null || port > 65535 ? undefined : { address: (match[1] ?? match[2])!, port };
}
