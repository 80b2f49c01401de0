/** User and password of a URL, decoded; undefined when it has neither, or when {@link hasReadableUser} is false. */
export function userOf(url: URL): { username: string; password: string } | undefined {
  if (url.username === '' && url.password === '') return undefined;
  try {
    return { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
  } catch {
    // Only an escape that is not UTF-8 throws here; those who read a URL refuse it by hasReadableUser.
    return undefined;
  }
}

/** Whether user and password of a URL, where it has them, are UTF-8 with percent-encoding: `u%zz` is not. */
export function hasReadableUser(url: URL): boolean {
  return (url.username === '' && url.password === '') || userOf(url) !== undefined;
}
