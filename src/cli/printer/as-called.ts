/**
 * A text that says to run `hostport heal`, with the program as it was called (`calledAs`), and the flags by which its cluster was meant:
 * documents always say `hostport heal`, but a person must type what works here.
 */
export function asCalled(text: string, program: string, flags = ''): string {
  // The program is a path of somebody's, in which a replacement pattern ($&) would mean something.
  return text.replaceAll(/\bhostport heal\b/g, () => `${program} heal${flags}`);
}
