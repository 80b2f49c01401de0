import { readSync, writeSync } from 'node:fs';
import { messageOf } from '../util/errors.ts';
import { type Plugin, type PluginIo, runPlugin } from './plugin.ts';
import { isOwnNetns } from './sandbox.ts';

/** Bytes; a network configuration with its previous result is a few thousand. */
const STDIN_CHUNK = 16_384;

// process.stdin, Bun.stdin and process.stdout cost milliseconds to set up; descriptors do not.
const io: PluginIo = {
  get env() {
    return process.env;
  },
  isOwnNetns,
  readStdin: readAll,
  writeStdout: (text) => writeAll(1, text),
  writeStderr: (text) => writeAll(2, text),
};

/** All of standard input. Only where it does not block (a caller's choice) is it waited for in the event loop. */
async function readAll(): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for (;;) {
      const chunk = Buffer.allocUnsafe(STDIN_CHUNK);
      const read = readSync(0, chunk);
      if (read === 0) break;
      chunks.push(chunk.subarray(0, read));
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    chunks.push(Buffer.from(await Bun.stdin.bytes()));
  }
  return Buffer.concat(chunks).toString('utf8');
}

function writeAll(fd: number, text: string): void {
  const bytes = Buffer.from(text);
  for (let sent = 0; sent < bytes.length; ) sent += writeSync(fd, bytes, sent);
}

/**
 * The main function of an executable that is the plugins named, each under its name, and what else it is; ends the process. Nothing is done or asked of the
 * process before the script has ended: the native executable begins there.
 */
export function pluginMain(
  plugins: Readonly<Record<string, () => Plugin>>,
  others: Readonly<Record<string, () => Promise<void>>> = {},
): void {
  queueMicrotask(() => {
    run(plugins, others).then(
      (status) => process.exit(status),
      // Nothing that is wrong may show source text: what a runtime logs is one line.
      (error: unknown) => {
        try {
          io.writeStderr(`${messageOf(error)}\n`);
        } finally {
          process.exit(1);
        }
      },
    );
  });
}

async function run(
  plugins: Readonly<Record<string, () => Plugin>>,
  others: Readonly<Record<string, () => Promise<void>>>,
): Promise<number> {
  const name = (process.execPath.split('/').pop() ?? '').replace(/\.exe$/, '');
  if (others[name] !== undefined) {
    await others[name]();
    return 0;
  }
  const plugin = plugins[name];
  if (plugin === undefined) {
    io.writeStderr(
      `cannot run ${process.execPath}: no plugin of that name; name the file ${Object.keys(plugins).join(' or ')}\n`,
    );
    return 2;
  }
  return runPlugin(plugin(), io);
}
