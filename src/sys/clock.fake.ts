const HOUR_MS = 3_600_000;

/**
 * The clock of a machine that somebody sets by hours, back and forth, between any two looks at it. As the `now` of a test's clock it shows who takes
 * a duration, a deadline or a turn from it.
 */
export function leapingNow(): () => number {
  let looks = 0;
  return () => Date.UTC(2026, 0, 1) + HOUR_MS * (++looks % 2 === 0 ? looks : -looks);
}
