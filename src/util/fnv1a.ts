/** FNV-1a of 32 bits, of a text's characters: enough to detect accidents. The native plugin has src/cni/native/fnv1a.ts in its place. */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
