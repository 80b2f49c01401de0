import { Name, Section } from '../../page/view/marks.tsx';
import { OUTCOME_LETTERS, type Traffic, type TrafficShown } from '../protocol.ts';

/** How many outcomes a strip has room for. */
const STRIP = 60;
const BAR = 4;
const HEIGHT = 18;

const OUTCOME: Readonly<Record<string, keyof typeof OUTCOME_LETTERS>> = Object.fromEntries(
  Object.entries(OUTCOME_LETTERS).map(([outcome, letter]) => [
    letter,
    outcome as keyof typeof OUTCOME_LETTERS,
  ]),
);
/** How high the bar of each outcome is, of 1: colour alone says nothing. */
const BARS = { answered: 1, refused: 0.4, timeout: 0.6, unreachable: 0.6, unknown: 0.2 } as const;

/** How the card of each looks. */
const CARDS = {
  answered: 'good',
  refused: 'broken',
  timeout: 'broken',
  unreachable: 'broken',
  unknown: 'unknown',
} as const;

/** What each hostPort answers, once a second, from outside of the nodes. */
export function TrafficView({ traffic: { ports, leftOut } }: { traffic: TrafficShown }) {
  if (ports.length === 0) return null;
  return (
    <Section id="traffic" title="What answers, second by second">
      <p class="hint">
        A probe a second to each TCP hostPort, from the lab's network outside of the nodes.
        {leftOut === 0 ? '' : ` Only the first ${ports.length} are probed; ${leftOut} more are left out.`}
      </p>
      <ul class="traffic">
        {ports.map((each) => (
          <Row key={`${each.node} ${each.pod} ${each.port} ${each.address}`} traffic={each} />
        ))}
      </ul>
    </Section>
  );
}

function Row({ traffic: { node, pod, port, address, strip, detail, milliseconds } }: { traffic: Traffic }) {
  const letters = [...strip];
  const answered = letters.filter((letter) => letter === OUTCOME_LETTERS.answered).length;
  const last = OUTCOME[letters.at(-1) ?? ''] ?? 'unknown';
  return (
    <li class={`card ${CARDS[last]}`}>
      <p class="where">
        <strong>
          <Name text={pod} />
        </strong>{' '}
        <Name text={port} /> on <Name text={node} />, <Name text={address} />
      </p>
      <svg
        class="strip"
        viewBox={`0 0 ${STRIP * BAR} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${answered} of the last ${letters.length} probes were answered`}
      >
        {letters.map((letter, i) => {
          const outcome = OUTCOME[letter] ?? 'unknown';
          const height = HEIGHT * BARS[outcome];
          const x = (STRIP - letters.length + i) * BAR;
          return <rect key={i} class={outcome} x={x} y={HEIGHT - height} width={BAR - 1} height={height} />;
        })}
      </svg>
      <p class={`last ${last}`}>
        {last}
        {last === 'answered' ? ` in ${milliseconds < 1 ? 'less than 1' : Math.round(milliseconds)} ms` : ''}
        <span class="hint">
          {' '}
          <Name text={detail} />
        </span>
      </p>
    </li>
  );
}
