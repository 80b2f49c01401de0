import { expect, test } from 'bun:test';
import { familyOf } from '../util/family.ts';
import { formatIp } from '../util/ip.ts';
import { addressIn, familyIn, isAnsweredBy, isLedTo } from './target.ts';

const ADDRESSES = ['10.0.0.4', '10.0.0.5', '10.0.0.6', 'fd00::5', 'fd00::6', 'pod', ''];
const PORTS = [52, 53, 79, 80, 90, 91];

/** A target, its one address, which addresses it leads to, and which ports of 10.0.0.5 or fd00::5 answer for host port 53. */
test.each<[string, string | undefined, string[], number[]]>([
  ['10.0.0.5:80', '10.0.0.5', ['10.0.0.5'], [80]],
  ['10.0.0.5:80-90', '10.0.0.5', ['10.0.0.5'], [80, 90]],
  ['10.0.0.5', '10.0.0.5', ['10.0.0.5'], [53]],
  ['10.0.0.5-10.0.0.6:80', undefined, ['10.0.0.5', '10.0.0.6'], [80]],
  ['fd00::5', 'fd00::5', ['fd00::5'], [53]],
  ['[fd00::5]:80', 'fd00::5', ['fd00::5'], [80]],
  ['[fd00:0::5]:80-90', 'fd00::5', ['fd00::5'], [80, 90]],
  [':80', undefined, [], []],
  ['10.0.0.5:80-90/100', undefined, [], []],
  ['{"map":{}}', undefined, [], []],
])('%s', (target, address, ledTo, ports) => {
  const found = addressIn(target);
  expect(found && formatIp(found)).toBe(address);
  expect(familyIn(target)).toBe(ledTo[0] === undefined ? undefined : familyOf(ledTo[0]));
  expect(ADDRESSES.filter((one) => isLedTo(target, one))).toEqual(ledTo);
  const replySource = target.includes('fd00') ? 'fd00::5' : '10.0.0.5';
  const isAnswered = (replySourcePort: number) =>
    isAnsweredBy(
      { destination: '10.1.1.1', destinationPort: 53, replySource, replySourcePort },
      { protocol: 'udp', hostPort: 53, hostIP: undefined, target },
    );
  expect(PORTS.filter(isAnswered)).toEqual(ports);
});
