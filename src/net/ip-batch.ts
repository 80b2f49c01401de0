import { type Exec, ExecError } from '../sys/exec.ts';

/** One link as `ip -j address show` has it, as far as we look. */
export interface Link {
  name: string;
  mac: string;
  up: boolean;
  mtu: number;
  addresses: { address: string; prefix: number }[];
}

/**
 * Runs commands of `ip` (without the word `ip`) in one process, stopping at the first that fails; returns what it printed,
 * as JSON. The words of a command are the caller's: nothing from outside goes in without having been validated.
 */
export async function runIpBatch(exec: Exec, commands: readonly string[]): Promise<string> {
  for (const command of commands) {
    if (/[\n\r"'#\\]/.test(command)) throw new Error(`not a command of ip: ${JSON.stringify(command)}`);
  }
  const argv = ['ip', '-json', '-batch', '-'];
  const result = await exec.run(argv, { stdin: `${commands.join('\n')}\n` });
  if (result.code !== 0) {
    const line = /Command failed -:(\d+)/.exec(result.stderr)?.[1];
    const command = line === undefined ? undefined : commands[Number(line) - 1];
    throw new ExecError(command === undefined ? argv : ['ip', ...command.split(' ')], result);
  }
  return result.stdout;
}

/** Reads the links out of the JSON of one `address show`. */
export function parseLinks(json: string): Link[] {
  // `ip -j` prints an empty object for an entry that a filter left out.
  const entries = (JSON.parse(json.trim() === '' ? '[]' : json) as IpLink[]).filter(
    (entry) => entry.ifname !== undefined,
  );
  return entries.map((entry) => ({
    name: entry.ifname!,
    mac: entry.address ?? '',
    up: entry.flags?.includes('UP') ?? false,
    mtu: entry.mtu ?? 0,
    addresses: (entry.addr_info ?? []).flatMap(({ local, prefixlen }) =>
      local === undefined || prefixlen === undefined ? [] : [{ address: local, prefix: prefixlen }],
    ),
  }));
}

interface IpLink {
  ifname?: string;
  address?: string;
  flags?: string[];
  mtu?: number;
  addr_info?: { local?: string; prefixlen?: number }[];
}
