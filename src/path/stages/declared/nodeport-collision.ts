import type { Service } from '../../../kube/types.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import type { World } from '../../model/world.ts';
import { podName } from '../../view/pod-name.ts';
import { type Detection, defineFailure } from '../failure.ts';

export const nodeportCollision = defineFailure<null>({
  code: 'nodeport-collision',
  stage: 'declared',
  severity: 'risk',
  title: 'a Service uses the hostPort as its nodePort',
  explanation:
    'A nodePort is a port on every node, implemented by kube-proxy or its replacement with rules at the same place in the kernel. Which of the ' +
    'two gets the packets depends on whose rules come first, and can change with a restart.',
  remedy: 'Choose a hostPort outside the nodePort range (30000 to 32767 by default).',
  restart: 'needed',
  restartReason: 'the ports of an existing pod cannot be changed',
  sources: ['kubernetes/kubernetes#100643'],
  mutedBy: ['service-shadowed'],

  detect(scene) {
    const owners = ownersOf(scene.world);
    return scene.paths.flatMap(({ port, subject }): Detection<null>[] => {
      const service = owners.get(`${port.protocol} ${port.hostPort}`);
      if (service === undefined) return [];
      const { namespace = '', name = '' } = service.metadata ?? {};
      return [
        {
          subject,
          message: words('{port} of {pod} is also the nodePort of Service {service}', {
            port: formatPort(port),
            pod: podName(subject.pod!),
            service: podName({ namespace, name }),
          }),
          evidence: [
            {
              kind: 'object',
              where: `service ${podName({ namespace, name })}`,
              saw: `nodePort ${port.hostPort}`,
            },
          ],
          data: null,
        },
      ];
    });
  },

  heal: () => ({ by: 'hand', why: 'their owners must decide which of the two keeps the port' }),

  page: {
    see: 'Sometimes the pod answers, sometimes the pods of a Service; this changes when kube-proxy or the pod restarts.',
    why:
      'kube-proxy does not know of hostPorts, and the API server allocates node ports without looking at pods. Both write ' +
      "translations at the same hook. In iptables mode kube-proxy's jump is `KUBE-SERVICES`, portmap's `CNI-HOSTPORT-DNAT`; " +
      'whichever comes first in PREROUTING wins.',
    check: {
      run: [
        'kubectl get services -A -o custom-columns=NAME:.metadata.name,NODEPORTS:.spec.ports[*].nodePort,PROTOCOL:.spec.ports[*].protocol',
        'iptables -w -t nat -S PREROUTING',
      ],
      look: "A nodePort equals the pod's hostPort and protocol.",
    },
    fix: "Choose a hostPort outside the API server's `--service-node-port-range` (30000-32767).",
  },
});

/** Worked out once for a world: its nodes are looked at one by one. */
const owners = new WeakMap<World, ReadonlyMap<string, Service>>();

/** The Services of a world by protocol and nodePort. */
function ownersOf(world: World): ReadonlyMap<string, Service> {
  let found = owners.get(world);
  if (found === undefined) {
    found = new Map(
      // Without a nodePort, or with 0, it is no hostPort either.
      world.services.flatMap((service) => {
        const ports = service.spec?.ports?.map(
          ({ nodePort, protocol }) => [`${protocol ?? 'TCP'} ${nodePort}`, service] as const,
        );
        return ports ?? [];
      }),
    );
    owners.set(world, found);
  }
  return found;
}
