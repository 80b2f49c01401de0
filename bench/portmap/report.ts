import type { CallCosts, Summary } from './adds.ts';
import type { Burst } from './burst.ts';
import type { ConnectTime } from './connect.ts';
import { type Series, svgOf } from './line-plot.ts';
import type { Peak } from './memory.ts';
import type { Backend, Subject } from './subjects.ts';

/** All that was measured. */
export interface Figures {
  subjects: readonly Subject[];
  start: readonly { subject: Subject; cost: Summary }[];
  calls: readonly CallCosts[];
  bursts: readonly Burst[];
  connects: readonly ConnectTime[];
  peaks: readonly Peak[];
  /** What the kernel alone takes for a deletion. */
  floor: Summary;
}

/** The figures as tables of Markdown. */
export function tables({ subjects, start, calls, bursts, connects, peaks, floor }: Figures): string {
  const references = subjects.filter(({ isOurs }) => !isOurs);
  const head = (first: string) => [
    `| ${first} | ours | ${references.map(({ name }) => `${name} | `).join('')}${references.map(() => '×').join(' | ')} |`,
    `|---${'|---'.repeat(1 + 2 * references.length)}|`,
  ];
  // Per subject what stands in its cell, and the number that the factor is made of.
  const row = (label: string, cell: (subject: Subject) => { said: string; value: number } | undefined) => {
    const own = cell(subjects[0]!);
    const others = references.map(cell);
    const factors = others.map((other) =>
      other === undefined || own === undefined ? '–' : `${(other.value / own.value).toFixed(1)}`,
    );
    return `| ${[label, own?.said ?? '–', ...others.map((other) => other?.said ?? '–'), ...factors].join(' | ')} |`;
  };
  const cost = (summary: Summary | undefined) =>
    summary && {
      said: `${ms(summary.wall)} (${ms(summary.least)}; ${ms(summary.cpu)})`,
      value: summary.cpu,
    };
  const callRow = (verb: 'add' | 'del' | 'both', { backend, mappings, ports, foreign }: CallCosts) =>
    row(
      [
        `${names[verb]}${ports === 1 ? '' : ` of ${ports} ports`}, ${backend}, ${count(mappings)} there`,
        ...(foreign === 0 ? [] : [`${count(foreign)} chains of others`]),
      ].join(', '),
      (subject) =>
        cost(
          calls.find(
            (call) =>
              call.subject === subject &&
              call.backend === backend &&
              call.mappings === mappings &&
              call.ports === ports &&
              call.foreign === foreign,
          )?.[verb],
        ),
    );
  const ours = calls.filter(({ subject }) => subject.isOurs);
  return [
    'Milliseconds: the median, and in brackets the least and the median CPU time. × is the CPU time of the reference divided by',
    'ours.',
    '',
    ...head('call'),
    row('start (VERSION)', (subject) => cost(start.find((one) => one.subject === subject)?.cost)),
    ...ours.map((call) => callRow('add', call)),
    ...ours.map((call) => callRow('del', call)),
    ...ours.filter(({ backend }) => backend === 'nftables').map((call) => callRow('both', call)),
    '',
    `The kernel alone takes ${ms(floor.wall)} ms (${ms(floor.least)}) for any deletion in nftables, and iptables-nft is that, too.`,
    '',
    'The most memory that a process of a call has, MB:',
    '',
    ...head('ADD and DEL'),
    ...peaks
      .filter(({ subject }) => subject.isOurs)
      .map(({ backend, mappings }) =>
        row(`${backend}, ${count(mappings)} there`, (subject) => {
          const found = peaks.find(
            (one) => one.subject === subject && one.backend === backend && one.mappings === mappings,
          );
          return found && { said: (found.bytes / 1e6).toFixed(1), value: found.bytes };
        }),
      ),
    '',
    'Pods with four ports each, added by eight at a time, milliseconds until all are added (in brackets the CPU time); × compares the former:',
    '',
    ...head('pods'),
    ...bursts
      .filter(({ subject }) => subject.isOurs)
      .map(({ backend, pods }) =>
        row(`${pods}, ${backend}`, (subject) => {
          const found = bursts.find(
            (one) => one.subject === subject && one.backend === backend && one.pods === pods,
          );
          if (found === undefined) return undefined;
          const failed = found.failed === 0 ? '' : `, ${found.failed} failed`;
          return { said: `${found.wall.toFixed(0)} (${found.cpu.toFixed(0)}${failed})`, value: found.wall };
        }),
      ),
    '',
    'TCP connect from the node to the last of the given number of mappings, median microseconds (in brackets the least); × compares the medians:',
    '',
    ...head('mappings'),
    ...connects
      .filter(({ subject }) => subject.isOurs)
      .map(({ backend, mappings }) =>
        row(`${count(mappings)}, ${backend}`, (subject) => {
          const found = connects.find(
            (one) => one.subject === subject && one.backend === backend && one.mappings === mappings,
          );
          return (
            found && { said: `${found.median.toFixed(0)} (${found.least.toFixed(0)})`, value: found.median }
          );
        }),
      ),
    '',
  ].join('\n');
}

