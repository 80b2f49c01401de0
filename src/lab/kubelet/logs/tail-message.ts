import { ignoring } from '../../../sys/errno.ts';
import { readLog } from './read-log.ts';

/** The last lines of a log, at most `bytes` of them; empty when there is no log. */
export async function tailMessage(path: string, lines: number, bytes: number): Promise<string> {
  const parts: Uint8Array[] = [];
  try {
    for await (const part of readLog(path, { tailLines: lines })) parts.push(part);
  } catch (error) {
    ignoring('ENOENT')(error);
  }
  return Buffer.concat(parts).subarray(-bytes).toString('utf8');
}
