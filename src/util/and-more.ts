/** The first of many names, and how many more there are. */
export function andMore(names: readonly string[], shown: number): string {
  const more = names.length - shown;
  return more <= 0 ? names.join(', ') : `${names.slice(0, shown).join(', ')} and ${more} more`;
}
