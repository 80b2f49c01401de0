/**
 * Reads a descriptor other than a file (a netlink socket, an inotify instance) as its messages arrive, one call of `take` a read, and
 * sleeps in between: the event loop waits for it, no thread does and nothing is polled. The descriptor must be non-blocking and
 * stays the caller's to close, after this has ended. Resolves when the signal aborts; rejects with the system's error, whose
 * `code` says which.
 */
export async function readDescriptor(
  fd: number,
  take: (message: Buffer) => void,
  signal: AbortSignal,
): Promise<void> {
  const reader = Bun.file(fd).stream().getReader();
  const stop = Promise.withResolvers<void>();
  const onAbort = () => stop.resolve();
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    for (;;) {
      const read = reader.read();
      const next = await Promise.race([read, stop.promise]);
      if (next === undefined) {
        // Nobody waits for this one any more; that it is refused is what stopping means.
        read.catch(() => {});
        await reader.cancel();
        return;
      }
      if (next.done) throw new Error('the kernel closed it');
      take(Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength));
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
