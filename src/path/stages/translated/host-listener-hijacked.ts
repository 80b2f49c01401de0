import { isLoopbackText } from '../../../util/address.ts';
import { formatEndpoint } from '../../../util/endpoint.ts';
import { familyOf } from '../../../util/family.ts';
import { canonicalAddress } from '../../../util/ip.ts';
import { formatPort } from '../../model/host-ports.ts';
import { words } from '../../model/message.ts';
import type { Listener } from '../../model/node-report.ts';
import { listenersOn } from '../../view/by-port.ts';
import { podName } from '../../view/pod-name.ts';
import type { PathView, Scene } from '../../view/scene.ts';
import { leadsToPod, traceFrom } from '../../view/traces.ts';
import { type Detection, defineFailure } from '../failure.ts';

/** Runtimes that reserve the port of a mapping with a socket of their own, so that no process takes it (CRI-O). */
const HOLDERS: ReadonlySet<string | undefined> = new Set(['crio']);

export const hostListenerHijacked = defineFailure<null>({
  code: 'host-listener-hijacked',
  stage: 'translated',
  severity: 'risk',
  title: 'a process on the node listens on the same port',
  explanation:
    'A mapping rewrites packets before they reach a socket, and needs no socket itself. A process on the node that listens on the same port ' +
    'keeps listening, but is never reached from outside, and nothing reports it. A mapping of every address also takes packets to the loopback, ' +
    'by the jump in OUTPUT: a hostPort 53 takes the queries that the node sends to systemd-resolved at 127.0.0.53.',
  remedy: 'Give the process or the pod another port.',
  restart: 'needed',
  restartReason: 'the ports of an existing pod cannot be changed, and hostport does not manage the process',
  sources: ['kubernetes/kubernetes#100643'],
  mutedBy: [],

  detect(scene) {
    return scene.paths.flatMap((path): Detection<null>[] => {
      const { node, port, address, subject } = path;
      if (node === undefined) return [];
      const protocol = port.protocol.toLowerCase() as Listener['protocol'];
      const listeners = listenersOn(node, protocol, port.hostPort)?.filter(
        (entry) => !HOLDERS.has(entry.process),
      );
      const onAddress = listeners?.find(
        (entry) =>
          isAny(entry.address) ||
          address === undefined ||
          canonicalAddress(entry.address) === canonicalAddress(address),
      );
      const listener = onAddress ?? listeners?.find((entry) => isOnTakenLoopback(entry, path, scene));
      if (listener === undefined) return [];
      const who = listener.process === undefined ? 'a process' : `${listener.process} (pid ${listener.pid})`;
      const names = { process: who, node: node.name, pod: podName(subject.pod!), port: formatPort(port) };
      return [
        {
          subject,
          message:
            onAddress === undefined
              ? words(
                  '{process} of {node} listens on {listener}, but packets from the node itself to it go to {pod}: {port} is mapped on every address',
                  { ...names, listener: formatEndpoint(listener) },
                )
              : words('{process} of {node} listens on {port}, whose packets go to {pod}', names),
          evidence: [
            {
              kind: 'socket',
              where: `${listener.protocol} ${formatEndpoint(listener)} of ${node.name}`,
              saw: who,
            },
          ],
          data: null,
        },
      ];
    });
  },

  heal: () => ({ by: 'hand', why: 'their owners must decide which of the two keeps the port' }),

  page: {
    see:
      'A service on the node (an ingress, a metrics exporter, sshd on another port) is not reachable from outside: the pod answers ' +
      'instead.',
    why: '`bind` does not fail, and the kubelet does not check for listening processes.',
    check: {
      run: ['ss -Htlnp sport = :80', 'ss -Hulnp sport = :80'],
      look: "A process listens on the hostPort, at the node's address or at any address.",
    },
    fix: 'Give one of the two another port.',
  },
});

/** Whether the node's own packets to a socket on its loopback are taken, since the mapping is of every address. */
function isOnTakenLoopback({ address }: Listener, path: PathView, scene: Scene): boolean {
  // The trace is of packets to 127.0.0.1.
  if (path.port.hostIP !== undefined || familyOf(address) === 'ipv6' || !isLoopbackText(address))
    return false;
  const trace = traceFrom('loopback', path, scene);
  return 'value' in trace && leadsToPod(trace.value, path);
}

function isAny(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}
