/** metav1.Time: RFC 3339 in UTC with whole seconds; `ms` is milliseconds since the epoch. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
