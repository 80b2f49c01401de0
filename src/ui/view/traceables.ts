import type { PageIndex } from '../../page/view/page-index.ts';
import type { Traceable } from './trace.tsx';

/** The hostPorts of a cluster that can be traced: those on a node, at an address that others reach. */
export function traceables(index: PageIndex): Traceable[] {
  const found = new Map<string, Traceable>();
  for (let path = 0; path < index.length; path++) {
    const node = index.node(path);
    const [, protocol = '', port = ''] = /^(TCP|UDP|SCTP) (?:.*:)?(\d+)/.exec(index.port(path)) ?? [];
    if (node === '' || port === '') continue;
    const label = `${node}, ${protocol} ${port} (${index.pod(path)})`;
    found.set(label, {
      node,
      port: Number(port),
      protocol: protocol.toLowerCase() as Traceable['protocol'],
      label,
    });
  }
  return [...found.values()];
}
