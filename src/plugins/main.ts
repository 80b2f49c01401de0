import { realpathSync, writeSync } from 'node:fs';
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

// process.stdin and process.stdout cost milliseconds to set up; descriptors do not.
const io: PluginIo = {
  env: process.env,
  isOwnNetns,
  readStdin: () => Bun.stdin.text(),
  writeStdout: (text) => writeAll(1, text),
  writeStderr: (text) => writeAll(2, text),
};

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
