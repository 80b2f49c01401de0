import { describe, expect, test } from 'bun:test';
import { type Exec, ExecError } from '../../sys/exec.ts';
import { IptablesNat, IptablesUnavailable, XtablesLockBusy } from './iptables.ts';

function answering(code: number, stdout = '', stderr = ''): { exec: Exec; ran: string[]; stdin: string[] } {
  const ran: string[] = [];
  const stdin: string[] = [];
  const exec: Exec = {
    run: async (argv, options) => {
      ran.push(argv.join(' '));
      stdin.push(String(options?.stdin ?? ''));
      return { code, stdout, stderr };
    },
  };
  return { exec, ran, stdin };
}

describe('listing a chain', () => {
  test('gives its rules', async () => {
    const { exec, ran } = answering(0, '-N X\n-A X -j ACCEPT\n');
    expect(await new IptablesNat(exec, 'ipv6').listChain('X')).toEqual(['-A X -j ACCEPT']);
    expect(ran).toEqual(['ip6tables -w 5 -t nat -S X']);
  });

  test.each([
    ['legacy', 'iptables: No chain/target/match by that name.'],
    ['nft', "iptables v1.8.9 (nf_tables): chain `X' in table `nat' is incompatible, use 'nft' tool."],
  ])('of %s that does not exist gives undefined', async (_variant, stderr) => {
    const { exec } = answering(1, '', stderr);
    expect(await new IptablesNat(exec, 'ipv4').listChain('X')).toBeUndefined();
  });

  test.each<[number, string, new (...args: never[]) => Error]>([
    [3, "can't initialize iptables table `nat': Permission denied", IptablesUnavailable],
    [3, "can't initialize iptables table `nat': Table does not exist", IptablesUnavailable],
    [4, 'Another app is currently holding the xtables lock; still 1s 0us time ahead', XtablesLockBusy],
  ])('status %d, %s', async (code, stderr, kind) => {
    const { exec } = answering(code, '', stderr);
    const failure = new IptablesNat(exec, 'ipv4').listChain('X');
    await expect(failure).rejects.toBeInstanceOf(kind);
  });

  test('without the program it is unavailable, and says which', async () => {
    const exec: Exec = {
      run: async (argv) => {
        throw new ExecError(argv, { code: 127, stdout: '', stderr: '' }, 'not found');
      },
    };
    const failure = new IptablesNat(exec, 'ipv4').listChain('X');
    await expect(failure).rejects.toThrow(/iptables .*not found/);
  });
});

describe('restoring', () => {
  test('is one document', async () => {
    const { exec, ran, stdin } = answering(0);
    expect(await new IptablesNat(exec, 'ipv4').restore(['-N X', '-A X -j ACCEPT'])).toEqual({
      applied: true,
    });
    expect(ran).toEqual(['iptables-restore --noflush -w 5']);
    expect(stdin).toEqual(['*nat\n-N X\n-A X -j ACCEPT\nCOMMIT\n']);
  });

  test.each<[string, number | undefined]>([
    ['iptables-nft-restore: line 3 failed: Chain already exists.', 1],
    ['iptables-restore: line 2 failed', 0],
    ['iptables-restore v1.8.9 (nf_tables): line 4: CHAIN_ADD failed (No such file or directory)', undefined],
    ['something else', undefined],
  ])('%s is about command %p', async (stderr, failed) => {
    const { exec } = answering(1, '', stderr);
    expect(await new IptablesNat(exec, 'ipv4').restore(['-N X', '-N Y'])).toMatchObject({
      applied: false,
      failed,
      reason: expect.stringContaining(stderr),
    });
  });
});

describe('a transaction that has begun', () => {
  const CONDITION = '-C X -j ACCEPT';
  /** A program that is started, and ends as it is to. */
  function starting(code: number, stderr = '', failure?: ExecError) {
    const heard: string[] = [];
    const options: unknown[] = [];
    const exec: Exec = {
      run: () => Promise.reject(new Error('run a second time')),
      start: (argv, { stdin, ...rest }) => {
        heard.push(argv.join(' '), stdin);
        options.push(rest);
        return {
          end: async (rest, given) => {
            heard.push(rest);
            options.push(given);
            if (failure !== undefined) throw failure;
            return { code, stdout: '', stderr };
          },
        };
      },
    };
    return { heard, options, table: new IptablesNat(exec, 'ipv4') };
  }

  test('has a deadline from its end on: what its caller does meanwhile does not count', async () => {
    const { options, table } = starting(0);
    await table.begin([]).commit([]);
    expect(options).toEqual([{}, { timeoutMs: 10_000 }]);
  });

  test('that is abandoned is no error, however its program ends', async () => {
    const killed = new ExecError(['iptables-restore'], { code: 137, stdout: '', stderr: '' }, 'killed');
    const { table, heard } = starting(137, '', killed);
    expect(await table.begin([CONDITION]).abandon()).toBeUndefined();
    expect(heard.at(-1)).toBe('');
    await expect(table.begin([CONDITION]).commit(['-N X'])).rejects.toBe(killed);
  });

  test('is the same document in two parts', async () => {
    const { heard, table } = starting(0);
    const begun = table.begin([CONDITION]);
    const head = ['iptables-restore --noflush -w 5', `*nat\n${CONDITION}\nCOMMIT\n`];
    expect(heard).toEqual(head);
    expect(await begun.commit(['-N X'])).toEqual({ applied: true });
    expect(heard).toEqual([...head, '*nat\n-N X\nCOMMIT\n']);
  });

  test.each<[string, string[], number, number | undefined]>([
    ['the second command', [CONDITION], 6, 1],
    ['a condition', [CONDITION], 2, undefined],
    ['the first command, without a condition', [], 2, 0],
  ])('says what failed: %s', async (_what, conditions, line, failed) => {
    const { table } = starting(2, `iptables-restore: line ${line} failed`);
    expect(await table.begin(conditions).commit(['-N X', '-N Y'])).toMatchObject({ applied: false, failed });
  });

  test('that is abandoned ends without a command', async () => {
    const { heard, table } = starting(1);
    await table.begin([]).abandon();
    expect(heard.slice(1)).toEqual(['', '']);
  });

  test.each<[string, Partial<Exec>]>([
    ['starts nothing', {}],
    ['does not find it', { start: () => undefined }],
  ])('is one document where the door to programs %s', async (_what, fields) => {
    const { exec, stdin } = answering(0);
    const table = new IptablesNat({ ...exec, ...fields }, 'ipv4');
    await table.begin([CONDITION]).abandon();
    expect(stdin).toEqual([]);
    expect(await table.begin([CONDITION]).commit(['-N X'])).toEqual({ applied: true });
    expect(stdin).toEqual([`*nat\n${CONDITION}\nCOMMIT\n*nat\n-N X\nCOMMIT\n`]);
  });
});
