import { InvalidArgumentError, Option } from 'commander';
import { LabPlaces } from '../../lab/doctor/places.ts';
import { labClient } from '../../lab/doctor/source.ts';
import { type TraceWish, tracePort } from '../../lab/doctor/trace-port.ts';
import { calledAs } from '../../sys/called-as.ts';
import { parseEndpoint } from '../../util/endpoint.ts';
import { InputError } from '../../util/errors.ts';
import { parseIp } from '../../util/ip.ts';
import { interruptible } from '../interruptible.ts';
import { oneOf } from '../option-values.ts';
import { renderJson } from '../printer/document.ts';
import { layoutOf } from '../printer/layout.ts';
import { renderTrace } from '../printer/trace.ts';
import { paragraph } from '../printer/wrap.ts';
import { addTargetOptions, labTargetOf } from '../target.ts';
import { command, examples, exitWith } from '../verb.ts';

const ELSEWHERE =
  'a trace is run on the nodes of a lab; for any other cluster, "hostport doctor" shows where hostPorts are broken';
const STATUS = { answered: 0, died: 1, inconclusive: 2 } as const;

interface TraceOptions extends Omit<TraceWish, 'place' | 'port'> {
  output?: 'json';
}

/** `hostport trace`: one probe's way through a node, by the kernel's own word. */
export function traceVerb() {
  const verb = command('trace')
    .description(
      'show where the kernel takes a packet to a hostPort\n\nSends one probe and shows each hook, rule, verdict and rewrite that it meets on the node, and the same of the answer.\nIf it dies, shows where and why.\nExit status: 0 answered, 1 died at a known place, 2 inconclusive.',
    )
    .failsWith(2)
    .argument('<node:port>', 'name or address of the node, and the hostPort')
    .option('--from <place>', 'outside, a node, or a pod ([namespace/]name) to send from', 'outside')
    .addOption(
      new Option(
        '--to <address>',
        "address to send to: the node's, or 127.0.0.1 from the node itself (default: the node's InternalIP)",
      ).argParser(ipAddress),
    )
    .option('--protocol <protocol>', 'tcp, udp or sctp', oneOf('tcp', 'udp', 'sctp'), 'tcp')
    .option('-o, --output <format>', 'json instead of text', oneOf('json'))
    .action(async (place: string, options: TraceOptions) => {
      const wanted = placeAndPort(place);
      const { record, title } = await labTargetOf(verb, ELSEWHERE);
      const document = await interruptible(async (signal) => {
        await using places = new LabPlaces(record);
        return tracePort(places, await labClient(record), { ...options, ...wanted }, signal);
      });
      const layout = layoutOf(process.stdout);
      process.stdout.write(
        options.output === 'json'
          ? renderJson(document, 2)
          : `${paragraph(title, layout)}\n${renderTrace(document, calledAs(), layout)}`,
      );
      exitWith(STATUS[document.outcome]);
    });
  addTargetOptions(verb, 'contexts');
  return examples(
    verb,
    'hostport trace kind-worker:80',
    'hostport trace kind-worker:80 --from kind-worker2',
    'hostport trace kind-worker:80 --from kind-worker --to 127.0.0.1',
    'hostport trace kind-worker:53 --protocol udp -o json',
  );
}

function placeAndPort(text: string): { place: string; port: number } {
  const found = parseEndpoint(text);
  if (found !== undefined && found.port > 0) return { place: found.address, port: found.port };
  const [, port] = /^.+:(\d+)$/.exec(text) ?? [];
  if (port !== undefined) {
    throw new InputError(
      `cannot trace ${JSON.stringify(text)}: port ${port} is out of range; give a port from 1 to 65535`,
    );
  }
  throw new InputError(
    `cannot trace ${JSON.stringify(text)}: not a node and a port; give NODE:PORT, as kind-worker:80`,
  );
}

function ipAddress(text: string): string {
  if (parseIp(text) !== undefined) return text;
  throw new InvalidArgumentError('want an IP address.');
}
