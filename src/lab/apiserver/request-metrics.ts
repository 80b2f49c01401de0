import { kindByPlural, subresourceOf } from '../../kube/kinds.ts';
import { Counts, type Metric } from '../../util/prometheus.ts';
import type { RequestInfo } from './request-info.ts';

/** Verbs of the API as metrics write them, where they are not just upper case. */
const VERBS: Readonly<Record<string, string>> = { create: 'POST', update: 'PUT' };
const READS = new Set(['GET', 'LIST', 'HEAD']);
const KNOWN = new Set([...READS, 'WATCH', 'CONNECT', 'POST', 'PUT', 'PATCH', 'DELETE', 'DELETECOLLECTION']);
/** Paths that are no resources, counted with what is below them. */
const PATHS = ['/healthz', '/livez', '/readyz', '/metrics', '/version', '/openapi', '/apis', '/api'];

/** The requests of a server, counted under the names and labels of Kubernetes' API server. */
export class RequestMetrics {
  readonly #total = new Counts();
  readonly #longRunning = new Counts();
  #reading = 0;
  #changing = 0;

  /** Notes that a request begins; what is returned is to be called with its HTTP status when it has ended. */
  begin(info: RequestInfo | undefined, isUpgrade = false): (code: number) => void {
    const labels = labelsOf(info, isUpgrade);
    const lasts = labels.verb === 'WATCH' || labels.verb === 'CONNECT';
    const count = (by: number) => {
      if (lasts) this.#longRunning.add(labels, by);
      else if (READS.has(labels.verb)) this.#reading += by;
      else this.#changing += by;
    };
    count(1);
    const dryRun = info?.query.get('dryRun') === 'All' ? 'All' : '';
    return (code) => {
      count(-1);
      this.#total.add({ ...labels, dry_run: dryRun, code: String(code) });
    };
  }

  get metrics(): Metric[] {
    return [
      {
        name: 'apiserver_request_total',
        help: 'Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.',
        type: 'counter',
        series: this.#total.series,
      },
      {
        name: 'apiserver_longrunning_requests',
        help: 'Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component.',
        type: 'gauge',
        series: this.#longRunning.series,
      },
      {
        name: 'apiserver_current_inflight_requests',
        help: 'Number of requests under way per request kind.',
        type: 'gauge',
        series: [
          [{ request_kind: 'mutating' }, this.#changing],
          [{ request_kind: 'readOnly' }, this.#reading],
        ],
      },
    ];
  }
}

/** Labels are of what is served: what clients make up is not kept. */
function labelsOf(info: RequestInfo | undefined, isUpgrade: boolean) {
  const said = isUpgrade ? 'CONNECT' : (VERBS[info?.verb ?? ''] ?? (info?.verb ?? '').toUpperCase());
  const verb = KNOWN.has(said) ? said : 'OTHER';
  const { group = '', version = '', plural = '', subresource = '', namespace, name } = info?.resource ?? {};
  const kind = kindByPlural(group, version, plural);
  if (kind === undefined) {
    const path = PATHS.find((known) => info?.path === known || info?.path.startsWith(`${known}/`));
    const nothing = { component: '', group: '', version: '', resource: '', scope: '' };
    return { ...nothing, verb, subresource: path ?? '' };
  }
  return {
    ...{ component: 'apiserver', group, version, resource: plural, verb },
    subresource: subresourceOf(kind, subresource) === undefined ? '' : subresource,
    scope: name ? 'resource' : namespace ? 'namespace' : 'cluster',
  };
}
