import { messagesWithoutSecrets, reportWithoutSecrets, textWithoutSecrets } from '../node/report/secrets.ts';
import type { World } from '../path/model/world.ts';
import { UserError } from '../util/errors.ts';
import type { Anonymiser } from './anonymise/anonymiser.ts';
import { BUNDLE_VERSION, KINDS, type Manifest, NODE_FILE } from './bundle-layout.ts';
import { slim } from './objects.ts';

/** A file of a bundle. */
export interface BundleDocument {
  /** Its path in the bundle. */
  file: string;
  /** Its JSON in pieces, which are made one at a time: a list of a large cluster has hundreds of megabytes. */
  text: Iterable<string>;
}

/**
 * The files of a world's bundle, one at a time. Only the fields of API objects that the path needs are in them, and nothing that looks like a secret:
 * events quote programs, and node reports may come from an older release. What an anonymiser replaces is replaced after that.
 * @throws UserError for a node whose name cannot be that of a file.
 */
export function* bundleDocuments(world: World, anonymiser?: Anonymiser): Generator<BundleDocument> {
  const unread = world.unread && messagesWithoutSecrets([...world.unread], ['why']);
  yield {
    file: 'manifest.json',
    text: one({
      apiVersion: BUNDLE_VERSION,
      kind: 'Bundle',
      observedAt: world.observedAt,
      ...(unread && { unread: anonymiser ? unread.map((one) => anonymiser.unread(one)) : unread }),
    } satisfies Manifest),
  };
  for (const kind of KINDS) {
    const change = anonymiser?.[kind] as ((object: unknown) => unknown) | undefined;
    const text = list<unknown>(world[kind], (object) => {
      const safe: unknown = messagesWithoutSecrets(slim[kind](object), ['message']);
      return change === undefined ? safe : change(safe);
    });
    yield { file: `objects/${kind}.json`, text };
  }
  for (const [node, report] of world.reports) {
    if (!NODE_FILE.test(`${node}.json`))
      throw new UserError(`cannot write the report of node ${JSON.stringify(node)}: not a name of a node`);
    const safe =
      'value' in report
        ? { value: reportWithoutSecrets(report.value) }
        : { unknown: textWithoutSecrets(report.unknown) };
    const kept = anonymiser === undefined ? safe : anonymiser.report(safe);
    yield {
      file: `nodes/${anonymiser?.node(node) ?? node}.json`,
      text: one('value' in kept ? kept.value : kept),
    };
  }
  const text = list(world.probes, (probe) => {
    const safe = messagesWithoutSecrets(probe, ['detail', 'untold']);
    return anonymiser === undefined ? safe : anonymiser.probe(safe);
  });
  yield { file: 'probes.json', text };
}

function* one(document: unknown): Generator<string> {
  yield `${JSON.stringify(document)}\n`;
}

/** A list of what each item becomes, a line each. */
function* list<T>(items: readonly T[], change: (item: T) => unknown): Generator<string> {
  yield '[';
  for (const [i, item] of items.entries()) yield `${i === 0 ? '' : ',\n'}${JSON.stringify(change(item))}`;
  yield ']\n';
}
