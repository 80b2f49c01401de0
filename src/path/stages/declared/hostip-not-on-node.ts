import { formatPort } from '../../model/host-ports.ts';
import { known } from '../../model/observed.ts';
import { podName } from '../../view/pod-name.ts';
import { type Detection, defineFailure } from '../failure.ts';

export const hostipNotOnNode = defineFailure<null>({
  code: 'hostip-not-on-node',
  stage: 'declared',
  severity: 'broken',
  title: 'hostIP is not an address of the node',
  explanation:
    'With `hostIP` a port is mapped for packets to that address alone, and only if the node has it: every rule of portmap is gated by the kernel ' +
    'knowing the destination as local. The pod runs, and nothing ever matches.',
  remedy: "Give `hostIP` an address of the pod's node, or leave it out for all of them.",
  restart: 'needed',
  restartReason: 'the ports of a pod cannot be changed once it is made',
  sources: ['containernetworking/plugins portmap (`-m addrtype --dst-type LOCAL`)'],
  mutedBy: ['hostip-family-mismatch'],

  detect(scene) {
    return scene.paths.flatMap(({ node, port, subject }): Detection<null>[] => {
      if (port.hostIP === undefined || port.hostIP === '::' || node?.isLocal(port.hostIP) !== false)
        return [];
      const addresses = (known(node.seen?.network.addresses) ?? []).map(
        ({ address, device }) => `${address} (${device})`,
      );
      return [
        {
          subject,
          message: `${podName(subject.pod!)} asks for ${formatPort(port)}, and ${node.name} does not have the address ${port.hostIP}`,
          evidence: [
            { kind: 'object', where: `pod ${podName(subject.pod!)}: hostIP`, saw: port.hostIP },
            { kind: 'route', where: `addresses of ${node.name}`, saw: addresses.join(', ') },
          ],
          data: null,
        },
      ];
    });
  },

  heal: () => ({
    by: 'hand',
    why: "the pod's specification is its owner's: hostIP must name an address of the node",
  }),
});
