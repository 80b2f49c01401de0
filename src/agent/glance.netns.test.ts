import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output, realExec } from '../sys/exec.ts';
import { waitFor } from '../sys/wait.ts';

const missing = process.getuid?.() === 0 ? undefined : 'needs root';
const NAMESPACE = 'hostport-glance';

/** Sends a datagram to itself, and prints what came. */
const SENDS = `
  const received = Promise.withResolvers();
  const to = await Bun.udpSocket({ hostname: '127.0.0.1', socket: { data: (_, data) => received.resolve(data.toString()) } });
  const from = await Bun.udpSocket({ hostname: '127.0.0.1' });
  from.send('received', to.port, '127.0.0.1');
  console.log(await received.promise);
  for (const socket of [from, to]) socket.close();
`;

describe.skipIf(missing !== undefined)(`a glance at a node${missing ? ` (${missing})` : ''}`, () => {
  const scratch = mkdtempSync(join(tmpdir(), 'hostport-glance-'));
  const inside = (...argv: string[]) =>
    output(realExec, ['nsenter', `--net=/run/netns/${NAMESPACE}`, ...argv]);
  const script = `import { takeGlance } from '${join(import.meta.dir, 'glance.ts')}'; console.log(JSON.stringify([takeGlance(['${scratch}']), takeGlance(['${scratch}'])]));`;
  /** What is seen once it is the same twice: changes follow each other: a link that goes takes others down. */
  const glance = async () => {
    let seen: (string | null)[] = [];
    await waitFor(
      'the node to settle',
      async () => {
        seen = JSON.parse(await inside(process.execPath, '-e', script)) as (string | null)[];
        return seen[0] !== null && seen[0] === seen[1];
      },
      { timeoutMs: 20_000, intervalMs: 100 },
    );
    return seen[0]!;
  };

  beforeAll(async () => {
    await output(realExec, ['ip', 'netns', 'add', NAMESPACE]);
    await inside('ip', 'link', 'set', 'lo', 'up');
    await inside('ip', 'link', 'add', 'br0', 'type', 'bridge');
    await inside('ip', 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1');
    await inside('ip', 'link', 'set', 'veth0', 'master', 'br0');
    for (const device of ['br0', 'veth0', 'veth1']) await inside('ip', 'link', 'set', device, 'up');
    // A new link is not settled at once: its address of IPv6 is tentative at first.
    let before: string | undefined;
    const isSettled = async () => {
      const last = before;
      before = await glance();
      return before === last;
    };
    await waitFor('the links to settle', isSettled, { timeoutMs: 20_000, intervalMs: 1000 });
  }, 40_000);
  afterAll(async () => {
    rmSync(scratch, { recursive: true });
    await output(realExec, ['ip', 'netns', 'del', NAMESPACE]);
  });

  test.each<[string, string[]]>([
    ['a setting', ['sysctl', '-q', '-w', 'net.ipv4.conf.veth1.rp_filter=1']],
    ['an address', ['ip', 'address', 'add', '10.99.0.1/24', 'dev', 'br0']],
    ['a route', ['ip', 'route', 'add', '10.98.0.0/24', 'dev', 'br0']],
    ['a route that goes', ['ip', 'route', 'del', '10.98.0.0/24', 'dev', 'br0']],
    ['a route of IPv6', ['ip', '-6', 'route', 'add', 'fd00:98::/64', 'dev', 'br0']],
    ['a policy rule', ['ip', 'rule', 'add', 'from', '10.97.0.0/24', 'table', '100']],
    ['a device that is down', ['ip', 'link', 'set', 'veth1', 'down']],
    ['a link that goes', ['ip', 'link', 'del', 'veth0']],
    ['a file behind a link', ['ln', '-s', '/etc/hostname', join(scratch, 'a')]],
    ['that it leads elsewhere', ['ln', '-sf', '/etc/hosts', join(scratch, 'a')]],
  ])('shows %s', async (_, change) => {
    const before = await glance();
    expect(before).toBeString();
    await inside(...change);
    expect(await glance()).not.toBe(before);
  });

  test('is the same while nothing changes, whoever looks and sends', async () => {
    const before = await glance();
    expect(await inside(process.execPath, '-e', SENDS)).toBe('received\n');
    await inside('ip', '-j', '-d', 'address', 'show');
    expect(await glance()).toBe(before);
  });

  test('shows who listens', async () => {
    const before = await glance();
    const listener = `const server = Bun.listen({ hostname: '127.0.0.1', port: 8080, socket: { data() {} } }); console.log('listening'); await Bun.stdin.text(); server.stop();`;
    const child = Bun.spawn(['nsenter', `--net=/run/netns/${NAMESPACE}`, process.execPath, '-e', listener], {
      stdin: 'pipe',
      stdout: 'pipe',
    });
    await child.stdout.getReader().read();
    expect(await glance()).not.toBe(before);
    await child.stdin.end();
    await child.exited;
    expect(await glance()).toBe(before);
  });
});