const names = { add: 'ADD', del: 'DEL', both: 'ADD and DEL' } as const;

/** The plots by the names of their files. */
export function plots({ subjects, calls, bursts, connects }: Figures): [name: string, svg: string][] {
  const mappings = { label: 'existing mappings', scale: 'log' as const };
  const add = (backend: Backend): Series[] =>
    subjects.flatMap((subject, colour) => {
      const own = calls.filter(
        (call) =>
          call.subject === subject && call.backend === backend && call.ports === 1 && call.foreign === 0,
      );
      const points = own.map(({ mappings, add }) => ({ x: mappings, y: add.cpu }));
      return points.length === 0 ? [] : [{ name: subject.name, colour, points }];
    });
  /** A line of every subject on every backend it has; iptables' are dashed. */
  const both = (points: (subject: Subject, backend: Backend) => Series['points']): Series[] =>
    subjects.flatMap((subject, colour) =>
      subject.backends.map((backend) => ({
        name: `${subject.name}, ${backend}`,
        colour,
        dashed: backend === 'iptables',
        points: points(subject, backend),
      })),
    );
  return [
    [
      'portmap-add-iptables',
      svgOf({
        title: 'ADD of one more pod, iptables backend',
        x: mappings,
        y: { label: 'ms of CPU time, all processes of a call', scale: 'log' },
        series: add('iptables'),
      }),
    ],
    [
      'portmap-add-nftables',
      svgOf({
        title: 'ADD of one more pod, nftables backend',
        x: mappings,
        y: { label: 'ms of CPU time, all processes of a call', scale: 'linear' },
        series: add('nftables'),
      }),
    ],
    [
      'portmap-burst',
      svgOf({
        title: 'Pods with four ports each, added by eight at a time',
        x: { label: 'pods', scale: 'linear' },
        y: { label: 's of CPU time until all are added', scale: 'linear' },
        series: both((subject, backend) =>
          bursts
            .filter((one) => one.subject === subject && one.backend === backend)
            .map(({ pods, cpu }) => ({ x: pods, y: cpu / 1000 })),
        ),
      }),
    ],
    [
      'portmap-connect',
      svgOf({
        title: 'TCP connect to the last mapping',
        x: { label: 'mappings', scale: 'log' },
        y: { label: 'µs, median', scale: 'log' },
        series: both((subject, backend) =>
          connects
            .filter((one) => one.subject === subject && one.backend === backend)
            .map(({ mappings, median }) => ({ x: mappings, y: median })),
        ),
      }),
    ],
  ];
}

function ms(value: number): string {
  return value.toFixed(1);
}

function count(value: number): string {
  return value.toLocaleString('en').replace(',', ' ');
}
