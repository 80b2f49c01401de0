import { parseIPv4 } from '../../../util/address.ts';
import { parseSubnet, subnetContains } from '../../../util/cidr.ts';
import type { Field } from './document.ts';
import type { PortMapping } from './types.ts';

const LOOPBACK = parseSubnet('127.0.0.0/8')!;
export const DEFAULT_LISTEN_ADDRESS = '127.0.0.1';

/** Ports of the machine that the configuration takes, to find those taken twice: `address:port` to the line of it. */
export type TakenPorts = Map<string, number>;

/** A listen address, which must be IPv4 loopback: the lab is reachable from this machine only. */
export function readLoopbackAddress(field: Field | undefined): string {
  const text = field?.string() ?? '';
  if (field === undefined || text === '') return DEFAULT_LISTEN_ADDRESS;
  const address = parseIPv4(text);
  if (address === undefined || !subnetContains(LOOPBACK, address)) {
    field.error(
      `${JSON.stringify(text)} is not an IPv4 loopback address, and the lab listens on no other: ` +
        `want ${DEFAULT_LISTEN_ADDRESS} or another of 127.0.0.0/8`,
    );
  }
  return text;
}

/** A port of the machine; 0 (any free one) when absent, 0 or -1, which is kind's way to leave the choice to docker. */
export function readHostPort(field: Field | undefined): number {
  const port = field?.integer() ?? 0;
  if (port < -1 || port > 65535) {
    field?.error(`${port} is not a port: want 1 to 65535, or 0 for any free one`);
  }
  return Math.max(port, 0);
}

/** Notes that `address:port` is taken by `field`, and reports when something before it has taken it. */
export function takePort(field: Field | undefined, address: string, port: number, taken: TakenPorts): void {
  if (field === undefined || port === 0) return;
  const key = `${address}:${port}`;
  const line = taken.get(key);
  if (line === undefined) taken.set(key, field.line);
  else field.error(`${key} is already taken on line ${line}: choose another port or listenAddress`);
}

/** Reads `extraPortMappings` of one node; what is wrong is reported on the fields. */
export function readPortMappings(field: Field | undefined, taken: TakenPorts): PortMapping[] {
  return (field?.list() ?? []).map((entry) => {
    const fields = entry.fields(['containerPort', 'hostPort', 'listenAddress', 'protocol']);
    const protocol = fields.get('protocol');
    if (protocol?.isPresent && (protocol.oneOf(['TCP', 'UDP', 'SCTP']) ?? 'TCP') !== 'TCP') {
      protocol.error(
        `${protocol.string()} cannot be published on this machine: only TCP can, remove the mapping`,
      );
    }
    const listenAddress = readLoopbackAddress(fields.get('listenAddress'));
    const hostPort = readHostPort(fields.get('hostPort'));
    takePort(fields.get('hostPort'), listenAddress, hostPort, taken);
    return {
      containerPort: readContainerPort(entry, fields.get('containerPort')),
      hostPort,
      listenAddress,
      protocol: 'TCP',
    };
  });
}

function readContainerPort(entry: Field, field: Field | undefined): number {
  if (!field?.isPresent) {
    (field ?? entry).error('has no containerPort: say which port of the node to publish');
    return 0;
  }
  const port = field.integer();
  if (port !== undefined && (port < 1 || port > 65535)) {
    field.error(`${port} is not a port: want 1 to 65535`);
  }
  return port ?? 0;
}
