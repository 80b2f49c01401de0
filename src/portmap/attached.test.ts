import { describe, expect, test } from 'bun:test';
import { type Attached, attachedAs, everyNameOf, inWords, isSuperseded, namesOf } from './attached.ts';
import type { Attachments, SandboxState } from './attachments.ts';
import { chainOf, type Owner } from './layout.ts';

const KEY = { networkName: 'net', containerId: 'c', ifName: 'net1' };
const CONTAINER: Owner = { networkName: 'net', containerId: 'c' };
const INTERFACE: Owner = { ...CONTAINER, ifName: 'net1' };

/** What is remembered: the interface of each name, the sandbox of the container's, the addresses of its other interfaces. */
interface Memory {
  container?: string;
  interface?: string;
  sandbox?: SandboxState;
  others?: string[];
  /** Where the mappings under the container's name lead. */
  leads?: string;
}

function remembering(memory: Memory) {
  const { sandbox = 'alive', others = [] } = memory;
  const attachments = {
    interfaceOf: (chain) =>
      ({ [chainOf(CONTAINER)]: memory.container, [chainOf(INTERFACE)]: memory.interface })[chain],
    sandboxState: (chain, owner) => {
      expect([chain, owner]).toEqual([chainOf(CONTAINER), CONTAINER]);
      return sandbox;
    },
    addressesOfOthers: (key, on) => {
      expect([key, on]).toEqual([KEY, 'network']);
      return new Set(others);
    },
  } as Partial<Attachments> as Attachments;
  const leadsTo = async (owner: Owner, addresses: ReadonlySet<string>) => {
    expect(owner).toEqual(CONTAINER);
    expect(addresses.size).toBeGreaterThan(0);
    return memory.leads !== undefined && addresses.has(memory.leads);
  };
  return [KEY, attachments, leadsTo] as const;
}

test('the names of an attachment', () => {
  expect(namesOf(KEY)).toEqual([CONTAINER, INTERFACE]);
});

describe('mappings are by the name of', () => {
  test.each<[string, Memory, 'container' | 'interface', Owner[]]>([
    ['a new container', {}, 'container', [CONTAINER, INTERFACE]],
    ['the container, which they had', { container: 'net1' }, 'container', [CONTAINER, INTERFACE]],
    ['the interface, where another has the container’s', { container: 'eth0' }, 'interface', [INTERFACE]],
    [
      'the interface, where another may have it',
      { container: 'eth0', sandbox: 'unknown' },
      'interface',
      [INTERFACE],
    ],
    [
      'the container, whose sandbox is gone',
      { container: 'eth0', sandbox: 'gone' },
      'container',
      [CONTAINER, INTERFACE],
    ],
    ['the interface, which they had', { interface: 'net1' }, 'interface', [CONTAINER, INTERFACE]],
    [
      'the interface, which they had beside another',
      { interface: 'net1', container: 'eth0' },
      'interface',
      [INTERFACE],
    ],
    [
      'the interface, where the rules lead to another',
      { others: ['10.0.0.5'], leads: '10.0.0.5' },
      'interface',
      [INTERFACE],
    ],
    [
      'the container, where the rules lead elsewhere',
      { others: ['10.0.0.5'], leads: '10.0.0.6' },
      'container',
      [CONTAINER, INTERFACE],
    ],
    ['the container, where no other is known', { leads: '10.0.0.5' }, 'container', [CONTAINER, INTERFACE]],
    [
      'the container, whatever is cached',
      { container: 'net1', others: ['10.0.0.5'], leads: '10.0.0.5' },
      'container',
      [CONTAINER, INTERFACE],
    ],
  ])('%s', async (_name, memory, by, every) => {
    const name = by === 'container' ? CONTAINER : INTERFACE;
    expect(await attachedAs(...remembering(memory))).toEqual({ ...name, interface: 'net1' });
    expect(await everyNameOf(...remembering(memory))).toEqual(every);
  });
});

const SELF: Attached = { ...CONTAINER, interface: 'net1' };

test.each<[Owner, boolean]>([
  [INTERFACE, true],
  [CONTAINER, false],
  [{ ...INTERFACE, ifName: 'net2' }, false],
  [{ ...INTERFACE, networkName: 'other' }, false],
  [{ ...INTERFACE, containerId: 'd' }, false],
])('mappings of %j are superseded: %p', (owner, superseded) => {
  expect(isSuperseded(owner, SELF)).toBe(superseded);
});

test.each<[Owner, string | undefined, string]>([
  [INTERFACE, 'eth0', 'interface net1 of container c of network net'],
  [CONTAINER, 'eth0', 'interface eth0 of container c of network net'],
  [CONTAINER, undefined, 'container c of network net'],
  [{ ...CONTAINER, containerId: 'd' }, 'eth0', 'container d of network net'],
  [{ ...INTERFACE, containerId: 'd' }, undefined, 'interface net1 of container d of network net'],
])('%j, recorded with interface %p, is %s', (owner, ifName, words) => {
  const attachments = { interfaceOf: (chain: string) => (chain === chainOf(owner) ? ifName : undefined) };
  expect(inWords(owner, SELF, attachments as Partial<Attachments> as Attachments)).toBe(words);
});
