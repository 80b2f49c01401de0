import { formatPort } from '../../model/host-ports.ts';
import { podName } from '../../view/pod-name.ts';
import { type Detection, defineFailure } from '../failure.ts';

export const nodeportCollision = defineFailure<null>({
  code: 'nodeport-collision',
  stage: 'declared',
  severity: 'risk',
  title: 'a Service has the hostPort as its nodePort',
  explanation:
    'A nodePort is a port of every node, made by kube-proxy or what stands in for it, with rules at the same place in the kernel. Who gets the packet ' +
    'depends on whose rules come first, and changes with restarts.',
  remedy: 'Choose a hostPort outside of the range of nodePorts (30000 to 32767 unless configured otherwise).',
  restart: 'needed',
  restartReason: 'the ports of a pod cannot be changed once it is made',
  sources: ['kubernetes/kubernetes#100643'],
  mutedBy: [],

  detect(scene) {
    const owners = new Map(
      scene.world.services.flatMap((service) =>
        (service.spec?.ports ?? [])
          .filter(({ nodePort }) => (nodePort ?? 0) > 0)
          .map(({ nodePort, protocol }) => [`${protocol ?? 'TCP'} ${nodePort}`, service] as const),
      ),
    );
    return scene.paths.flatMap(({ port, subject }): Detection<null>[] => {
      const service = owners.get(`${port.protocol} ${port.hostPort}`);
      if (service === undefined) return [];
      const { namespace = '', name = '' } = service.metadata ?? {};
      return [
        {
          subject,
          message: `${formatPort(port)} of ${podName(subject.pod!)} is the nodePort of Service ${podName({ namespace, name })} as well`,
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

  heal: () => ({ by: 'hand', why: 'which of the two keeps the port is for their owners to say' }),
});
