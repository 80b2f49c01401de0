import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProbeSocket } from '../node/probe/socket.ts';
import { output, realExec } from '../sys/exec.ts';
import { waitFor } from '../sys/wait.ts';

const missing = process.getuid?.() === 0 ? undefined : 'needs root';
const NAMESPACE = 'hostport-glance';
const BRIDGED = ['br0', 'veth0', 'veth1'];

/** Of what `ip -j address show` prints. */
interface Link {
  ifname?: string;
  operstate?: string;
  addr_info: { tentative?: true }[];
}

/** Sends a datagram to itself, and prints what came. */
const SENDS = `
  const received = Promise.withResolvers();
  const to = await Bun.udpSocket({ hostname: '127.0.0.1', socket: { data: (_, data) => received.resolve(data.toString()) } });
  const from = await Bun.udpSocket({ hostname: '127.0.0.1' });
  from.send('received', to.port, '127.0.0.1');
  console.log(await received.promise);
  for (const socket of [from, to]) socket.close();
`;

/** Where each of these listens is the loopback of the namespace that it runs in. */
const LISTENS_BY_TCP =
  "const server = Bun.listen({ hostname: '127.0.0.1', port: 8080, socket: { data() {} } }); const stop = () => server.stop()";
const LISTENS_BY_UDP =
  "const socket = await Bun.udpSocket({ hostname: '127.0.0.1', port: 8080 }); const stop = () => socket.close()";
// The runtime has no SCTP; socket(7), netinet/in.h.
const LISTENS_BY_SCTP = `
  import { dlopen } from 'bun:ffi';
  const { socket, bind, listen, close } = dlopen('libc.so.6', {
    socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
    bind: { args: ['i32', 'ptr', 'u32'], returns: 'i32' },
    listen: { args: ['i32', 'i32'], returns: 'i32' },
    close: { args: ['i32'], returns: 'i32' },
  }).symbols;
  const fd = socket(2, 1, 132);
  const address = Buffer.from([2, 0, 8080 >> 8, 8080 & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
  if (fd < 0 || bind(fd, address, 16) !== 0 || listen(fd, 1) !== 0) throw new Error('cannot listen by SCTP');
  const stop = () => close(fd)`;

const sctp = ProbeSocket.open('stream', 132, '127.0.0.1', 9);
const withoutSctp = sctp instanceof ProbeSocket ? undefined : sctp.detail;
if (sctp instanceof ProbeSocket) sctp.close();

