import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../../util/errors.ts';
import { cniVerb } from './cni.ts';

// What cannot be understood, or comes to an end before a plugin runs. test/cni-command.netns.test.ts has the rest.

let scratch: string;
let conf: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'hostport-cni-verb-'));
  conf = join(scratch, 'net.d');
  mkdirSync(conf);
  mkdirSync(join(scratch, 'broken'));
  const put = (name: string, text: string) => writeFileSync(join(scratch, name), text);
  put(
    'net.d/10-chain.conflist',
    '{"cniVersion":"1.0.0","name":"chain","plugins":[{"type":"no-such-plugin"}]}',
  );
  put('net.d/20-future.conflist', '{"cniVersion":"3.0.0","name":"future","plugins":[{"type":"x"}]}');
  put('broken/a.conflist', '{');
  put('escape.conflist', '{"name":"\\u001b[2J","plugins":[{"type":"x"}]}');
});
afterAll(() => rmSync(scratch, { recursive: true }));

/** The error that a command line ends in. */
async function failure(words: string[], env: Record<string, string>): Promise<unknown> {
  const verb = cniVerb({ NETCONFPATH: conf, CNI_PATH: '/a:/b', ...env });
  for (const each of [verb, ...verb.commands]) {
    each.exitOverride().configureOutput({ writeErr: () => {}, writeOut: () => {} });
  }
  const [first = '', ...rest] = words;
  try {
    await verb.parseAsync([first, '--cache-dir', join(scratch, 'cache'), ...rest], { from: 'user' });
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}

describe('wrong words, each with its error', () => {
  const POD = ['--netns', '/run/netns/none'];
  test.each<[string[], Record<string, string>, number, string]>([
    [['add'], {}, 2, 'cannot run ADD: it needs a network namespace; give --netns PATH'],
    [['check', 'chain'], {}, 2, 'cannot run CHECK: it needs a network namespace; give --netns PATH'],
    [
      ['del', 'chain'],
      {},
      2,
      'cannot run DEL: it needs a network namespace; give --netns PATH or --container-id',
    ],
    [['add', 'none', ...POD], {}, 2, 'no net configuration with name "none" in CONF'],
    [
      ['add', '--conf', '/no/such', ...POD],
      {},
      2,
      'cannot read the network configuration /no/such: no such file or directory',
    ],
    [['add', '--conf', 'SCRATCH/broken', ...POD], {}, 2, 'SCRATCH/broken/a.conflist: not JSON: '],
    [
      ['add', '--conf', 'SCRATCH/escape.conflist', ...POD],
      {},
      2,
      'invalid characters found in network name; \\x1b[2J',
    ],
    [
      ['add', 'other', '--conf', 'CONF/10-chain.conflist', ...POD],
      {},
      2,
      'CONF/10-chain.conflist is of network "chain", not "other"',
    ],
    [
      ['add', 'future', ...POD],
      {},
      1,
      'network future: unsupported CNI version "3.0.0", the newest supported',
    ],
    [['add', 'chain', ...POD, '--cap', 'portMappings=80:x'], {}, 2, '--cap portMappings: want JSON or '],
    [['add', 'chain', ...POD, '--cap', 'mac=x'], {}, 2, '--cap mac: the value must be JSON, is x'],
    [['add', 'chain', ...POD, '--args', 'A'], {}, 2, 'invalid CNI_ARGS pair "A"'],
    [['add', 'chain', ...POD], { CAP_ARGS: '[' }, 2, 'CAP_ARGS is not JSON: ['],
    [['add', 'chain', ...POD], { CNI_ARGS: 'A=' }, 2, 'invalid CNI_ARGS pair "A="'],
    [['add', 'chain', ...POD, '--container-id', '../x'], {}, 2, 'invalid characters in containerID; ../x'],
    [
      ['add', 'chain', ...POD, '-i', 'a/b'],
      {},
      2,
      'interface name contains / or : or whitespace characters; a/b',
    ],
    [['gc', 'chain', '--valid', 'x'], {}, 2, '--valid must be CONTAINER/INTERFACE, is "x"'],
    [
      ['gc', 'chain', '--all', '--valid', 'x/y'],
      {},
      2,
      'cannot run GC: --all and --valid exclude each other',
    ],
    [
      ['add', 'chain', ...POD],
      {},
      50,
      'plugin type="no-such-plugin" failed (add): failed to find plugin "no-such-plugin" in path [/a /b]',
    ],
    [
      ['add', 'chain', ...POD],
      { CNI_PATH: ':' },
      50,
      'plugin type="no-such-plugin" failed (add): no paths provided',
    ],
  ])('%j %j', async (words, env, code, message) => {
    const known = (text: string) => text.replaceAll('SCRATCH', scratch).replaceAll('CONF', conf);
    const error = await failure(words.map(known), env);
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({ exitCode: code });
    expect((error as Error).message).toStartWith(known(message));
    expect((error as Error).message).not.toMatch(/[\n\u001b]/);
    expect(existsSync(join(scratch, 'cache'))).toBe(false);
  });

  test.each([
    [['add', '--timeout', 'soon'], 'want a duration like 30s or 5m.'],
    [['add', '-o', 'yaml'], 'want "json".'],
    [['add', 'a', 'b', 'c'], 'too many arguments'],
  ])('%j are refused by the parser', async (words, message) => {
    expect(await failure(words, {})).toMatchObject({ message: expect.stringContaining(message) });
  });
});
