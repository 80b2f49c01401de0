import type { Duplex } from 'node:stream';

/**
 * Writes and resolves when the stream wants more: this is how a slow reader at one end of a relay slows the writer at the
 * other. Rejects when the stream is gone.
 */
export function write(stream: Duplex, bytes: Uint8Array): Promise<void> {
  if (stream.destroyed || stream.writableEnded)
    return Promise.reject(new Error('write: the stream is closed'));
  if (stream.write(bytes)) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const settle = (error?: Error) => {
      stream.off('drain', onDrain).off('close', onClose).off('error', settle);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onDrain = () => settle();
    const onClose = () => settle(new Error('write: the stream was closed'));
    stream.on('drain', onDrain).on('close', onClose).on('error', settle);
  });
}
