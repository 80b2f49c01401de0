import { parseLinks, runIpBatch } from '../net/ip-batch.ts';
import type { Exec } from '../sys/exec.ts';
import { isLoopbackText } from '../util/address.ts';
import { formatCidr } from '../util/cidr.ts';
import { CniError, cniErrorCode } from './errors.ts';
import type { Plugin } from './plugin.ts';
import { enterSandbox, enterSandboxIfExists } from './sandbox.ts';
import { cniVersions } from './version.ts';

/** The loopback plugin: sets the sandbox's `lo` up. Whatever interface name it is called with, it is `lo`. */
export function loopback(exec: Exec): Plugin {
  return {
    name: 'loopback',
    supportedVersions: cniVersions,
    fields: {},

    async add({ netns, prevResult }) {
      enterSandbox(netns);
      const link = parseLinks(await runIpBatch(exec, ['link set dev lo up', 'address show dev lo']))[0];
      if (prevResult !== undefined) return prevResult;
      const foreign = link?.addresses.find(({ address }) => !isLoopbackText(address));
      if (link === undefined || foreign !== undefined) {
        throw new CniError(
          cniErrorCode.internal,
          `loopback interface found with non-loopback address ${foreign?.address}`,
        );
      }
      return {
        interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox: netns }],
        ips: link.addresses.map((address) => ({ address: formatCidr(address), interface: 0 })),
        routes: [],
        dns: {},
      };
    },

    async check({ netns }) {
      enterSandbox(netns);
      const link = parseLinks(await runIpBatch(exec, ['address show dev lo']))[0];
      if (link?.up !== true) throw new CniError(cniErrorCode.internal, 'loopback interface is down');
    },

    async del({ netns }) {
      if (netns === '' || !enterSandboxIfExists(netns)) return;
      await runIpBatch(exec, ['link set dev lo down']);
    },

    gc: async () => {},
    status: async () => {},
  };
}
