/** Reads the stream of events of a live page until a value of a topic fits. Rejects when the stream ends, or at the deadline. */
export async function untilEvent<T>(
  answer: Response,
  topic: string,
  fits: (value: T) => boolean,
  timeoutMs = 60_000,
): Promise<T> {
  const reader = answer.body!.getReader();
  const late = setTimeout(() => reader.cancel(), timeoutMs);
  const decoder = new TextDecoder();
  let text = '';
  try {
    for (;;) {
      // An event is complete with the empty line after it; what is behind it is the beginning of the next.
      const complete = text.split('\n\n');
      text = complete.pop()!;
      for (const event of complete) {
        const data = new RegExp(`event: ${topic}\ndata: (.*)$`).exec(event)?.[1];
        if (data === undefined) continue;
        const value = JSON.parse(data) as T;
        if (fits(value)) return value;
      }
      const { value, done } = await reader.read();
      if (done) throw new Error(`no value of ${topic} fitted before the events ended`);
      text += decoder.decode(value, { stream: true });
    }
  } finally {
    clearTimeout(late);
    await reader.cancel();
  }
}
