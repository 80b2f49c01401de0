import { useState } from 'preact/hooks';
import { Lines, Name, Section } from '../../page/view/marks.tsx';
import { stages } from '../../path/model/stages.ts';
import { safeText } from '../../util/safe-text.ts';
import type { LabOrder } from '../lab-door.ts';
import type { LabState, UiStart } from '../protocol.ts';
import type { Answer } from './connection.ts';
import { NodeOptions } from './node-options.tsx';
import { timeOf } from './times.ts';

/** What breaks and fixes the lab. */
export function Workbench({
  faults,
  nodes,
  lab,
  onOrder,
}: {
  faults: NonNullable<UiStart['faults']>;
  nodes: readonly string[];
  lab: LabState;
  onOrder: (order: LabOrder) => Promise<Answer>;
}) {
  const [code, setCode] = useState('');
  const [node, setNode] = useState('');
  const [restart, setRestart] = useState(false);
  const [refused, setRefused] = useState('');
  const { injected, running, last } = lab;
  const order = async (what: LabOrder) => {
    setRefused('');
    const { ok, text } = await onOrder(what);
    if (!ok) setRefused(text);
  };
  const isBusy = running !== undefined;
  const fault = faults.find((each) => each.code === code);
  return (
    <Section id="lab" title="Break it, fix it">
      <div class="card bench">
        <form
          class="filters"
          onSubmit={(event) => {
            event.preventDefault();
            if (code !== '') order({ do: 'break', code, ...(node !== '' && { node }) });
          }}
        >
          <label class="wide">
            Failure
            <select value={code} onChange={(event) => setCode(event.currentTarget.value)}>
              <option value="">choose one</option>
              {stages.map((stage) => (
                <optgroup key={stage} label={stage}>
                  {faults
                    .filter((each) => each.stage === stage)
                    .map((each) => (
                      <option key={each.code} value={each.code}>
                        {each.code}
                      </option>
                    ))}
                </optgroup>
              ))}
            </select>
          </label>
          <label>
            Node
            <select value={node} onChange={(event) => setNode(event.currentTarget.value)}>
              <option value="">the first that suits</option>
              <NodeOptions nodes={nodes} />
            </select>
          </label>
          <button type="submit" disabled={isBusy || code === ''}>
            Break
          </button>
          <p>
            {fault === undefined
              ? 'Each failure is injected the way it happens on real clusters.'
              : `${fault.title}: ${fault.does}.`}
          </p>
        </form>
        <p class="buttons">
          <button type="button" disabled={isBusy} onClick={() => order({ do: 'heal', restart })}>
            Heal
          </button>
          <label>
            <input
              type="checkbox"
              checked={restart}
              onChange={(event) => setRestart(event.currentTarget.checked)}
            />{' '}
            recreate pods where there is no other way
          </label>
          <button
            type="button"
            disabled={isBusy || injected.length === 0}
            onClick={() => order({ do: 'undo' })}
          >
            Undo all
          </button>
        </p>
        {injected.length === 0 ? (
          <p class="hint">Nothing is injected.</p>
        ) : (
          <>
            <p>Injected:</p>
            <ul>
              {injected.map((each) => (
                <li key={`${each.code} ${each.node}`}>
                  <code>
                    <Name text={each.code} />
                  </code>{' '}
                  on <Name text={each.node} />, for <Name text={each.pod} />{' '}
                  <button
                    type="button"
                    disabled={isBusy}
                    aria-label={safeText(`Undo ${each.code} on ${each.node}`)}
                    onClick={() => order({ do: 'undo', code: each.code, node: each.node })}
                  >
                    Undo
                  </button>
                </li>
              ))}
            </ul>
          </>
        )}
        <p role="status" class={last?.ok === false || refused !== '' ? 'result bad' : 'result'}>
          {running === undefined ? null : (
            <>
              <Name text={running.what} /> …
            </>
          )}
          {running === undefined && last !== undefined ? (
            <>
              {timeOf(last.at)} <Name text={last.what} />: {last.ok ? '' : 'failed: '}
              <Lines text={last.text} />
            </>
          ) : null}
          {/* What was carried out and failed is said above. */}
          {refused === '' || refused === last?.text ? null : (
            <>
              {' '}
              <Lines text={refused} />
            </>
          )}
        </p>
      </div>
    </Section>
  );
}
