import { useState } from 'preact/hooks';
import { stageQuestions, stages } from '../../path/model/stages.ts';
import { FindingEvidence } from './causes.tsx';
import { count } from './count.ts';
import { inWords } from './in-words.ts';
import { linkTo } from './links.ts';
import { Lines, Mark, Name } from './marks.tsx';
import type { PageIndex } from './page-index.ts';
import { SIGNS } from './signs.ts';
import { stationNames, WayDrawing } from './way-drawing.tsx';
import { linksOf } from './way-links.ts';

/** Mappings that are listed at a time. */
const AT_A_TIME = 50;
/** With as few, all are open from the beginning. */
const FEW = 3;

/** The mappings of a choice, each with its way to open. `chosen`: the one that a link leads to; it is first. */
export function Mappings({
  index,
  paths,
  chosen,
}: {
  index: PageIndex;
  paths: readonly number[];
  chosen: number | undefined;
}) {
  const [shown, setShown] = useState({ of: paths, number: AT_A_TIME });
  const number = shown.of === paths ? shown.number : AT_A_TIME;
  const listed = paths.slice(0, number);
  if (chosen !== undefined && !listed.includes(chosen)) listed.unshift(chosen);
  return (
    <>
      {listed.map((path) => (
        <Mapping
          key={index.keyOf(path)}
          index={index}
          path={path}
          isChosen={path === chosen}
          isFew={paths.length <= FEW}
        />
      ))}
      {number >= paths.length ? null : (
        <button
          type="button"
          class="more"
          onClick={() => setShown({ of: paths, number: number + AT_A_TIME })}
        >
          Show {count(Math.min(AT_A_TIME, paths.length - number), 'more mapping')} of{' '}
          {(paths.length - number).toLocaleString('en')}
        </button>
      )}
    </>
  );
}

/** A mapping: in a line how it is, and when it is open its way. */
export function Mapping({
  index,
  path,
  isChosen,
  isFew,
}: {
  index: PageIndex;
  path: number;
  isChosen: boolean;
  isFew: boolean;
}) {
  const [isOpen, setOpen] = useState<boolean>();
  const state = index.stateOf(path);
  const open = isOpen ?? (isChosen || isFew);
  const key = index.keyOf(path);
  const node = index.node(path);
  return (
    <article class={`card mapping ${state}`} id={linkTo({ mapping: key }).slice(1)}>
      <h3>
        <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
          <Mark kind={state} />
          <span>
            <Name text={index.port(path)} /> of <Name text={index.pod(path)} />
            {node === '' ? ', which has no node yet' : ' on '}
            <Name text={node} />
          </span>
        </button>
      </h3>
      <p class="meta">
        <Strip index={index} path={path} />
        <span>{inWords(index, path)}</span>
        <a href={linkTo({ mapping: key })}>link to this mapping</a>
      </p>
      {open ? <Way index={index} path={path} /> : null}
    </article>
  );
}

/** The eight verdicts as signs. */
function Strip({ index, path }: { index: PageIndex; path: number }) {
  return (
    <span class="strip" aria-hidden="true">
      {index.cells(path).map(({ verdict }, i) => (
        <span key={stages[i]} class={`mark ${verdict}`}>
          {SIGNS[verdict].sign}
        </span>
      ))}
    </span>
  );
}

/** The way of a mapping: drawn, and stage by stage with names and evidence. */
export function Way({ index, path }: { index: PageIndex; path: number }) {
  const names = stationNames(index, path);
  const findings = index.findings(path);
  const { data } = index;
  const stageOf = (finding: number) => data.causes[data.findings.cause[finding]!]!.stage;
  const reply = index.name(path, 'reply');
  const links = linksOf(index.cells(path).map(({ verdict }) => verdict));
  return (
    <div class="path">
      <div class="drawing">
        <WayDrawing index={index} path={path} />
      </div>
      <ol class="stages">
        {stages.map((stage, i) => {
          const { verdict, codes, reason } = index.cells(path)[i]!;
          const why = index.text(reason);
          const rule = stage === 'translated' ? index.name(path, 'rule') : '';
          const shown = [...names[stage], rule].filter((name) => name !== '');
          const own = findings.filter((finding) => stageOf(finding) === stage);
          return (
            <li key={stage} class={`${verdict} by-${links[i - 1] ?? 'nothing'}`}>
              <div class="stage">
                <Mark kind={verdict} silent />
                <b>{stage}</b> <span class="verdict">{SIGNS[verdict].word}</span>
              </div>
              <div>
                {verdict === 'ok' ? null : <p class="hint">{stageQuestions[stage]}</p>}
                {shown.map((name) => (
                  <code key={name}>
                    <Name text={name} />
                  </code>
                ))}
                {why === '' ? null : (
                  <p>
                    {verdict === 'muted' ? 'follows from ' : ''}
                    <Lines text={why} />
                  </p>
                )}
                {own.map((finding) => {
                  const cause = data.causes[data.findings.cause[finding]!]!;
                  const said = index.text(data.findings.message[finding]) || cause.message;
                  return (
                    <details key={finding}>
                      <summary>
                        <Lines text={said} />
                      </summary>
                      <FindingEvidence finding={finding} data={data} isNamed={false} index={index} />
                      <p>
                        <a href={linkTo({ cause: cause.id })}>The cause and its fix: {cause.code}</a>
                      </p>
                    </details>
                  );
                })}
                {own.length === 0 && codes.length > 0 ? <p>{codes.join(', ')}</p> : null}
              </div>
            </li>
          );
        })}
        <li class="reply">
          <div class="stage">
            <span class="mark" aria-hidden="true">
              ↩
            </span>
            <b>the answer</b>
          </div>
          <div>
            {reply === '' ? (
              <p>
                Its way is not known
                {index.name(path, 'replyUnknown') === '' ? '' : ': '}
                <Lines text={index.name(path, 'replyUnknown')} />
              </p>
            ) : (
              <code>
                <Name text={reply} />
              </code>
            )}
          </div>
        </li>
      </ol>
    </div>
  );
}
