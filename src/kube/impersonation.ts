import type { StanzaFields } from './stanza-fields.ts';

/**
 * The headers by which a user asks to be treated as another: fields `as`, `as-uid`, `as-groups` and `as-user-extra`. A header comes once for
 * each group and each value. Source: client-go's impersonatingRoundTripper.
 * @throws UserError when one of the other fields is set without `as`, or a value has a control character.
 */
export function impersonation(user: StanzaFields): [name: string, value: string][] {
  const name = user.text('as');
  const uid = user.text('as-uid');
  const groups = user.texts('as-groups');
  const extra = user.mapping('as-user-extra');
  const keys = Object.keys(extra?.all ?? {});
  if (name === undefined) {
    if (uid !== undefined || groups.length > 0 || keys.length > 0) {
      user.fail(': as-uid, as-groups and as-user-extra need as');
    }
    return [];
  }
  const headers: [string, string][] = [
    ['Impersonate-User', name],
    ...(uid === undefined ? [] : [['Impersonate-Uid', uid] as [string, string]]),
    ...groups.map((group): [string, string] => ['Impersonate-Group', group]),
    ...keys.flatMap((key) =>
      extra!.texts(key).map((value): [string, string] => [`Impersonate-Extra-${escapeKey(key)}`, value]),
    ),
  ];
  if (headers.some(([, value]) => /[\0-\x08\x0a-\x1f\x7f]/.test(value))) {
    user.fail(': a name to impersonate has a control character');
  }
  return headers.map(([header, value]) => [header, bytesOf(value)]);
}

/** Bytes that no header's name may have, and the percent sign that marks them, as percent and two digits. */
function escapeKey(key: string): string {
  return bytesOf(key).replace(
    /[^A-Za-z0-9!#$&'*+\-.^_`|~]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

/** A text as the bytes of its UTF-8, each a character: a header's value is bytes. */
function bytesOf(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
