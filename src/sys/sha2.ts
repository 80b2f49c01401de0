/** The hash of a text, as hexadecimal digits. Packages for Node have another file in the place of this one. */
export function sha2Hex(algorithm: 'sha256' | 'sha512', text: string): string {
  return new Bun.CryptoHasher(algorithm).update(text).digest('hex');
}