describe.skipIf(missing !== undefined)(`a glance at a node${missing ? ` (${missing})` : ''}`, () => {
  const scratch = mkdtempSync(join(tmpdir(), 'hostport-glance-'));
  /** Its mounts are those of the run's own mount namespace, too, for as long as it lives. */
  let keeper: Bun.Subprocess<'pipe', 'pipe'>;
  const inside = (...argv: string[]) => output(realExec, [...entering(), ...argv]);
  const entering = () => ['nsenter', `--net=/run/netns/${NAMESPACE}`, `--mount=/proc/${keeper.pid}/ns/mnt`];
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

  /** A link that was added is not settled at once: it has a carrier some time later, and its address of IPv6 is tentative then. */
  const isSettled = async () => {
    const shown = await inside('ip', '-j', 'address', 'show', 'up', 'scope', 'link');
    const links = (JSON.parse(shown) as Link[]).filter(({ ifname }) => ifname !== undefined);
    return (
      links.length === BRIDGED.length &&
      links.every(({ operstate, addr_info: [own] }) => operstate === 'UP' && own && !own.tentative)
    );
  };

  beforeAll(async () => {
    mkdirSync(join(scratch, 'net'));
    await output(realExec, ['ip', 'netns', 'add', NAMESPACE]);
    keeper = Bun.spawn(
      ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', 'echo ready; exec cat'],
      {
        stdin: 'pipe',
        stdout: 'pipe',
      },
    );
    const said = await keeper.stdout.getReader().read();
    expect(Buffer.from(said.value ?? '').toString()).toBe('ready\n');
    await inside('ip', 'link', 'set', 'lo', 'up');
    await inside('ip', 'link', 'add', 'br0', 'type', 'bridge');
    await inside('ip', 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1');
    await inside('ip', 'link', 'set', 'veth0', 'master', 'br0');
    await inside('ip', 'link', 'add', 'veth2', 'type', 'veth', 'peer', 'name', 'veth3');
    for (const device of BRIDGED) await inside('ip', 'link', 'set', device, 'up');
    await waitFor('the links to settle', isSettled, { timeoutMs: 20_000, intervalMs: 100 });
  }, 40_000);
  afterAll(async () => {
    await keeper.stdin.end();
    await keeper.exited;
    rmSync(scratch, { recursive: true });
    await output(realExec, ['ip', 'netns', 'del', NAMESPACE]);
  });

  test('is the same while nothing changes, whoever looks and sends', async () => {
    const before = await glance();
    expect(await inside(process.execPath, '-e', SENDS)).toBe('received\n');
    await inside('ip', '-j', '-d', 'address', 'show');
    expect(await glance()).toBe(before);
  });

  test.each([
    ['TCP', LISTENS_BY_TCP],
    ['UDP', LISTENS_BY_UDP],
  ])('shows who listens by %s', showsWhoListens);

  test.skipIf(withoutSctp !== undefined)(
    `shows who listens by SCTP${withoutSctp ? ` (${withoutSctp})` : ''}`,
    () => showsWhoListens('SCTP', LISTENS_BY_SCTP),
  );

  test.each<[string, string[]]>([
    ['what is mounted over a directory', ['mount', '-t', 'tmpfs', 'tmpfs', scratch]],
    ['that nothing on it can be run', ['mount', '-o', 'remount,noexec', scratch]],
    ['that it is mounted no more', ['umount', scratch]],
    ['what is mounted above a directory', ['mount', '--bind', tmpdir(), tmpdir()]],
    ['a file of a drop-in directory', ['touch', join(scratch, 'net/10-a.conf')]],
    ['that it was written', ['sh', '-c', `echo {} >> ${join(scratch, 'net/10-a.conf')}`]],
    ['a file behind a link', ['ln', '-s', '/etc/hostname', join(scratch, 'a')]],
    ['that it leads elsewhere', ['ln', '-sf', '/etc/hosts', join(scratch, 'a')]],
    ['a setting', ['sysctl', '-q', '-w', 'net.ipv4.conf.veth1.rp_filter=1']],
    ['another of a device', ['sysctl', '-q', '-w', 'net.ipv4.conf.br0.route_localnet=1']],
    ['whether a device forwards', ['sysctl', '-q', '-w', 'net.ipv4.conf.veth0.forwarding=1']],
    ['which sources a device takes', ['sysctl', '-q', '-w', 'net.ipv4.conf.veth0.accept_local=1']],
    ['a setting of all devices', ['sysctl', '-q', '-w', 'net.ipv4.conf.all.route_localnet=1']],
    ['that the node forwards', ['sysctl', '-q', '-w', 'net.ipv4.ip_forward=1']],
    ['an address', ['ip', 'address', 'add', '10.99.0.1/24', 'dev', 'br0']],
    ['a route', ['ip', 'route', 'add', '10.98.0.0/24', 'dev', 'br0']],
    ['a route that goes', ['ip', 'route', 'del', '10.98.0.0/24', 'dev', 'br0']],
    ['a route of IPv6', ['ip', '-6', 'route', 'add', 'fd00:98::/64', 'dev', 'br0']],
    ['a policy rule', ['ip', 'rule', 'add', 'from', '10.97.0.0/24', 'table', '100']],
    ['a link that goes', ['ip', 'link', 'del', 'veth2']],
    // The last, because the bridge follows it later.
    ['a device that is down', ['ip', 'link', 'set', 'veth1', 'down']],
  ])('shows %s', async (_, change) => {
    const before = await glance();
    expect(before).toMatch(/^[0-9a-f]{64}$/);
    await inside(...change);
    expect(await glance()).not.toBe(before);
  });

  async function showsWhoListens(_: string, listens: string) {
    const before = await glance();
    const script = `${listens}; console.log('listening'); await Bun.stdin.text(); stop();`;
    const child = Bun.spawn([...entering(), process.execPath, '-e', script], {
      stdin: 'pipe',
      stdout: 'pipe',
    });
    const said = await child.stdout.getReader().read();
    expect(Buffer.from(said.value ?? '').toString()).toBe('listening\n');
    expect(await glance()).not.toBe(before);
    await child.stdin.end();
    expect(await child.exited).toBe(0);
    expect(await glance()).toBe(before);
  }
});
