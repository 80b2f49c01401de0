import { safeText } from '../../util/safe-text.ts';

/** The time of a day, as clocks of the reader's place show it. */
export function timeOf(rfc3339: string): string {
  const date = new Date(rfc3339);
  if (Number.isNaN(date.getTime())) return safeText(rfc3339);
  return date.toLocaleTimeString('en-GB');
}

/** How long ago, or how long until, in words. Milliseconds. */
export function spanOf(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
}
