import { LEFT_OUT, mayHoldSecret, plainTextWithoutSecrets } from './secret-text.ts';

/**
 * Listed rules with secrets left out, as `iptables-save` and `nft -j` print them. A pattern that packets are searched for is left out whatever it
 * is: no verdict depends on it. Comments and prefixes of logs are texts. All else of a rule stays.
 */
export function rulesWithoutSecrets(text: string): string {
  let kept = '';
  let from = 0;
  VALUE.lastIndex = 0;
  for (let found = VALUE.exec(text); found !== null; found = VALUE.exec(text)) {
    const start = VALUE.lastIndex;
    const isQuoted = text[start] === '"';
    const end = isQuoted ? quoteEnd(text, start) : wordEnd(text, start);
    VALUE.lastIndex = end;
    const value = text.slice(start, end);
    const isPattern = found[1] !== undefined;
    if (!isPattern && !mayHoldSecret(value)) continue;
    const inner = isQuoted ? value.slice(1, -1) : value;
    const port = SERVICE_PORT.exec(inner)?.[0] ?? '';
    const without = isPattern ? LEFT_OUT : `${port}${plainTextWithoutSecrets(inner.slice(port.length))}`;
    if (without === inner) continue;
    kept += `${text.slice(from, start)}"${without}"`;
    from = end;
  }
  return kept + text.slice(from);
}

const VALUE = /--(?:(string|hex-string)|comment|log-prefix|nflog-prefix) |"(?:comment|prefix)": ?(?=")/g;

/** How kube-proxy names a port of a Service at the beginning of a comment. */
const SERVICE_PORT = /^[a-z0-9.-]{1,253}\/[a-z0-9.-]{1,253}:[a-z0-9-]{1,15}(?= |$)/;

/** The end of a quoted text, its closing quote included; without one that of the line. */
function quoteEnd(text: string, start: number): number {
  const lineEnd = text.indexOf('\n', start);
  const limit = lineEnd < 0 ? text.length : lineEnd;
  for (let at = start + 1; at < limit; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at + 1;
  }
  return limit;
}

function wordEnd(text: string, start: number): number {
  let end = start;
  while (end < text.length && text[end] !== ' ' && text[end] !== '\n') end++;
  return end;
}
