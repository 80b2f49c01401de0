/**
 * The language that `iptables-save`, `iptables -S` and `iptables-restore` share: words separated by blanks, a word with
 * blanks in double quotes, `"` and `\` in it escaped by a backslash (add_param_to_argv and xtables_save_string in iptables).
 */

/** Splits a line into its words. An unfinished quote ends with the line. */
export function splitWords(line: string): string[] {
  // Most lines have nothing to undo, and a node has thousands of them.
  if (!/["\t]|^ | {2}|^$| $/.test(line)) return line.split(' ');
  const words: string[] = [];
  let word: string | undefined;
  let quoted = false;
  // Where the characters begin that are not in a word yet: a word of a hundred characters is put together from a few pieces.
  let from = 0;
  for (let i = 0; i <= line.length; i++) {
    const char = line[i];
    const isEscape = quoted && char === '\\' && i + 1 < line.length;
    const isEnd = char === undefined || (!quoted && (char === ' ' || char === '\t'));
    if (!isEscape && !isEnd && char !== '"') continue;
    if (i > from) word = (word ?? '') + line.slice(from, i);
    from = i + 1;
    if (isEscape) i++;
    else if (isEnd) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      quoted = !quoted;
      word ??= '';
    }
  }
  return words;
}

/** Joins words to a line that {@link splitWords} and iptables-restore split into the same words. A line break is refused. */
export function joinWords(words: readonly string[]): string {
  return words.map(quote).join(' ');
}

function quote(word: string): string {
  // A line break would start another command of the document; NUL would end the argument in C.
  if (/[\n\r\0]/.test(word)) {
    throw new Error(`iptables word with a line break or NUL: ${JSON.stringify(word)}`);
  }
  if (/^[^\s"'\\]+$/.test(word)) return word;
  return `"${word.replace(/["\\]/g, '\\$&')}"`;
}

/** The word after an option of a rule; undefined without the option. */
export function wordAfter(words: readonly string[], option: string): string | undefined {
  const at = words.indexOf(option);
  return at < 0 ? undefined : words[at + 1];
}
