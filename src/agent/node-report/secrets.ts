/** What stands in the place of a secret. Whoever writes a file refuses a text that has it. */
export const LEFT_OUT = '(left out by hostport)';

/** The JSON text with the values of fields that are called like secrets left out; everything else stays as it is. */
export function withoutSecrets(text: string): string {
  return text.replace(
    /("[^"\\]*(?:token|password|passwd|secret|private[-_]?key|api[-_]?key)[^"\\]*"\s*:\s*)"(?:[^"\\]|\\.)*"/gi,
    `$1"${LEFT_OUT}"`,
  );
}
