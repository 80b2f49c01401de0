import type { CollectProgress } from '../../collect/reader/collect.ts';
import { andMore } from '../../util/and-more.ts';
import { safeText } from '../../util/safe-text.ts';
import { layoutOf } from './layout.ts';
import type { ProgressStream } from './progress.ts';
import { cut, paragraph } from './wrap.ts';

/** How many of the nodes that are waited for are named. */
const NAMED = 3;
/** Where nothing moves, a line is written at most this often, in milliseconds. */
const PAUSE_MS = 5_000;
const CLEAR_LINE = '\r\u001b[K';

const TITLES: Readonly<Record<CollectProgress['phase'], string>> = {
  preflight: 'checking what you may do',
  objects: 'reading the objects of the API',
  reports: 'examining nodes',
  probes: 'probing from node to node',
  removal: 'removing what was created',
};

/**
 * Shows what is under way: at once, before anything is asked, a line that names what is examined (if it has a title); then on a terminal one line that is written over,
 * elsewhere a line when something else begins, and seldom meanwhile, so that a log says why it takes long.
 */
export function collectProgress(
  stream: ProgressStream,
  title: string | undefined,
  now: () => number = () => performance.now(),
): { show(progress: CollectProgress): void; end(): void } {
  const isTerminal = stream.isTTY === true && process.env.TERM !== 'dumb';
  let last: { phase?: string; at: number } = { at: Number.NEGATIVE_INFINITY };
  if (title !== undefined) stream.write(paragraph(`${title}: examining it`, layoutOf(stream)));
  return {
    show(progress) {
      const line = describe(progress);
      if (isTerminal) {
        stream.write(`${CLEAR_LINE}${cut(line, (stream.columns || 80) - 1)}`);
        return;
      }
      if (progress.phase === last.phase && now() - last.at < PAUSE_MS) return;
      last = { phase: progress.phase, at: now() };
      stream.write(`${line}\n`);
    },
    end() {
      if (isTerminal) stream.write(CLEAR_LINE);
    },
  };
}

function describe({ phase, done, total, waitingFor = [] }: CollectProgress): string {
  const count = total === undefined ? '' : ` ${done}/${total}`;
  const names = andMore(waitingFor, NAMED);
  return safeText(`${TITLES[phase]}${count}${names === '' ? '' : `: waiting for ${names}`}`);
}
