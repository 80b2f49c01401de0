/** In the place of util/fnv1a.ts. */
import { port } from './port.ts';

export function fnv1a(text: string): number {
  return port.fnv1a(text);
}
