import { readSync, realpathSync, writeSync } from 'node:fs';
import { type Plugin, type PluginIo, runPlugin } from '../cni/plugin.ts';
import type { IpFamily } from '../netfilter/iptables.ts';
import { glanceAtKernel, type NatGlance } from '../netfilter/kernel-rules.ts';
import { bunExec, findProgram } from './bun-exec.ts';
import { AGENT_SOCKET, agentOverSocket } from './cilium-cni/agent-api.ts';
import { ciliumCni } from './cilium-cni/plugin.ts';
import { loopback } from './loopback.ts';
import { AttachmentFiles } from './portmap/attachments.ts';
import { portmap } from './portmap/portmap.ts';
import { isOwnNetns } from './sandbox.ts';

/** Bytes; a network configuration with its previous result is a few thousand. */
const STDIN_CHUNK = 16_384;

/** What iptables-nft keeps can be looked at in the kernel; what other variants keep cannot. */
function glance(family: IpFamily): NatGlance | undefined {
  const program = findProgram(family === 'ipv4' ? 'iptables' : 'ip6tables');
  const isNft = program !== undefined && realpathSync(program).endsWith('/xtables-nft-multi');
  return isNft ? glanceAtKernel(family) : undefined;
}

/** The plugins of this executable, by the names it is linked under. */
const plugins: Record<string, () => Plugin> = {
  portmap: () => portmap(bunExec, new AttachmentFiles(), glance),
  'cilium-cni': () => ciliumCni(bunExec, agentOverSocket(process.env.CILIUM_SOCK || AGENT_SOCKET)),
  loopback: () => loopback(bunExec),
};

// process.stdin, Bun.stdin and process.stdout cost milliseconds to set up; descriptors do not.
const io: PluginIo = {
  env: process.env,
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

async function main(): Promise<number> {
  const name = (process.execPath.split('/').pop() ?? '').replace(/\.exe$/, '');
  const plugin = plugins[name];
  if (plugin === undefined) {
    io.writeStderr(`${process.execPath}: must be called ${Object.keys(plugins).join(', ')}\n`);
    return 2;
  }
  return runPlugin(plugin(), io);
}

// Not at top level: a module that awaits there cannot be compiled to bytecode.
void main().then((status) => process.exit(status));
