import { realpathSync, writeSync } from 'node:fs';
import { loopback } from '../cni/loopback.ts';
import { pluginMain } from '../cni/plugin-main.ts';
import { glanceAtKernel, type NatGlance } from '../netfilter/nft/kernel-rules.ts';
import { bunExec, findProgram } from '../sys/bun-exec.ts';
import { type Family, iptablesProgram } from '../util/family.ts';
import { AttachmentFiles } from './attachments.ts';
import { install, keepInstalled } from './install.ts';
import { thisMachine } from './machine.ts';
import { portmap } from './portmap.ts';

/** What iptables-nft keeps can be looked at in the kernel; what other variants keep cannot. */
function glance(family: Family): NatGlance | undefined {
  const program = findProgram(iptablesProgram('iptables', family));
  const isNft = program !== undefined && realpathSync(program).endsWith('/xtables-nft-multi');
  return isNft ? glanceAtKernel(family) : undefined;
}

/** What the executable does in its own image, under names of their own: there is no shell. */
const installer = {
  get env() {
    return process.env;
  },
  get self() {
    return process.execPath;
  },
  say: (line: string) => void writeSync(1, Buffer.from(`${line}\n`)),
  sleep: (ms: number) => Bun.sleep(ms),
};

pluginMain(
  {
    portmap: () => portmap(bunExec, new AttachmentFiles(), { ...thisMachine, glance }),
    loopback: () => loopback(bunExec),
  },
  {
    install: async () => {
      installer.say(install(installer) ?? 'nothing to do: the plugin is installed');
    },
    keep: () => keepInstalled(installer),
  },
);
