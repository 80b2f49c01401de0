import { type AddressValue, parseAddress } from '../../util/address.ts';
import type { NatTarget } from './model.ts';

/** Parses what `--to-destination` and `--to-source` take; undefined for anything else. */
export function parseNatTarget(text: string): NatTarget | undefined {
  let addresses = text;
  let ports: string | undefined;
  const bracket = text.lastIndexOf(']');
  const colon = bracket >= 0 ? text.indexOf(':', bracket) : text.indexOf(':');
  if (colon >= 0 && (bracket >= 0 || text.indexOf(':', colon + 1) < 0)) {
    addresses = text.slice(0, colon);
    ports = text.slice(colon + 1);
  }
  const target: NatTarget = {};
  addresses = addresses.replace(/[[\]]/g, '');
  if (addresses !== '') {
    const dash = addresses.indexOf('-');
    const from = parseAddress(dash < 0 ? addresses : addresses.slice(0, dash));
    const to: AddressValue | undefined = dash < 0 ? from : parseAddress(addresses.slice(dash + 1));
    if (from === undefined || to === undefined || typeof from !== typeof to) return undefined;
    target.address = { from, to };
  }
  if (ports !== undefined) {
    // A base for shifted port ranges (`80-90/100`) is not modelled.
    const port = ports.includes('/') ? undefined : portEnds(ports, '-');
    if (port === undefined) return undefined;
    target.port = port;
  }
  return target.address === undefined && target.port === undefined ? undefined : target;
}

/** The ends of `80`, `80-90` or, with a colon, `80:90`, `:90` and `80:`; undefined for anything else. */
export function portEnds(text: string, separator: ':' | '-'): { from: number; to: number } | undefined {
  const at = text.indexOf(separator);
  const from = at < 0 ? text : text.slice(0, at) || '0';
  const to = at < 0 ? text : text.slice(at + 1) || '65535';
  if (!/^\d{1,5}$/.test(from) || !/^\d{1,5}$/.test(to)) return undefined;
  return { from: Number(from), to: Number(to) };
}
