import { createHash } from 'node:crypto';
import { safeText } from '../util/safe-text.ts';
import { script, style } from './bundle.gen.ts';
import type { PageData } from './data.ts';
import { type PageInput, pageData } from './model.ts';
import { PageIndex } from './view/page-index.ts';
import { verdictOf } from './view/verdict.ts';

/** The report page of a diagnosis: one file that needs nothing else, and asks no network for anything. */
export function pageHtml(input: PageInput): string {
  const data = pageData(input);
  const verdict = verdictOf(new PageIndex(data));
  return htmlDocument({
    title: `${verdict} ${data.title}`,
    data,
    script,
    style,
    withoutScript: withoutScript(verdict, data),
  });
}

/** What a file of HTML is put together from. */
export interface HtmlDocument {
  title: string;
  /** What the script finds as JSON in the element `data`. */
  data: unknown;
  /** The bundle, which renders into the element `page`. */
  script: string;
  style: string;
  /** HTML for readers that run no scripts, as a mail program's preview. */
  withoutScript: string;
  /** More of the policy of what may be loaded, by its directives: `connect-src 'self'`. */
  policy?: readonly string[];
}

/** A file with script, style and data in it. Its policy lets it run exactly this script and load nothing. */
export function htmlDocument(document: HtmlDocument): string {
  const { title, data, script: code, style: css, withoutScript: plain } = document;
  const json = JSON.stringify(data).replaceAll('<', '\\u003c');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policyOf(document)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
<style>${css}</style>
</head>
<body>
<div id="page"></div>
<noscript>${plain}</noscript>
<script type="application/json" id="data">${json}</script>
<script>${code}</script>
</body>
</html>
`;
}

/** What a document may run and load: its own script and style, by their hashes. */
export function policyOf({
  script: code,
  style: css,
  policy = [],
}: Pick<HtmlDocument, 'script' | 'style' | 'policy'>): string {
  return [
    "default-src 'none'",
    `script-src ${hashOf(code)}`,
    `style-src ${hashOf(css)}`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    ...policy,
  ].join('; ');
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

/** A text from outside as HTML: nothing in it is markup or turns the direction of writing. */
export function escaped(text: string): string {
  return safeText(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Causes that are listed where no script runs. */
const MAX_CAUSES = 50;

function withoutScript(verdict: string, { title, observedAt, causes }: PageData): string {
  const listed = causes.slice(0, MAX_CAUSES).map(({ code, message, advice }) => {
    const { fix, remedy, restart, read } = advice;
    const parts = [message, remedy, `Restart: ${restart}`].map((text) => `<p>${escaped(text)}</p>`);
    const commands = [fix, read].map((text) => (text === undefined ? '' : `<pre>${escaped(text)}</pre>`));
    return `<h2>${escaped(code)}</h2>${[...parts, ...commands].join('')}`;
  });
  return `<p>${escaped(title)} ${escaped(observedAt)}</p><h1>${escaped(verdict)}</h1>${listed.join('')}<p>The map and the evidence need a browser that runs this page's script.</p>`;
}
