/**
 * A text with commands of the documentation in it, as a person must type them here: with the program as it was called (`calledAs`), and the
 * flags by which its cluster was meant. What only explains is about no cluster, and takes none of them.
 */
export function asCalled(text: string, program: string, flags = ''): string {
  // The program is a path of somebody's, in which a replacement pattern ($&) would mean something.
  return text.replaceAll(/\bhostport (heal|doctor)\b( --explain\b)?/g, (_, verb: string, explain?: string) =>
    explain === undefined ? `${program} ${verb}${flags}` : `${program} ${verb}${explain}`,
  );
}
