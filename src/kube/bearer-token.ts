/** What is wrong with a token that {@link bearerToken} refuses. */
export const NOT_A_TOKEN = 'has a control character';

/** A bearer token without the white space around it; undefined when it has a control character, which no header may have. */
export function bearerToken(text: string): string | undefined {
  const token = text.trim();
  return /[\0-\x1f\x7f]/.test(token) ? undefined : token;
}
