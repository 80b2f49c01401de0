/** In the place of bun:ffi: the functions of libc that the plugin calls are in the executable, under their names. */
import { port } from './port.ts';

export function dlopen(): { symbols: typeof port } {
  return { symbols: port };
}
