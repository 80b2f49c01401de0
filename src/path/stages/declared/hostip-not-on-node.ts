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
      const addresses = known(node.seen!.network.addresses)!.map(
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

  page: {
    see:
      'The port does not answer at the address that the pod names. The pod is Running and Ready; there is no event. ADD of portmap ' +
      'succeeds, at most with a warning.',
    why:
      "The rule that leads to portmap's chains matches `addrtype --dst-type LOCAL`: the kernel's own table of local addresses " +
      "decides. An address of a load balancer, of a cloud's NAT, or of another node is not local. A floating address (keepalived) " +
      'is local on one node at a time.',
    check: {
      run: [
        'kubectl get pods -A -o jsonpath=\'{range .items[*]}{.spec.nodeName} {.metadata.name} {.spec.containers[*].ports}{"\\n"}{end}\'',
        'ip -brief address',
        'ip route get 203.0.113.7',
      ],
      look: 'The hostIP is in no line of `ip address`, and `ip route get` does not begin with `local`.',
    },
    fix:
      "Set `hostIP` to an address of the pod's node, or omit it to map the port on all addresses. For a floating address, omit it: " +
      'a mapping for every address works on whichever node has it.',
  },
});
