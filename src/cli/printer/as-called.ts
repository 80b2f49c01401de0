/**
 * A text that tells somebody to heal, with the program as it is to be called (`calledAs`): documents say `hostport heal`, wherever they are
 * read, and a person types what was called.
 */
export function asCalled(text: string, program: string): string {
  // The program is a path of somebody's, in which a replacement pattern ($&) would mean something.
  return text.replaceAll(/\bhostport(?= heal\b)/g, () => program);
}
