import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { output, realExec } from '../../sys/exec.ts';
import { namespaceIdentity } from '../../sys/netns.ts';
import { waitFor } from '../../sys/wait.ts';
import type { ProbeOrder } from './order.ts';
import { sendFrom } from './place.ts';

// Everything goes to 127.0.0.1 of a namespace of the test's own.
const missing = process.getuid?.() === 0 ? undefined : 'needs root';
const NAMESPACE = 'hostport-place';
const PATH = `/run/netns/${NAMESPACE}`;

/** Prints the ports on which it listens. */
const LISTENER = `
  const tcp = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
  const udp = await Bun.udpSocket({
    hostname: '127.0.0.1',
    socket: { data: (socket, data, port, address) => void socket.send(data, port, address) },
  });
  console.log(tcp.port, udp.port);
`;

describe.skipIf(missing !== undefined)(
  `probes from a visited namespace${missing ? ` (${missing})` : ''}`,
  () => {
    const scratch = mkdtempSync(join(tmpdir(), 'hostport-place-'));
    let listener: Bun.Subprocess<'ignore', 'pipe', 'inherit'>;
    let ports: number[] = [];

    beforeAll(async () => {
      await output(realExec, ['ip', 'netns', 'add', NAMESPACE]);
      await output(realExec, ['ip', '-n', NAMESPACE, 'link', 'set', 'lo', 'up']);
      listener = Bun.spawn(['nsenter', `--net=${PATH}`, process.execPath, '-e', LISTENER], {
        stdin: 'ignore',
        stdout: 'pipe',
        stderr: 'inherit',
      });
      let printed = '';
      void (async () => {
        for await (const chunk of listener.stdout) printed += new TextDecoder().decode(chunk);
      })();
      await waitFor('the listener', () => printed.endsWith('\n'), { timeoutMs: 10_000 });
      ports = printed.trim().split(' ').map(Number);
    });

    afterAll(async () => {
      listener?.kill();
      await listener?.exited;
      await output(realExec, ['ip', 'netns', 'del', NAMESPACE]);
      rmSync(scratch, { recursive: true });
    });

    const orders = (): ProbeOrder[] =>
      (['TCP', 'UDP'] as const).map((protocol, i) => ({
        vantage: 'pod',
        node: 'n',
        podUid: 'u',
        protocol,
        hostPort: 80,
        target: { address: '127.0.0.1', port: ports[i]! },
      }));
    const outcomes = async (path: string) => {
      const results = await sendFrom({ place: { path }, timeoutMs: 500, orders: orders() });
      return results.map(({ outcome }) => outcome);
    };
    const here = () => namespaceIdentity('/proc/self/ns/net');

    test('are answered there, refused here, and nothing else moves there', async () => {
      const home = here();
      const sent = outcomes(PATH);
      expect(here()).toBe(home!);
      expect(await sent).toEqual(['answered', 'answered']);
      expect(await outcomes('/proc/self/ns/net')).toEqual(['refused', 'refused']);
      expect(here()).toBe(home!);
    });

    test('many at once keep to their namespaces', async () => {
      const sent = await Promise.all(
        Array.from({ length: 20 }, (_, i) => outcomes(i % 2 === 0 ? PATH : '/proc/self/ns/net')),
      );
      expect(sent.map(([tcp]) => tcp)).toEqual(sent.map((_, i) => (i % 2 === 0 ? 'answered' : 'refused')));
    });

    test('are not sent by way of what is no network namespace', async () => {
      const file = join(scratch, 'file');
      writeFileSync(file, '');
      const pipe = join(scratch, 'pipe');
      await output(realExec, ['mkfifo', pipe]);
      for (const path of [file, pipe, join(scratch, 'none')]) {
        await expect(outcomes(path)).rejects.toThrow('no network namespace at');
      }
      expect(await outcomes('/proc/self/ns/uts')).toEqual(['unknown', 'unknown']);
    });
  },
);
