/**
 * How many packets the reverse path filter of a network namespace has dropped, by the text of its /proc/net/netstat; undefined when the
 * kernel does not say. Source: net/ipv4/proc.c, LINUX_MIB_IPRPFILTER: a line of names and a line of values, both led by `TcpExt:`.
 */
export function reversePathDrops(netstat: string): number | undefined {
  const [names, values] = netstat
    .split('\n')
    .filter((line) => line.startsWith('TcpExt:'))
    .map((line) => line.split(/\s+/));
  const value = values?.[names?.indexOf('IPReversePathFilter') ?? -1];
  return value === undefined ? undefined : Number(value);
}
