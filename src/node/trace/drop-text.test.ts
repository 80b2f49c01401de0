import { describe, expect, test } from 'bun:test';
import { dropFilter, readDrops } from './drop-text.ts';

/** As Linux 6.18 has it, shortened. */
const FORMAT = `name: kfree_skb
ID: 2310
format:
	field:int common_pid;	offset:4;	size:4;	signed:1;

	field:void * skbaddr;	offset:8;	size:8;	signed:0;
	field:unsigned short protocol;	offset:32;	size:2;	signed:0;
	field:enum skb_drop_reason reason;	offset:36;	size:4;	signed:0;

print fmt: "skbaddr=%p protocol=%u location=%pS reason: %s", REC->skbaddr, __print_symbolic(REC->reason, { 2, "NOT_SPECIFIED" }, { 3, "NO_SOCKET" }, { 0x68, "QUEUE_PURGE" })
`;

describe('the filter', () => {
  test('leaves out what says nothing, by the numbers of this kernel', () => {
    expect(dropFilter(FORMAT, 'ipv4')).toBe('protocol == 2048 && reason != 2 && reason != 104');
    expect(dropFilter(FORMAT, 'ipv6')).toStartWith('protocol == 34525 && ');
  });

  test('is none where the kernel gives no reasons', () => {
    expect(dropFilter(FORMAT.replace(/.*reason;.*\n/, ''), 'ipv4')).toBeUndefined();
  });
});

const TRACE = `# tracer: nop
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
         bun.exe-14028   [001] ...1.  2300.497914: tracing_mark_write: hostport trace
        hostport-26700   [000] ..s1.  2300.526609: kfree_skb: skbaddr=000000000aa94870 rx_sk=00000000ccaa0843 protocol=2048 location=ip_rcv_finish_core+0x91/0x13f0 reason: IP_RPFILTER
    a-1 [9] b-27      [000] ..s2.  2300.811831: kfree_skb: skbaddr=0000000095eb6da5 protocol=2048 location=ip_error+0x7c/0x2d0 reason: IP_INNOROUTES
          <idle>-0       [001] d.h2.  2301.000001: other_event: reason: XDP
not a line
`;

describe('a trace', () => {
  test('is read line by line, whatever a process is called', () => {
    expect(readDrops(TRACE, 10)).toEqual({
      drops: [
        { reason: 'IP_RPFILTER', location: 'ip_rcv_finish_core', pid: 26700 },
        { reason: 'IP_INNOROUTES', location: 'ip_error', pid: 27 },
      ],
      pid: 14028,
    });
  });

  test('is bounded', () => {
    expect(readDrops(TRACE, 1).drops).toHaveLength(1);
    expect(readDrops('', 10)).toEqual({ drops: [], pid: undefined });
  });
});
