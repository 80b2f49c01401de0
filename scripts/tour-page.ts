/**
 * The tour as a page: `bun scripts/tour-page.ts` writes docs/tour.html from what a real tour showed (test/fixtures/tour.json).
 * `bun scripts/tour-page.ts --record` takes the tour on this machine first, as root with a built program, and stores what it shows. A test
 * holds the page to the recording.
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { terminalProgress } from '../src/cli/printer/progress.ts';
import { chosen } from '../src/lab/engine/choose.ts';
import type { Stage } from '../src/lab/tour/guide.ts';
import { takeTour } from '../src/lab/tour/take.ts';
import { escaped } from '../src/page/html.ts';
import { distributionOf } from '../src/sys/distribution.ts';
import { realExec } from '../src/sys/exec.ts';
import { VERSION } from '../src/util/version.ts';
import { ending } from './ending.ts';

const ROOT = join(import.meta.dir, '..');
export const RECORDING = join(ROOT, 'test/fixtures/tour.json');
export const PAGE = join(ROOT, 'docs/tour.html');

/** What a tour shows, one after the other. */
export type Scene =
  | { kind: 'heading'; text: string }
  | { kind: 'command'; shown: string; output: string }
  | { kind: 'expectation'; text: string; met: boolean };

/** A tour that was taken. */
export interface Recording {
  version: string;
  /** The day, in UTC. */
  day: string;
  scenes: Scene[];
}

async function record(): Promise<Recording> {
  const scenes: Scene[] = [];
  // Paths of the machine on which it is taken are not the reader's.
  const here = (text: string) => text.replaceAll(`${ROOT}/`, '');
  const stage: Stage = {
    heading: (text) => scenes.push({ kind: 'heading', text }),
    command: (shown, output) =>
      scenes.push({ kind: 'command', shown: here(shown), output: here(output.trimEnd()) }),
    expectation: (text, met) => scenes.push({ kind: 'expectation', text, met }),
  };
  const programs = await chosen({});
  const options = { ...programs, portmap: 'ours', backend: 'iptables', keep: false } as const;
  const { failure } = await takeTour(options, {
    exec: realExec,
    distribution: distributionOf(join(ROOT, 'bin/hostport')),
    progress: terminalProgress(process.stderr),
    stage,
    signal: new AbortController().signal,
  });
  if (failure !== undefined) throw new Error(`cannot record the tour: ${failure.step}: ${failure.text}`);
  return { version: VERSION, day: new Date().toISOString().slice(0, 10), scenes };
}

/** The page: one file that loads nothing. */
export function tourPage({ version, day, scenes }: Recording): string {
  const parts = sectionsOf(scenes);
  const met = scenes.filter((scene) => scene.kind === 'expectation' && scene.met).length;
  const contents = parts.map(
    ({ heading }, i) => `        <li><a href="#step-${i + 1}">${escaped(heading)}</a></li>`,
  );
  const sections = parts.map(
    ({ heading, shown }, i) => `      <section id="step-${i + 1}" aria-labelledby="heading-${i + 1}">
        <h2 id="heading-${i + 1}">${i + 1}. ${escaped(heading)}</h2>
${shown.map(sceneHtml).join('\n')}
      </section>`,
  );
  const hash = createHash('sha256').update(STYLE).digest('base64');
  return `<!doctype html>
<!-- Written by scripts/tour-page.ts from a recorded tour -->
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${hash}'">
    <meta name="color-scheme" content="light dark">
    <title>hostport tour: why a hostPort does not answer</title>
    <style>${STYLE}</style>
  </head>
  <body>
    <header>
      <h1>A tour of hostPorts</h1>
      <p>Three workers, each with a pod that asks for <code>hostPort: 80</code>. One answers, one is stuck, one is silently dead. This is what
        <code>hostport tour</code> showed, command by command, on ${escaped(day)} (version ${escaped(version)}): ${met} expectations, all met. It runs on
        a cluster of real containerd nodes that it creates in seconds, and removes at the end.</p>
    </header>
    <nav aria-label="Steps">
      <ol>
${contents.join('\n')}
      </ol>
    </nav>
    <main>
${sections.join('\n')}
    </main>
    <footer>
      <p>To take it yourself: <code>make build &amp;&amp; bin/hostport tour</code></p>
    </footer>
  </body>
</html>
`;
}

interface Section {
  heading: string;
  shown: Exclude<Scene, { kind: 'heading' }>[];
}

/** The scenes below their headings. A heading under which nothing is shown is that of the cluster's creation, which is progress. */
function sectionsOf(scenes: readonly Scene[]): Section[] {
  const sections: Section[] = [];
  for (const scene of scenes) {
    if (scene.kind === 'heading') sections.push({ heading: scene.text, shown: [] });
    else sections.at(-1)!.shown.push(scene);
  }
  return sections.filter(({ shown }) => shown.length > 0);
}

function sceneHtml(scene: Section['shown'][number]): string {
  if (scene.kind === 'expectation') {
    const [mark, word] = scene.met ? ['✓', 'as expected'] : ['✗', 'not as expected'];
    return `        <p class="${scene.met ? 'met' : 'failed'}"><span aria-hidden="true">${mark}</span> <span class="spoken">${word}: </span>${escaped(scene.text)}</p>`;
  }
  const output = scene.output === '' ? '' : `\n<samp>${linesOf(scene.output)}</samp>`;
  // Reached by the keyboard, since a long line scrolls.
  return `        <pre tabindex="0" role="group" aria-label="Command and its output"><kbd>${linesOf(scene.shown)}</kbd>${output}</pre>`;
}

/** Text of several lines as HTML. */
function linesOf(text: string): string {
  return text
    .split('\n')
    .map((line) => escaped(line))
    .join('\n');
}

const STYLE = `
:root { --text: #1c2024; --faint: #5a626b; --back: #ffffff; --panel: #f3f5f7; --line: #d6dbe0; --good: #1a6b37; --bad: #b3261e; --link: #0b57a4; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ec; --faint: #a3acb5; --back: #14171a; --panel: #1e2327; --line: #39414a; --good: #6ecb8b; --bad: #ff8f86; --link: #8ec2ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem; color: var(--text); background: var(--back); font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .7rem; }
a { color: var(--link); }
nav ol { padding-left: 1.4rem; }
pre { margin: .7rem 0; padding: .8rem 1rem; overflow-x: auto; background: var(--panel); border: 1px solid var(--line); border-radius: .4rem; font: .82rem/1.5 ui-monospace, monospace; }
kbd, samp, code { font-family: ui-monospace, monospace; }
kbd { font-weight: 600; }
kbd::before { content: "$ "; color: var(--faint); }
samp { color: var(--faint); }
.met { margin: .3rem 0; color: var(--good); }
.failed { margin: .3rem 0; color: var(--bad); font-weight: 600; }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); color: var(--faint); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
@media print { nav { display: none; } pre { white-space: pre-wrap; } }
`;

if (import.meta.main) {
  await ending(async () => {
    if (process.argv.includes('--record'))
      writeFileSync(RECORDING, `${JSON.stringify(await record(), null, 2)}\n`);
    writeFileSync(PAGE, tourPage(JSON.parse(readFileSync(RECORDING, 'utf8')) as Recording));
  });
}
