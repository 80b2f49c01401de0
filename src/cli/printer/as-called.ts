/** The cluster of the lab that commands are about which are not given a name, as kind's are. */
const DEFAULT_CLUSTER = 'kind';

/** What a suggested command needs to be about that cluster of the lab: ` --name other`, or nothing for the one without a name. */
export function nameFlag(cluster: string): string {
  return cluster === DEFAULT_CLUSTER ? '' : ` --name ${cluster}`;
}

/**
 * A text that says to run `hostport heal`, with the program as it was called (`calledAs`), for a cluster of the lab: documents always say
 * `hostport heal`, but a person must type what works here.
 */
export function asCalled(text: string, program: string, cluster = DEFAULT_CLUSTER): string {
  // The program is a path of somebody's, in which a replacement pattern ($&) would mean something.
  return text.replaceAll(/\bhostport heal\b/g, () => `${program} heal${nameFlag(cluster)}`);
}
