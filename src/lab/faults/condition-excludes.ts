import { portmapSetting } from '../inject/portmap-setting.ts';

export const fault = portmapSetting(
  "sets a condition on portmap's entry of the configuration in use that excludes the network of the nodes, and recreates the pod",
  ({ nodeAddress }) => {
    // The lab's nodes are in a network of 16 bits.
    const network = `${nodeAddress.split('.').slice(0, 2).join('.')}.0.0/16`;
    return { conditionsV4: ['!', '-s', network] };
  },
);
