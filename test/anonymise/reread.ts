import type { Anonymiser } from '../../src/collect/anonymise/anonymiser.ts';
import { bundleDocuments } from '../../src/collect/bundle-documents.ts';
import { BundleParts } from '../../src/collect/bundle-parts.ts';
import { parseReport } from '../../src/collect/report.ts';
import type { World } from '../../src/path/model/world.ts';

/** A world as it is read from its bundle. */
export function reread(world: World, anonymiser?: Anonymiser): World {
  const parts = new BundleParts();
  const reports = new Map<string, ReturnType<typeof parseReport>>();
  for (const { file, text: pieces } of bundleDocuments(world, anonymiser)) {
    const text = [...pieces].join('');
    const node = /^nodes\/(.*)\.json$/.exec(file)?.[1];
    if (node === undefined) parts.take(file, text);
    else reports.set(node, parseReport(text, file));
  }
  parts.reports = reports;
  return parts.world('bundle');
}
