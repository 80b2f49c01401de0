import type { ComponentChildren } from 'preact';
import { Mark, Name } from '../../page/view/marks.tsx';
import type { Difference, Mapping } from '../difference.ts';

/** What is different between two moments, for people. */
export function DifferenceView({ difference }: { difference: Difference }) {
  const { appeared, gone, changed, found, solved, lost, regained, more } = difference;
  const parts = [appeared, gone, changed, found, solved, lost, regained];
  if (parts.every(({ length }) => length === 0))
    return <p class="hint">Nothing that the doctor judges by.</p>;
  return (
    <div class="difference">
      <Part title="Found" items={found}>
        {({ code, severity, message }) => (
          <>
            {severity === 'note' ? null : <Mark kind={severity} />}{' '}
            <FindingText code={code} message={message} />
          </>
        )}
      </Part>
      <Part title="Fixed or gone" items={solved}>
        {({ code, message }) => (
          <>
            <Mark kind="good" silent /> <FindingText code={code} message={message} />
          </>
        )}
      </Part>
      <Part title="Other verdicts" items={changed}>
        {(mapping) => (
          <>
            <MappingName mapping={mapping} />:{' '}
            {mapping.stages.map(({ stage, from, to }, i) => (
              <span key={stage}>
                {i === 0 ? '' : ', '}
                {stage} <Mark kind={from} /> <span aria-hidden="true">→</span>
                <span class="unseen">becomes</span> <Mark kind={to} />
              </span>
            ))}
          </>
        )}
      </Part>
      <Part title="New hostPorts" items={appeared}>
        {(mapping) => <MappingName mapping={mapping} />}
      </Part>
      <Part title="HostPorts that are gone" items={gone}>
        {(mapping) => <MappingName mapping={mapping} />}
      </Part>
      <Part title="Cannot be observed any more" items={lost}>
        {unknownText}
      </Part>
      <Part title="Can be observed again" items={regained}>
        {unknownText}
      </Part>
      {more > 0 ? <p class="hint">And {more.toLocaleString('en')} more.</p> : null}
    </div>
  );
}

function Part<T>({
  title,
  items,
  children,
}: {
  title: string;
  items: readonly T[];
  children: (item: T) => ComponentChildren;
}) {
  if (items.length === 0) return null;
  return (
    <>
      <h4>{title}</h4>
      <ul>
        {items.map((item, i) => (
          <li key={i}>{children(item)}</li>
        ))}
      </ul>
    </>
  );
}

function FindingText({ code, message }: Pick<Difference['found'][number], 'code' | 'message'>) {
  return (
    <>
      <code>
        <Name text={code} />
      </code>{' '}
      <Name text={message} />
    </>
  );
}

function MappingName({ mapping: { node, pod, port } }: { mapping: Mapping }) {
  return (
    <>
      <Name text={pod} /> <Name text={port} />
      {node === undefined ? null : (
        <>
          {' '}
          on <Name text={node} />
        </>
      )}
    </>
  );
}

function unknownText({ node, what, why }: Difference['lost'][number]) {
  return (
    <>
      {node === undefined ? null : (
        <>
          <Name text={node} />:{' '}
        </>
      )}
      <Name text={what} />: <Name text={why} />
    </>
  );
}
