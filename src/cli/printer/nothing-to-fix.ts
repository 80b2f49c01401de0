/** What an empty plan means: no problem at all, or none of the kinds and nodes that were chosen, with the codes of those left. */
export function nothingToFix(left: readonly { code: string }[]): string {
  if (left.length === 0) return 'Nothing to fix.\n';
  const codes = [...new Set(left.map(({ code }) => code))].join(', ');
  const others = left.length === 1 ? '1 other problem is' : `${left.length} other problems are`;
  return `Nothing of this choice to fix; ${others} left (${codes}).\n`;
}
