import { dropInOrder } from '../../cni/conflist.ts';
import { compareVersions } from '../../cni/version.ts';
import type { NodeReport } from '../model/node-report.ts';
import { known, type Observed } from '../model/observed.ts';

/** What each runtime's releases are built with: the first that has a libcni with drop-in directories (1.3.0), and the last known to have none. */
const RUNTIMES: Readonly<Record<string, { since: string; notUntil: string }>> = {
  containerd: { since: '2.1', notUntil: '2.0' },
  'cri-o': { since: '1.34', notUntil: '1.31' },
};

/** A file of a drop-in directory. */
export interface DropIn {
  name: string;
  text: string;
  /** Why it is no configuration, where it is none: then the runtime refuses the whole list. */
  broken?: string;
}

/**
 * The files of the drop-in directory of a network that its runtime reads, in its order; unknown where there are some and whether the runtime reads
 * them, or what is in them, is. What a runtime has loaded shows that it reads them, never that it does not: they may be newer than its last look.
 */
export function dropInsOf(report: NodeReport, network: string): Observed<DropIn[]> {
  const files = report.cni.dropIns?.find((entry) => entry.network === network)?.files ?? { value: [] };
  const reads = readsDropIns(report, network);
  if (reads === false || ('value' in files && files.value.length === 0)) return { value: [] };
  if ('unknown' in files) return files;
  const read: DropIn[] = [];
  const byName = new Map(files.value.map((file) => [file.name, file]));
  for (const fileName of dropInOrder([...byName.keys()])) {
    const { content, broken } = byName.get(fileName)!;
    const name = `${network}/${fileName}`;
    if (reads === undefined) return { unknown: `whether the runtime reads ${name} is not known` };
    if ('value' in content) read.push({ name, text: content.value });
    else if (broken) read.push({ name, text: '', broken: `${network}/${content.unknown}` });
    else return { unknown: `${name}: ${content.unknown}` };
  }
  return { value: read };
}

function readsDropIns(report: NodeReport, network: string): boolean | undefined {
  const runtime = known(report.runtime);
  if (runtime === undefined) return undefined;
  const loaded = known(runtime.loadedNetworks)?.find(({ name }) => name === network);
  if (loaded?.plugins !== undefined) return true;
  const release = /^v?(\d+\.\d+)/.exec(runtime.version)?.[1];
  const bounds = RUNTIMES[runtime.name];
  if (release === undefined || bounds === undefined) return undefined;
  if (compareVersions(release, bounds.since) >= 0) return true;
  return compareVersions(release, bounds.notUntil) <= 0 ? false : undefined;
}
