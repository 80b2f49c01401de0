import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { Lines, Name, Section } from '../../page/view/marks.tsx';
import type { TraceDocument } from '../../path/trace/document.ts';
import { safeText } from '../../util/safe-text.ts';
import type { LabOrder } from '../lab-door.ts';
import type { Answer } from './connection.ts';
import { NodeOptions } from './node-options.tsx';
import { type Stop, stopsOf } from './packet.ts';

/** How long the packet stays at a stop, in milliseconds. */
const STOP_MS = 900;

/** A hostPort that can be traced. */
export interface Traceable {
  node: string;
  port: number;
  protocol: 'tcp' | 'udp' | 'sctp';
  /** As people read it. */
  label: string;
}

/** Sends a real packet to a hostPort, and shows its way through the node by the kernel's own word. */
export function TraceView({
  ports,
  nodes,
  isBusy,
  onOrder,
}: {
  ports: readonly Traceable[];
  nodes: readonly string[];
  isBusy: boolean;
  onOrder: (order: LabOrder) => Promise<Answer>;
}) {
  const [chosen, setChosen] = useState('');
  const [from, setFrom] = useState('outside');
  const [answer, setAnswer] = useState<Answer>();
  const [isSending, setSending] = useState(false);
  const port = ports.find(({ label }) => label === chosen) ?? ports[0];
  if (port === undefined) return null;
  const { node, port: number, protocol } = port;
  const trace = async () => {
    setSending(true);
    setAnswer(await onOrder({ do: 'trace', node, port: number, protocol, from }));
    setSending(false);
  };
  return (
    <Section id="trace" title="The way of a real packet">
      <form
        class="filters"
        onSubmit={(event) => {
          event.preventDefault();
          trace();
        }}
      >
        <label class="wide">
          To
          <select value={port.label} onChange={(event) => setChosen(event.currentTarget.value)}>
            {ports.map(({ label }) => (
              <option key={label} value={label}>
                {safeText(label)}
              </option>
            ))}
          </select>
        </label>
        <label>
          From
          <select value={from} onChange={(event) => setFrom(event.currentTarget.value)}>
            <option value="outside">outside of the nodes</option>
            <NodeOptions nodes={nodes} />
          </select>
        </label>
        <button type="submit" disabled={isBusy || isSending}>
          Send a packet
        </button>
      </form>
      <div role="status">
        {isSending ? <p>On its way …</p> : null}
        {answer?.ok === false ? (
          <p class="result bad">
            <Lines text={answer.text} />
          </p>
        ) : null}
        {/* What the card below shows: a screen reader hears only what changes in here. */}
        {answer?.trace === undefined || isSending ? null : (
          <p class="unseen">
            {OUTCOMES[answer.trace.outcome]} <Name text={answer.trace.message} />
          </p>
        )}
      </div>
      {answer?.trace === undefined || isSending ? null : (
        <Journey key={answer.trace.sourcePort} trace={answer.trace} />
      )}
    </Section>
  );
}

const OUTCOMES: Readonly<Record<TraceDocument['outcome'], string>> = {
  answered: '✓ answered',
  died: '✗ died',
  inconclusive: '? inconclusive',
};

/** The way of both packets, stop by stop; a dot goes along it with the packet's addresses as they are there. */
export function Journey({ trace }: { trace: TraceDocument }) {
  const stops = stopsOf(trace);
  const last = stops.length - 1;
  const isStill = typeof matchMedia === 'function' && matchMedia('(prefers-reduced-motion: reduce)').matches;
  const [at, setAt] = useState(isStill ? last : 0);
  const [isPlaying, setPlaying] = useState(!isStill);
  useEffect(() => {
    if (!isPlaying) return;
    if (at >= last) return setPlaying(false);
    const timer = setTimeout(() => setAt(at + 1), STOP_MS);
    return () => clearTimeout(timer);
  }, [isPlaying, at, last]);
  const list = useRef<HTMLOListElement>(null);
  const packet = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const item = list.current?.children.item(at) as HTMLElement | null;
    // By script, since the policy of the page allows no style in its markup.
    if (item !== null && packet.current !== null)
      packet.current.style.transform = `translateY(${item.offsetTop}px)`;
  });
  const { outcome, message, notes, death } = trace;
  const stop = stops[at];
  return (
    <div class={`card journey ${outcome}`}>
      <p class="outcome">
        <strong>{OUTCOMES[outcome]}</strong> <Name text={message} />
      </p>
      {stop === undefined ? null : (
        <>
          <div class="buttons">
            <button
              type="button"
              onClick={() => {
                if (!isPlaying && at === last) setAt(0);
                setPlaying(!isPlaying);
              }}
            >
              {isPlaying ? 'Pause' : at === last ? 'Play again' : 'Play'}
            </button>
            <button type="button" disabled={at === 0} onClick={() => go(at - 1)}>
              Back
            </button>
            <button type="button" disabled={at === last} onClick={() => go(at + 1)}>
              Forward
            </button>
            <span class="hint">
              stop {at + 1} of {stops.length}
            </span>
          </div>
          <div class="track">
            <div class={`packet ${stop.isEnd ? 'dead' : stop.direction}`} ref={packet} aria-hidden="true">
              <span class="dot">{stop.isEnd ? '✗' : stop.direction === 'request' ? '↓' : '↑'}</span>
            </div>
            <ol ref={list}>
              {stops.map((each, i) => (
                <StopView key={i} stop={each} before={stops[i - 1]} isHere={i === at} isAhead={i > at} />
              ))}
            </ol>
          </div>
        </>
      )}
      {death?.code === undefined ? null : (
        <p>
          It is a sign of{' '}
          <code>
            <Name text={death.code} />
          </code>
          .
        </p>
      )}
      {notes.map((note) => (
        <p key={note} class="hint">
          ? <Name text={note} />
        </p>
      ))}
    </div>
  );

  function go(to: number) {
    setPlaying(false);
    setAt(to);
  }
}

function StopView({
  stop: { direction, place, text, source, destination, rewrites, isEnd },
  before,
  isHere,
  isAhead,
}: {
  stop: Stop;
  before: Stop | undefined;
  isHere: boolean;
  isAhead: boolean;
}) {
  const isFirst = before?.direction !== direction;
  const state = [isHere ? 'here' : '', isAhead ? 'ahead' : '', isEnd ? 'end' : ''].filter(Boolean).join(' ');
  return (
    <li class={state} aria-current={isHere ? 'step' : undefined}>
      {isFirst ? <p class="way-title">{direction === 'request' ? 'The request' : 'The answer'}</p> : null}
      <span class="place">
        <Name text={place} />
      </span>
      <span class="what">
        {isEnd ? '✗ ' : ''}
        <Name text={text} />
      </span>
      {isFirst || rewrites !== undefined || isHere ? (
        <span class="addresses">
          <Address text={source} isNew={rewrites === 'source'} /> <span aria-hidden="true">→</span>
          <span class="unseen">to</span> <Address text={destination} isNew={rewrites === 'destination'} />
        </span>
      ) : null}
    </li>
  );
}

function Address({ text, isNew }: { text: string; isNew: boolean }) {
  return isNew ? (
    <mark>
      <Name text={text} />
    </mark>
  ) : (
    <Name text={text} />
  );
}
