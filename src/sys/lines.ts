/** The lines of a stream of UTF-8, without their ends; what follows the last end is no line. Throws at a line of more than `maxBytes`. */
export async function* linesOf(
  stream: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<string, void, void> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); ; end = chunk.indexOf(LINE_FEED, from)) {
      const part = chunk.subarray(from, end < 0 ? undefined : end);
      size += part.length;
      if (size > maxBytes) throw new Error(`a line has more than ${maxBytes} bytes`);
      parts.push(part);
      if (end < 0) break;
      yield Buffer.concat(parts).toString('utf8');
      parts = [];
      size = 0;
      from = end + 1;
    }
  }
}

const LINE_FEED = 0x0a;
