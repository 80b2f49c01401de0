import { useMemo } from 'preact/hooks';
import { stages } from '../../path/model/stages.ts';
import { safeText } from '../../util/safe-text.ts';
import { count } from './count.ts';
import { type Filter, NO_FILTER, type PageIndex, states } from './page-index.ts';
import { SIGNS } from './signs.ts';

/** Choices that a list still offers; of more, the search is faster. */
const MAX_CHOICES = 2000;

/** What of the mappings is shown. `shown`: how many are. */
export function Filters({
  index,
  filter,
  shown,
  onChange,
}: {
  index: PageIndex;
  filter: Filter;
  shown: number;
  onChange: (filter: Filter) => void;
}) {
  const { nodes, namespaces, ports, codes } = useMemo(() => index.choices(), [index]);
  const set = (field: keyof Filter) => (event: { currentTarget: HTMLInputElement | HTMLSelectElement }) =>
    onChange({ ...filter, [field]: event.currentTarget.value });
  const list = (field: keyof Filter, label: string, all: string, values: readonly string[]) =>
    values.length < 2 && filter[field] === '' ? null : (
      <label>
        {label}
        <select value={filter[field]} onChange={set(field)}>
          <option value="">{all}</option>
          {values.slice(0, MAX_CHOICES).map((value) => (
            <option key={value} value={value}>
              {safeText(value)}
            </option>
          ))}
        </select>
      </label>
    );
  const isFiltered = Object.values(filter).some((value) => value !== '');
  return (
    <search class="filters" aria-label="Mappings">
      <label class="wide">
        Search
        <input
          type="search"
          value={filter.search}
          placeholder="node, pod, port or code"
          onInput={set('search')}
        />
      </label>
      <label>
        State
        <select value={filter.state} onChange={set('state')}>
          <option value="">all</option>
          {states.map((state) => (
            <option key={state} value={state}>
              {SIGNS[state].word} ({index.counts[state].toLocaleString('en')})
            </option>
          ))}
        </select>
      </label>
      {list('stage', 'Fails at stage', 'any', stages)}
      {list('code', 'Code', 'any', codes)}
      {list('node', 'Node', 'all', nodes)}
      {list('namespace', 'Namespace', 'all', namespaces)}
      {list('port', 'hostPort', 'all', ports)}
      <p role="status">
        {isFiltered ? `${shown.toLocaleString('en')} of ` : ''}
        {count(index.length, 'mapping')}{' '}
        {isFiltered ? (
          <button type="button" onClick={() => onChange(NO_FILTER)}>
            Show all
          </button>
        ) : null}
      </p>
    </search>
  );
}
