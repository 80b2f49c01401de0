/** How many bytes are read to determine the kind of a file. */
const LOOKED_AT = 4096;

/** What a file holds, by size and kind, for a file that must not be quoted: `512 bytes of YAML-like text`. */
export function describeContent(content: Buffer | string): string {
  const bytes = Buffer.from(content);
  if (bytes.length === 0) return 'empty';
  const size = `${bytes.length} ${bytes.length === 1 ? 'byte' : 'bytes'}`;
  return `${size} of ${kindOf(bytes.subarray(0, LOOKED_AT))}`;
}

/** Whether a text is a description in parentheses that replaces a content. */
export function isDescription(text: string): boolean {
  return /^\((?:empty|\d{1,15} bytes? of [A-Za-z-]{1,10}(?: [A-Za-z-]{1,10}){0,2})\)$/.test(text);
}

function kindOf(head: Buffer): string {
  const magic = MAGIC.find(([first]) => head.subarray(0, first.length).equals(first));
  if (magic !== undefined) return magic[1];
  // A character may be cut in two at the end.
  const text = head.toString('utf8').replace(/\ufffd+$/, '');
  if (/[\u0000-\u0008\u000e-\u001f\ufffd]/.test(text)) return 'binary data';
  if (text.includes('-----BEGIN ')) return 'PEM text';
  const start = text.trimStart();
  if (start === '') return 'white space';
  if (start.startsWith('#!')) return 'a script';
  if (start.startsWith('{') || start.startsWith('[')) return 'JSON-like text';
  if (start.startsWith('<')) return 'XML-like text';
  const line = text.split('\n').find((each) => each.trim() !== '' && !each.startsWith('#')) ?? '';
  if (/^(?:---|[\w./-]{1,100}:(?:\s|$)|- )/.test(line)) return 'YAML-like text';
  return 'text';
}

const MAGIC: readonly [first: Buffer, kind: string][] = [
  [Buffer.from('\u007fELF', 'latin1'), 'an ELF file'],
  [Buffer.from([0x1f, 0x8b]), 'gzip data'],
  [Buffer.from('PK\u0003\u0004', 'latin1'), 'a ZIP archive'],
];
