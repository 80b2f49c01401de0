import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { join } from 'node:path';
import { output, realExec } from './exec.ts';
import { waitFor } from './wait.ts';

const missing = process.getuid?.() === 0 ? undefined : 'needs root';
const NAMESPACE = 'hostport-nfchanges';

const LISTENER = join(import.meta.dir, 'testing/netfilter-listener.ts');

describe.skipIf(missing !== undefined)(`changes of netfilter${missing ? ` (${missing})` : ''}`, () => {
  const inside = (...argv: string[]) => ['nsenter', `--net=/run/netns/${NAMESPACE}`, ...argv];
  let listener: Bun.Subprocess<'pipe', 'pipe', 'inherit'>;
  let printed = '';
  let read: Promise<void>;

  beforeAll(async () => {
    await output(realExec, ['ip', 'netns', 'add', NAMESPACE]);
    listener = Bun.spawn(inside(process.execPath, LISTENER), {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    });
    read = (async () => {
      for await (const chunk of listener.stdout) printed += new TextDecoder().decode(chunk);
    })();
    await waitFor('the listener', () => printed.includes('listening'), { timeoutMs: 10_000 });
  });

  afterAll(async () => {
    listener?.kill();
    await listener?.exited;
    await output(realExec, ['ip', 'netns', 'del', NAMESPACE]);
  });

  const CHANGES: [name: string, argv: string[]][] = [
    ['a table of nft', ['nft', 'add', 'table', 'inet', 't']],
    ['a chain of nft', ['nft', 'add', 'chain', 'inet', 't', 'c']],
    ['a chain of iptables-nft', ['iptables-nft', '-t', 'nat', '-N', 'X']],
    ['a chain that goes', ['iptables-nft', '-t', 'nat', '-X', 'X']],
    ['the whole ruleset', ['nft', 'flush', 'ruleset']],
  ];
  for (const [name, argv] of CHANGES) {
    test(`${name} is reported`, async () => {
      const before = printed.length;
      await output(realExec, inside(...argv));
      await waitFor('the change to be reported', () => printed.slice(before).includes('changed'), {
        timeoutMs: 5000,
      });
    });
  }

  test('looking is not', async () => {
    const before = printed;
    for (const argv of [
      ['nft', '-j', 'list', 'ruleset'],
      ['iptables-nft-save', '-c'],
      ['ip6tables-nft-save', '-c'],
    ]) {
      await output(realExec, inside(...argv));
    }
    expect(printed).toBe(before);
  });

  test('more at once than the socket holds is reported, too', async () => {
    const chains = Array.from({ length: 3000 }, (_, n) => `add chain inet many c${n}\n`).join('');
    const before = printed.length;
    process.kill(listener.pid, 'SIGSTOP');
    for (let round = 0; round < 3; round++) {
      await output(realExec, inside('nft', '-f', '-'), { stdin: `add table inet many\n${chains}` });
      await output(realExec, inside('nft', 'delete', 'table', 'inet', 'many'));
    }
    process.kill(listener.pid, 'SIGCONT');
    await waitFor('the change to be reported', () => printed.slice(before).includes('changed'), {
      timeoutMs: 5000,
    });
    await output(realExec, inside('nft', 'add', 'table', 'inet', 'after'));
    const then = printed.length;
    await output(realExec, inside('nft', 'delete', 'table', 'inet', 'after'));
    await waitFor('it to continue', () => printed.slice(then).includes('changed'), { timeoutMs: 5000 });
  }, 30_000);

  test('it ends on request, without an error', async () => {
    await listener.stdin.end();
    expect(await listener.exited).toBe(0);
    await read;
    expect(printed.endsWith('ended\n')).toBe(true);
  });
});
