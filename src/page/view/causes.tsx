import { useState } from 'preact/hooks';
import { safeText } from '../../util/safe-text.ts';
import type { CauseData, PageData } from '../data.ts';
import { Command } from './command.tsx';
import { count } from './count.ts';
import { hurtText } from './hurt-text.ts';
import { linkTo } from './links.ts';
import { Lines, Mark, Name, Prose, Section } from './marks.tsx';
import { NO_FILTER, type PageIndex } from './page-index.ts';
import { WayDrawing } from './way-drawing.tsx';

/** Causes that are shown before a button shows more. */
const FIRST = 12;
/** Names of nodes and findings that a cause lists before a count of the rest. */
const MAX_NAMES = 200;
const MAX_FINDINGS = 20;

/** The causes, by how many pods they hurt, each with its fix. `open`: the id of the one that a link leads to. Printed, all are open. */
export function Causes({ index, open, isPrinting }: { index: PageIndex; open: string; isPrinting: boolean }) {
  const { causes } = index.data;
  const [more, setMore] = useState(false);
  const wanted = causes.findIndex(({ id }) => id === open);
  const shown = more || wanted >= FIRST ? causes : causes.slice(0, FIRST);
  if (causes.length === 0) return null;
  return (
    <Section id="causes" title={causes.length === 1 ? 'The cause' : `${count(causes.length, 'cause')}`}>
      {shown.map((cause) => (
        <Cause key={cause.id} cause={cause} index={index} isOpen={isPrinting || cause.id === open} />
      ))}
      {shown.length === causes.length ? null : (
        <button type="button" class="more" onClick={() => setMore(true)}>
          Show {count(causes.length - shown.length, 'more cause')}
        </button>
      )}
    </Section>
  );
}

/** One cause in full. */
export function Cause({ cause, index, isOpen }: { cause: CauseData; index: PageIndex; isOpen: boolean }) {
  const { id, code, stage, severity, message, example, advice } = cause;
  const hurt = cause.paths.length;
  return (
    <article class={`card cause ${severity}`} id={linkTo({ cause: id }).slice(1)}>
      <h3>
        {severity === 'note' ? (
          <span class="mark note">
            <span aria-hidden="true">i</span>
            <span class="unseen">note</span>
          </span>
        ) : (
          <Mark kind={severity} />
        )}
        <span>
          <Lines text={message} />
        </span>
      </h3>
      <p class="meta">
        <a href={linkTo({ cause: id })}>{code}</a>
        <span>at stage {stage}</span>
        <span>
          {severity === 'note' ? 'looks wrong, but is not' : hurtText(cause)}
          {hurt === 0 || severity === 'note' ? null : (
            <>
              {': '}
              <a href={linkTo({ filter: { ...NO_FILTER, code } })}>show {count(hurt, 'mapping')}</a>
            </>
          )}
        </span>
      </p>
      {hurt === 0 ? null : (
        <figure class="drawing">
          <figcaption class="hint">
            <Name text={mappingName(index, cause.paths[0]!)} />
            {hurt === 1 ? '' : `, the first of ${hurt.toLocaleString('en')}`}
          </figcaption>
          <WayDrawing index={index} path={cause.paths[0]!} />
        </figure>
      )}
      {example === undefined ? null : (
        <p class="hint">
          These are the words of <Name text={example} />; the others differ in values.
        </p>
      )}
      {advice.fix === undefined ? null : <Command text={advice.fix} what={`the fix of ${code}`} />}
      <p>
        <Prose text={advice.remedy} />
      </p>
      <p class="hint">
        Restart: <Prose text={advice.restart} />
      </p>
      <details open={isOpen}>
        <summary>Evidence and explanation</summary>
        <p>
          <Prose text={advice.why} />
        </p>
        <Findings cause={cause} index={index} />
        <p class="hint">
          All about it: <code>{safeText(advice.read)}</code>
        </p>
      </details>
    </article>
  );
}

function mappingName(index: PageIndex, path: number): string {
  return `${index.port(path)} of ${index.pod(path)} on ${index.node(path) || 'no node yet'}`;
}

function Findings({ cause, index }: { cause: CauseData; index: PageIndex }) {
  const { findings } = cause;
  return (
    <>
      {cause.nodes.length > 1 ? (
        <p>
          Nodes:{' '}
          {cause.nodes.slice(0, MAX_NAMES).map((node, i) => (
            <span key={node}>
              {i === 0 ? '' : ', '}
              <a href={linkTo({ filter: { ...NO_FILTER, code: cause.code, node: index.text(node) } })}>
                <Name text={index.text(node)} />
              </a>
            </span>
          ))}
          {cause.nodes.length > MAX_NAMES ? ` and ${cause.nodes.length - MAX_NAMES} more` : ''}
        </p>
      ) : null}
      {findings.slice(0, MAX_FINDINGS).map((finding) => (
        <FindingEvidence
          key={finding}
          finding={finding}
          data={index.data}
          isNamed={findings.length > 1}
          index={index}
        />
      ))}
      {findings.length > MAX_FINDINGS ? (
        <p class="hint">
          And {count(findings.length - MAX_FINDINGS, 'more finding')}: choose a mapping below for its own
          evidence.
        </p>
      ) : null}
    </>
  );
}

/** What was observed for a finding. `isNamed`: begin with what it is about. */
export function FindingEvidence({
  finding,
  data,
  isNamed,
  index,
}: {
  finding: number;
  data: PageData;
  isNamed: boolean;
  index: PageIndex;
}) {
  const { node, pod, message, evidence } = data.findings;
  const own = evidence[finding]!;
  const said = index.text(message[finding]);
  const about = [index.text(pod[finding]), index.text(node[finding])].filter(Boolean).join(' on ');
  return (
    <div class="finding">
      {isNamed ? <p>{said === '' ? <Name text={about} /> : <Lines text={said} />}</p> : null}
      {finding >= data.evidenceOf && own.length === 0 ? (
        <p class="hint">Its evidence has no room in this page: hostport doctor -o json has it.</p>
      ) : null}
      {own.length === 0 ? null : (
        <dl class="evidence">
          {own.map((place) => {
            const [kind, where, saw] = data.evidence[place]!;
            return (
              <div key={place}>
                <dt>
                  {index.text(kind)} <Name text={index.text(where)} />
                </dt>
                <dd>
                  <Lines text={index.text(saw).trimEnd()} />
                </dd>
              </div>
            );
          })}
        </dl>
      )}
    </div>
  );
}
