/**
 * The pages of docs/failures and the tables of its README, from the definitions of the failures, their injectors, and what the lab
 * printed (test/fixtures/failures): `bun scripts/failure-pages.ts` writes them. A test holds the files to what is written here.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { faultOf } from '../src/lab/faults/index.ts';
import type { Restart } from '../src/path/model/finding.ts';
import { stages } from '../src/path/model/stages.ts';
import type { Failure, Markdown } from '../src/path/stages/failure.ts';
import { catalogue } from '../src/path/stages/index.ts';

const ROOT = join(import.meta.dir, '..');
export const PAGES = join(ROOT, 'docs/failures');
/** What the lab printed of each failure, `<code>/doctor.txt` and `<code>/heal.txt`; test/e2e/catalogue.test.ts keeps them. */
export const CAPTURES = join(ROOT, 'test/fixtures/failures');
/** Longest line of running text, in characters. */
const WIDTH = 118;

/** All files of docs/failures by name. */
export function failurePages(): Map<string, string> {
  return new Map([
    ...catalogue.map((failure): [string, string] => [`${failure.code}.md`, pageOf(failure)]),
    ['README.md', withTables(readFileSync(join(PAGES, 'README.md'), 'utf8'))],
  ]);
}

/** Writes a directory's pages. Returns the names of the files that it removed because no page has them. */
export function writePages(directory: string, pages: ReadonlyMap<string, string>): string[] {
  const unknown = readdirSync(directory).filter((name) => !pages.has(name));
  for (const name of unknown) rmSync(join(directory, name));
  for (const [name, text] of pages) writeFileSync(join(directory, name), text);
  return unknown.sort();
}

function pageOf(failure: Failure): string {
  const { code, stage, severity, title, explanation, restart, sources, page } = failure;
  const [doctor, heal] = [captured(code, 'doctor'), captured(code, 'heal')];
  return sections([
    [`# ${code}: ${title}`, [`Stage **${stage}** · severity **${severity}** · restart **${restart}**`]],
    ['## What you see', markdown(page.see)],
    ['## Why', [wrapped(explanation), ...markdown(page.why ?? [])]],
    ['## How to check by hand', [fenced(page.check.run.join('\n'), 'sh'), ...markdown(page.check.look)]],
    [
      '## How to fix it',
      [
        ...markdown(page.fix, '**By hand.** '),
        ...healed(failure, heal),
        wrapped(`**Restart.** ${restartOf(failure)}`),
      ],
    ],
    [
      '## See it in the lab',
      faultOf(failure).impossible === undefined
        ? [
            fenced(
              [`hostport break ${code}`, 'hostport doctor', 'hostport heal --yes', 'hostport unbreak'].join(
                '\n',
              ),
            ),
            wrapped(
              `\`break\` ${faultOf(failure).does}.${doctor === undefined ? '' : ' The doctor then reports:'}`,
            ),
            ...(doctor === undefined ? [] : [fenced(doctor)]),
          ]
        : [
            wrapped(
              `The lab cannot have it: ${faultOf(failure).impossible}. It is tested on recorded nodes.`,
            ),
          ],
    ],
    ['## Sources', [sources.map((source) => `- ${sourceLink(source)}`).join('\n')]],
    [`<!-- Written by scripts/failure-pages.ts from src/path/stages/${stage}/${code}.ts -->`, []],
  ]);
}

/** How `hostport heal` fixes it, as the lab printed it; undefined when it has not been captured yet. */
function healed({ code, page }: Failure, heal: string | undefined): string[] {
  const LABEL = '**With hostport.** ';
  const left = heal?.match(/^by hand: (.*)$/)?.[1];
  if (left !== undefined) return [wrapped(`${LABEL}\`hostport heal\` does not fix this: ${left}.`)];
  const command = `\`hostport heal --yes --only ${code}\`.`;
  if (heal === undefined) return [`${LABEL}${command}`];
  return [...markdown(page.heal ?? `${command} Its plan in the lab:`, LABEL), fenced(heal)];
}

function restartOf({ restart, restartReason, stage, page }: Failure): string {
  if (page.restart !== undefined) return page.restart;
  // What is wrong with a configuration shows in pods that were created by it: they are another finding once it is right.
  if (restart === 'avoided' && stage === 'configured') return AVOIDED_LATER;
  return restart === 'needed' ? `The pod must be recreated: ${restartReason}.` : RESTARTS[restart];
}

const ADD =
  "`hostport heal` runs portmap's ADD on the existing sandbox, with the cached result of its attachment";
const AVOIDED_LATER = `Commonly done, but avoided here: once the configuration is right, ${ADD} (\`pod-predates-chain\`).`;
const RESTARTS: Readonly<Record<Exclude<Restart, 'needed'>, string>> = {
  no: 'Not needed: the fix changes the node or the cluster, and running pods benefit without a restart.',
  avoided: `Commonly done, but avoided here: ${ADD}.`,
};

/** `owner/repository#1` and addresses become links; what else there is stays as it is. */
function sourceLink(source: string): string {
  const issue = source.match(/^([\w.-]+\/[\w.-]+)#(\d+)$/);
  if (issue !== null) return `[${source}](https://github.com/${issue[1]}/issues/${issue[2]})`;
  return source.replace(/^https:\S+/, '<$&>');
}

/** What the lab printed, without its last line break; undefined when nothing is stored. */
function captured(code: string, what: 'doctor' | 'heal'): string | undefined {
  const path = join(CAPTURES, code, `${what}.txt`);
  return existsSync(path) ? readFileSync(path, 'utf8').trimEnd() : undefined;
}

const BEGIN = '<!-- Tables: written by scripts/failure-pages.ts -->';
const END = '<!-- End of the tables -->';

/** A README with the tables of all stages between its two marks. */
function withTables(readme: string): string {
  const [before, rest = ''] = readme.split(BEGIN);
  const after = rest.split(END)[1];
  if (after === undefined) throw new Error(`docs/failures/README.md: want ${BEGIN} and ${END}`);
  const tables = stages.map((stage) => {
    const rows = catalogue
      .filter((failure) => failure.stage === stage)
      .map(
        ({ code, title, severity, restart }) =>
          `| [${code}](${code}.md) | ${title} | ${severity} | ${restart} |`,
      );
    return [`## ${stage}`, '| code | what | severity | restart |', '|---|---|---|---|', ...rows].join('\n');
  });
  return `${before}${BEGIN}\n${tables.join('\n\n')}\n\n${END}${after}`;
}

function sections(parts: readonly (readonly [heading: string, blocks: readonly string[]])[]): string {
  const texts = parts.map(([heading, blocks]) =>
    // Only the title is set off from its text.
    heading.startsWith('## ') ? `${heading}\n${blocks.join('\n\n')}` : [heading, ...blocks].join('\n\n'),
  );
  return `${texts.join('\n\n')}\n`;
}

function markdown(text: Markdown, label = ''): string[] {
  const [first = '', ...rest] = typeof text === 'string' ? [text] : text;
  return [label + first, ...rest].filter((block) => block !== '').map(wrapped);
}

/** A paragraph in lines of at most {@link WIDTH} characters, unless a word is longer; tables and lists stay as they are. */
function wrapped(block: string): string {
  if (/^[|-]/.test(block)) return block;
  const lines: string[] = [];
  for (const word of block.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join('\n');
}

function fenced(text: string, language = ''): string {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}

if (import.meta.main) {
  for (const name of writePages(PAGES, failurePages())) console.log(`removed docs/failures/${name}`);
}
