const HEADER_SIZE = 16;
/** Set in an answer during which something changed: parts of it are older than the change, parts are newer. */
const NLM_F_DUMP_INTR = 0x10;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;

/** What of a dump is wanted. The rest may be left out of the answer, before it is made into text. */
export type Wanted =
  /** Messages in which these bytes occur, one character a byte. */
  | { mark: string }
  /** All rules but those that are `-m multiport --dports … -j CHAIN` of none of the ports, to another chain. */
  | { ports: ReadonlySet<number>; chain: string };

/** What follows in an answer: `broken` is an error, an interrupted dump, or bytes that are not messages. */
export type AnswerState = 'more' | 'complete' | 'broken';

/** Appends the payloads of one read that are wanted, one character a byte. The read is the first `size` bytes of the buffer. */
export type MessageReader = (buffer: Buffer, size: number, payloads: string[]) => AnswerState;

/**
 * A reader of the messages of a dump. The native plugin has src/cni/native/netlink-messages.ts in the place of this file: there, a thousand
 * rules as text would cost more than all the rest. Here they do not, so this leaves out less.
 */
export function messageReader(wanted?: Wanted): MessageReader {
  const mark = wanted !== undefined && 'mark' in wanted ? wanted.mark : undefined;
  return (buffer, size, payloads) => {
    const found = mark === undefined ? 0 : buffer.indexOf(mark, 0, 'latin1');
    return readMessages(buffer, size, found >= 0 && found < size ? payloads : undefined);
  };
}

function readMessages(buffer: Buffer, size: number, payloads: string[] | undefined): AnswerState {
  for (let at = 0; at < size; ) {
    if (size - at < HEADER_SIZE) return 'broken';
    const length = buffer.readUInt32LE(at);
    const type = buffer.readUInt16LE(at + 4);
    const interrupted = (buffer.readUInt16LE(at + 6) & NLM_F_DUMP_INTR) !== 0;
    if (length < HEADER_SIZE || length > size - at || type === NLMSG_ERROR || interrupted) return 'broken';
    if (type === NLMSG_DONE) return 'complete';
    payloads?.push(buffer.toString('latin1', at + HEADER_SIZE, at + length));
    at += (length + 3) & ~3;
  }
  return 'more';
}
