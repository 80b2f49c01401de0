import type { ComponentChildren } from 'preact';
import { useEffect, useMemo, useState } from 'preact/hooks';
import { safeText } from '../../util/safe-text.ts';
import type { PageData } from '../data.ts';
import { Causes } from './causes.tsx';
import { count } from './count.ts';
import { Filters } from './filters.tsx';
import { linkTo } from './links.ts';
import { Mappings } from './mappings.tsx';
import { Lines, Mark, Name, Section } from './marks.tsx';
import { NodeMapView } from './node-map.tsx';
import { type Filter, NO_FILTER, PageIndex, states } from './page-index.ts';
import type { PlaceShown } from './place.ts';
import { SIGNS } from './signs.ts';
import { verdictOf } from './verdict.ts';

/** The whole page of a diagnosis. */
export function Report({ data, ...shown }: { data: PageData } & PlaceShown) {
  const index = useMemo(() => new PageIndex(data), [data]);
  return (
    <>
      <header class="top">
        <p class="what">
          <Name text={data.title} />
        </p>
        <p class="hint">
          <time dateTime={data.observedAt}>{safeText(data.observedAt)}</time> by hostport {data.version}
        </p>
        {index.length < data.examined ? (
          <p class="hint">
            {index.length.toLocaleString('en')} of {count(data.examined, 'hostPort')}, as chosen
          </p>
        ) : null}
        <ThemeChoice />
      </header>
      <main>
        <DiagnosisView index={index} {...shown} />
      </main>
      <footer>
        <p>
          A picture of {safeText(data.observedAt)}: it does not change. It holds names and addresses of the
          cluster, and no secrets. Made by <code>hostport doctor -o html</code>.
        </p>
      </footer>
    </>
  );
}

/** All that a diagnosis says. `children`: what comes after the causes. */
export function DiagnosisView({
  index,
  place,
  isPrinting,
  onPlace,
  children,
}: { index: PageIndex; children?: ComponentChildren } & PlaceShown) {
  const { filter } = place;
  const paths = useMemo(() => index.matching(filter), [index, filter]);
  const chosen = place.mapping === '' ? undefined : index.pathOf(place.mapping);
  const set = (next: Filter) => onPlace({ cause: '', mapping: '', filter: next });
  return (
    <>
      <Verdict index={index} />
      <Causes index={index} open={place.cause} isPrinting={isPrinting} />
      {children}
      {index.length === 0 ? null : (
        <Section id="map" title="Nodes and hostPorts">
          <Filters index={index} filter={filter} shown={paths.length} onChange={set} />
          <NodeMapView
            index={index}
            paths={paths}
            choice={linkTo({ filter })}
            isPrinting={isPrinting}
            onChoose={(node, port) => set({ ...filter, node, port })}
          />
        </Section>
      )}
      {index.length === 0 ? null : (
        <Section id="mappings" title="The way of each hostPort">
          <Legend />
          <Mappings index={index} paths={paths} chosen={chosen} />
        </Section>
      )}
      <Unknowns index={index} />
    </>
  );
}

/** The verdict in a sentence, which a screen reader hears when it changes, and the number of mappings in each state. */
export function Verdict({ index }: { index: PageIndex }) {
  const shown = states.filter((state) => index.counts[state] > 0);
  const worst = shown[0] ?? 'unknown';
  return (
    <section class={`verdict ${worst}`} aria-labelledby="verdict-title">
      <h1 id="verdict-title">
        <span role="status">{verdictOf(index)}</span>
      </h1>
      {index.length === 0 ? null : (
        <ul class="counts">
          {shown.map((state) => (
            <li key={state} style={{ flexGrow: index.counts[state] }} class={state}>
              <a href={linkTo({ filter: { ...NO_FILTER, state } })}>
                <Mark kind={state} silent /> {index.counts[state].toLocaleString('en')} {SIGNS[state].word}
              </a>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

const LEGEND = ['ok', 'broken', 'risk', 'unknown', 'muted'] as const;

function Legend() {
  return (
    <p class="legend hint">
      {LEGEND.map((kind) => (
        <span key={kind}>
          <Mark kind={kind} silent /> {kind === 'muted' ? 'follows from another stage' : SIGNS[kind].word}
        </span>
      ))}
    </p>
  );
}

/** Reasons that are listed before a button shows more. */
const FIRST_REASONS = 20;
/** Nodes whose names are listed before a count of the rest. */
const MAX_NODES = 50;

/** What could not be observed, and the stages that are unknown. */
export function Unknowns({ index }: { index: PageIndex }) {
  const { unknowns, unknownStages } = index.data;
  const [more, setMore] = useState(false);
  if (unknowns.length + unknownStages.length === 0) return null;
  const shown = more ? unknownStages : unknownStages.slice(0, FIRST_REASONS);
  return (
    <Section id="unknown" title="What is unknown, and why">
      <ul class="unknowns">
        {unknowns.map(({ nodes, what, why }) => (
          <li key={`${what} ${why} ${nodes[0]}`} class="card unknown">
            <Mark kind="unknown" />{' '}
            {nodes.slice(0, MAX_NODES).map((node, i) => (
              <span key={node}>
                {i === 0 ? '' : ', '}
                <Name text={index.text(node)} />
              </span>
            ))}
            {nodes.length > MAX_NODES ? ` and ${nodes.length - MAX_NODES} more` : ''}
            {nodes.length > 0 ? ': ' : ''}
            <Name text={what} />: <Lines text={why} />
          </li>
        ))}
        {shown.map(({ stages, why, paths }) => (
          <li key={`${stages.join()} ${why}`} class="card unknown">
            <Mark kind="unknown" />{' '}
            <a href={linkTo({ filter: { ...NO_FILTER, state: 'unknown', stage: stages[0]! } })}>
              {stages.join(', ')} of {count(paths, 'mapping')}
            </a>
            : <Lines text={why} />
          </li>
        ))}
      </ul>
      {shown.length === unknownStages.length ? null : (
        <button type="button" class="more" onClick={() => setMore(true)}>
          Show {count(unknownStages.length - shown.length, 'more reason')}
        </button>
      )}
    </Section>
  );
}

const THEMES = ['system', 'light', 'dark'] as const;

/** Light, dark, or as the reader's system is. */
export function ThemeChoice() {
  const [theme, setTheme] = useState<(typeof THEMES)[number]>('system');
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  return (
    <fieldset class="theme">
      <legend class="unseen">Colours</legend>
      {THEMES.map((each) => (
        <label key={each}>
          <input type="radio" name="theme" checked={theme === each} onChange={() => setTheme(each)} />
          {each}
        </label>
      ))}
    </fieldset>
  );
}
