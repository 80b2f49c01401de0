/** An entry of a list, as it is written. */
type Entry = Record<string, unknown>;

/** A configuration list as it is in its file. */
export interface ListDocument {
  plugins: Entry[];
  [key: string]: unknown;
}

/** JSON as configuration files have it. */
export function formatDocument(document: unknown): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Whether a list entry is portmap. */
export function isPortmap(entry: Entry): boolean {
  return entry.type === 'portmap';
}

/** The list with none of portmap in its chain. */
export function withoutPortmap(list: ListDocument): ListDocument {
  return { ...list, plugins: list.plugins.filter((entry) => !isPortmap(entry)) };
}

/** The list with its entry of portmap as `change` makes it. */
export function changePortmap(list: ListDocument, change: (portmap: Entry) => Entry): ListDocument {
  return { ...list, plugins: list.plugins.map((entry) => (isPortmap(entry) ? change(entry) : entry)) };
}
