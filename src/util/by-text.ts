/** How many texts are remembered: those that thousands of nodes and attachments have in common are a few. */
const MAX_TEXTS = 64;
/** Longer ones are read again, in characters. */
const MAX_LENGTH = 64 * 1024;

/** What is read from a text, which is done once for the same text. Whoever gets it must not change it. */
export function byText<T>(read: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const before = known.get(text);
    if (before !== undefined || known.has(text)) return before as T;
    const made = read(text);
    if (text.length <= MAX_LENGTH) {
      if (known.size === MAX_TEXTS) known.clear();
      known.set(text, made);
    }
    return made;
  };
}
