import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import { known } from '../../model/observed.ts';
import { podName } from '../../view/pod-name.ts';
import { type Detection, defineFailure } from '../failure.ts';

export const hostipNotOnNode = defineFailure<null>({
  code: 'hostip-not-on-node',
  stage: 'declared',
  severity: 'broken',
  title: 'hostIP is not an address of the node',
  explanation:
    'With `hostIP`, a port is mapped only for packets to that address, and only if the node has it: every portmap rule first checks that the ' +
    'destination is a local address. The pod runs, but no packet ever matches.',
  remedy: "Set `hostIP` to an address of the pod's node, or omit it to map the port on all addresses.",
  restart: 'needed',
  restartReason: 'the ports of an existing pod cannot be changed',
  sources: ['containernetworking/plugins portmap (`-m addrtype --dst-type LOCAL`)'],
  mutedBy: ['hostip-family-mismatch'],

  detect(scene) {
    return scene.paths.flatMap(({ node, port, subject }): Detection<null>[] => {
      if (port.hostIP === undefined || port.hostIP === '::' || node?.isLocal(port.hostIP) !== false)
        return [];
      const addresses = known(node.seen?.network.addresses)!.map(
        ({ address, device }) => `${address} (${device})`,
      );
      return [
        {
          subject,
          message: words('{pod} requests {port}, but {node} does not have the address {address}', {
            pod: podName(subject.pod!),
            port: formatPort(port),
            node: node.name,
            address: port.hostIP,
          }),
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
    why: 'only the owner of the pod can change its spec: hostIP must be an address of the node',
  }),
});
