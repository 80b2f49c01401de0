import { existsSync, realpathSync } from 'node:fs';
import { ApiClient, type ApiClientOptions } from '../kube/client.ts';
import { withCredentials } from '../kube/refused-credentials.ts';
import type { Node } from '../kube/types.ts';
import type { NodeReport } from '../path/model/node-report.ts';
import type { Observed } from '../path/model/observed.ts';
import type { World } from '../path/model/world.ts';
import { formatAge } from '../util/duration.ts';
import { InputError } from '../util/errors.ts';
import { LazyMap } from '../util/lazy-map.ts';
import { readReports } from './bundle.ts';
import { readClusterObjects } from './cluster-objects.ts';
import { nodeOf } from './local.ts';

/**
 * Observes any cluster: its objects by the API, and node reports from files (what `hostport node-report` printed on each). A node without a file
 * was not asked; a node whose file is not a report is unknown. Sends no probes.
 */
export async function clusterWorld(
  access: ApiClientOptions,
  reportsDirectory: string,
  { signal, maxAgeMs }: { signal?: AbortSignal; maxAgeMs?: number },
): Promise<World> {
  if (!existsSync(reportsDirectory))
    throw new InputError(
      `cannot read the node reports in ${reportsDirectory}: no such directory; write one report per node there with "hostport node-report"`,
    );
  const { reports, unread } = readReports(realpathSync(reportsDirectory), reportsDirectory);
  const client = new ApiClient(access);
  const objects = await withCredentials(client, 'examine the cluster', () =>
    readClusterObjects(client, signal),
  );
  const isWithoutNodes = objects.unread?.some(({ kind, what }) => kind === 'objects' && what === 'nodes');
  const observedAt = new Date().toISOString();
  const names = new Set(objects.nodes.map(({ metadata }) => metadata?.name ?? ''));
  const believed = withoutStale(assigned(reports, names), maxAgeMs, Date.parse(observedAt));
  return {
    observedAt,
    ...objects,
    ...(isWithoutNodes && { nodes: nodesOfReports(believed) }),
    unread: [...(objects.unread ?? []), ...unread],
    reports: believed,
    probes: [],
  };
}

/** Where the API does not list nodes, those that have a report, with the addresses that they have themselves. */
function nodesOfReports(reports: World['reports']): Node[] {
  const nodes: Node[] = [];
  for (const [name, report] of reports) if ('value' in report) nodes.push(nodeOf(name, report.value));
  return nodes;
}

type Reports = World['reports'];

/**
 * The reports by node. A file that is named for a node is that node's; one of another name is of the node that its report names. A node that several
 * files are of is unknown: which of them is right, nobody can tell. Of the files that are named for nodes none is read before it is asked for.
 */
export function assigned(files: Reports, nodes: ReadonlySet<string>): Reports {
  const claims = new Map<string, string[]>();
  for (const file of files.keys()) {
    const node = nodes.has(file) ? file : nodeIn(files.get(file)!, nodes, file);
    claims.set(node, [...(claims.get(node) ?? []), file]);
  }
  return new LazyMap(claims.keys(), (node) => {
    const [file, ...others] = claims.get(node) as [string, ...string[]];
    if (others.length === 0) return files.get(file)!;
    const of = [file, ...others];
    const names = of.map((each) => `${each}.json`).join(', ');
    return { unknown: `${of.length} reports are of ${node} (${names}): keep one` };
  });
}

/** The node that a report names; `otherwise` where it names none of the cluster. */
function nodeIn(report: Observed<NodeReport>, nodes: ReadonlySet<string>, otherwise: string): string {
  return 'value' in report && nodes.has(report.value.node) ? report.value.node : otherwise;
}

/** The reports; one that is older than it may be is unknown. Without a limit there is only that of every report, a day. */
export function withoutStale(reports: Reports, maxAgeMs: number | undefined, now: number): Reports {
  if (maxAgeMs === undefined) return reports;
  return new LazyMap(reports.keys(), (node) => {
    const report = reports.get(node)!;
    const taken = 'value' in report ? Date.parse(report.value.takenAt) : Number.NaN;
    if (!(Math.abs(now - taken) > maxAgeMs)) return report;
    const [age, most] = [formatAge(Math.abs(now - taken)), formatAge(maxAgeMs)];
    if (taken > now)
      return {
        unknown: `the report was taken ${age} in the future, more than ${most} (--max-age): a clock is wrong`,
      };
    return { unknown: `the report is ${age} old, more than ${most} (--max-age): take a new one` };
  });
}
