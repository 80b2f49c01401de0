/**
 * One line of a container's log as CRI has it: `<RFC 3339 time> <stdout|stderr> <tags> <text>`. The tag `P` says that the
 * text continues in the next line of that stream, `F` that it is full.
 * https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
 */
export interface LogLine {
  /** As in the file, with nanoseconds. */
  time: string;
  stream: 'stdout' | 'stderr';
  partial: boolean;
  /** Without line end. */
  text: Uint8Array;
}

const SPACE = 0x20;

/** Parses one line without its line end; undefined when it is not a log line (a write that was cut off). */
export function parseLogLine(line: Uint8Array): LogLine | undefined {
  const first = line.indexOf(SPACE);
  const second = first < 0 ? -1 : line.indexOf(SPACE, first + 1);
  if (second < 0) return undefined;
  // A line without text may lack the blank after its tag.
  const third = line.indexOf(SPACE, second + 1);
  const end = third < 0 ? line.length : third;
  const ascii = (from: number, to: number) => Buffer.from(line.subarray(from, to)).toString('latin1');
  const time = ascii(0, first);
  const stream = ascii(first + 1, second);
  const tags = ascii(second + 1, end).split(':');
  if (stream !== 'stdout' && stream !== 'stderr') return undefined;
  if (tags[0] !== 'P' && tags[0] !== 'F') return undefined;
  if (Number.isNaN(Date.parse(time))) return undefined;
  return {
    time,
    stream,
    partial: tags[0] === 'P',
    text: third < 0 ? new Uint8Array() : line.subarray(third + 1),
  };
}
