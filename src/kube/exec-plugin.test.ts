import { beforeEach, describe, expect, test } from 'bun:test';
import type { Captured } from '../sys/foreground.ts';
import { execPlugin, execSource, type PluginDoor, type PluginServer } from './exec-plugin.ts';
import { StanzaFields } from './stanza-fields.ts';

const V1 = 'client.authentication.k8s.io/v1';
const SPEC = { command: 'login', apiVersion: V1, interactiveMode: 'IfAvailable' };
const SERVER: PluginServer = { server: 'https://api.example', ca: 'CA' };

/** A plugin that prints what the test wants, and a clock that the test sets. */
class FakeDoor implements PluginDoor {
  readonly runs: {
    argv: readonly string[];
    env: Record<string, string | undefined>;
    stdin: string;
    signal: AbortSignal;
  }[] = [];
  readonly env = { PATH: '/bin', KEPT: 'yes' };
  isTerminal = false;
  time = 0;
  answers: (() => Captured | Promise<Captured>)[] = [];

  now(): number {
    return this.time;
  }

  async run(
    argv: readonly string[],
    options: { env: Record<string, string | undefined>; stdin: 'inherit' | 'ignore'; signal: AbortSignal },
  ) {
    this.runs.push({ argv, ...options });
    await Promise.resolve();
    return this.answers.length > 1 ? this.answers.shift()!() : this.answers[0]!();
  }
}

function printing(status: unknown, rest: object = {}) {
  const document = { kind: 'ExecCredential', apiVersion: V1, status, ...rest };
  return () => ({ status: 0, stdout: JSON.stringify(document) });
}

let door: FakeDoor;
beforeEach(() => {
  door = new FakeDoor();
});

function sourceOf(spec: object = SPEC, cluster: Record<string, unknown> = {}, server: PluginServer = SERVER) {
  const stanza = (fields: object) => ({ file: '/k/config', fields: fields as Record<string, unknown> });
  const plugin = execPlugin(new StanzaFields(stanza(spec), 'user "u": exec'));
  return execSource(plugin, new StanzaFields(stanza(cluster), 'cluster "c"'), server, door);
}

describe('how often a plugin runs', () => {
  test('once for requests at the same time and after it, while its credentials last', async () => {
    door.answers = [
      printing({ token: 'a', expirationTimestamp: '1970-01-01T00:00:10Z' }),
      printing({ token: 'b' }),
    ];
    const source = sourceOf();
    const all = await Promise.all([source.current(), source.current(), source.current()]);
    door.time = 10_000;
    expect([...all, await source.current()].map(({ token }) => token)).toEqual(['a', 'a', 'a', 'a']);
    door.time = 10_001;
    const later = await Promise.all([source.current(), source.current()]);
    expect(later.map(({ token }) => token)).toEqual(['b', 'b']);
    door.time = 1e15;
    expect((await source.current()).token).toBe('b');
    expect(door.runs).toHaveLength(2);
  });

  test('again when the server refused what it gave, once for all who were refused', async () => {
    door.answers = [printing({ token: 'a' }), printing({ token: 'b' })];
    const source = sourceOf();
    const first = await source.current();
    source.refused({ token: 'of somebody else' });
    await Promise.resolve();
    expect(await source.current()).toBe(first);
    source.refused(first);
    await Promise.resolve();
    const second = await source.current();
    expect(second.token).toBe('b');
    source.refused(first);
    await Promise.resolve();
    expect(await source.current()).toBe(second);
    expect(door.runs).toHaveLength(2);
  });

  test('again after it failed', async () => {
    door.answers = [() => ({ status: 1, stdout: '' }), printing({ token: 'a' })];
    const source = sourceOf();
    await expect(source.current()).rejects.toThrow('failed with exit status 1');
    expect((await source.current()).token).toBe('a');
  });
});

describe('a request that is aborted while a plugin runs', () => {
  test('stops waiting; the last one ends the plugin, and the next request runs it again', async () => {
    const ended = Promise.withResolvers<Captured>();
    door.answers = [() => ended.promise, printing({ token: 'a' })];
    const source = sourceOf();
    const [first, second] = [new AbortController(), new AbortController()];
    const waiting = [source.current(first.signal), source.current(second.signal)];
    first.abort('first');
    await expect(waiting[0]).rejects.toBe('first');
    expect(door.runs[0]!.signal.aborted).toBe(false);
    second.abort('second');
    await expect(waiting[1]).rejects.toBe('second');
    expect(door.runs[0]!.signal.aborted).toBe(true);
    ended.resolve({ status: 143, stdout: '' });
    expect((await source.current()).token).toBe('a');
    expect(door.runs).toHaveLength(2);
  });

  test('leaves the plugin to one that is not', async () => {
    const ended = Promise.withResolvers<Captured>();
    door.answers = [() => ended.promise];
    const source = sourceOf();
    const controller = new AbortController();
    const patient = source.current();
    const aborted = source.current(controller.signal);
    controller.abort('enough');
    await expect(aborted).rejects.toBe('enough');
    ended.resolve(printing({ token: 'a' })());
    expect((await patient).token).toBe('a');
    await expect(source.current(controller.signal)).rejects.toBe('enough');
    expect((await source.current()).token).toBe('a');
    expect(door.runs).toMatchObject([{ signal: { aborted: false } }]);
  });
});

test('white space around a token is not part of it', async () => {
  door.answers = [printing({ token: ' a\n' })];
  expect((await sourceOf().current()).token).toBe('a');
});

describe('what a plugin gets', () => {
  const infoOf = () => JSON.parse(door.runs[0]!.env.KUBERNETES_EXEC_INFO!);
  beforeEach(() => {
    door.answers = [printing({ token: 'a' })];
  });

  test('its arguments, and its variables beside ours', async () => {
    const env = [{ name: 'A', value: 'b' }, { name: 'KEPT' }];
    await sourceOf({ ...SPEC, args: ['one', 'two'], env }).current();
    expect(door.runs[0]).toMatchObject({
      argv: ['login', 'one', 'two'],
      env: { PATH: '/bin', A: 'b', KEPT: '' },
    });
    expect(infoOf()).toEqual({ kind: 'ExecCredential', apiVersion: V1, spec: { interactive: false } });
  });

  test.each([
    ['login', 'login'],
    ['./bin/login', '/k/bin/login'],
    ['bin/login', '/k/bin/login'],
    ['/opt/login', '/opt/login'],
  ])('its file is looked up on PATH, or beside the kubeconfig: %s', async (command, file) => {
    await sourceOf({ ...SPEC, command }).current();
    expect(door.runs[0]!.argv).toEqual([file]);
  });

  test.each([
    ['Never', true, false],
    ['IfAvailable', true, true],
    ['IfAvailable', false, false],
    ['Always', true, true],
  ])('the terminal: %s, where there is one: %p', async (interactiveMode, isTerminal, interactive) => {
    door.isTerminal = isTerminal;
    await sourceOf({ ...SPEC, interactiveMode }).current();
    expect(infoOf().spec.interactive).toBe(interactive);
    expect(door.runs[0]!.stdin).toBe(interactive ? 'inherit' : 'ignore');
  });

  test('v1beta1 has a default for the terminal', async () => {
    const apiVersion = 'client.authentication.k8s.io/v1beta1';
    door.answers = [printing({ token: 'a' }, { apiVersion })];
    expect((await sourceOf({ command: 'login', apiVersion }).current()).token).toBe('a');
    expect(infoOf().apiVersion).toBe(apiVersion);
  });

  test('the cluster, when it asks for it', async () => {
    const extensions = [
      { name: 'other', extension: 1 },
      { name: 'client.authentication.k8s.io/exec', extension: { audience: 'x' } },
    ];
    const server: PluginServer = {
      ...SERVER,
      insecureSkipTlsVerify: true,
      tlsServerName: 't',
      proxy: 'http://p',
    };
    await sourceOf({ ...SPEC, provideClusterInfo: true }, { extensions }, server).current();
    expect(infoOf().spec.cluster).toEqual({
      server: 'https://api.example',
      'tls-server-name': 't',
      'insecure-skip-tls-verify': true,
      'certificate-authority-data': 'Q0E=',
      'proxy-url': 'http://p',
      config: { audience: 'x' },
    });
  });
});

describe('what a plugin may print wrongly, which is never quoted', () => {
  const text = (stdout: string) => () => ({ status: 0, stdout });
  const cases: [what: string, answer: () => { status: number; stdout: string }, problem: string][] = [
    ['nothing', text(''), 'did not print JSON'],
    ['no JSON', text('S3CRET'), 'did not print JSON'],
    ['null', text('null'), 'did not print an ExecCredential'],
    ['another kind', printing({ token: 'S3CRET' }, { kind: 'S3CRET' }), 'did not print an ExecCredential'],
    [
      'another version',
      printing({ token: 'S3CRET' }, { apiVersion: 'S3CRET' }),
      `printed another apiVersion than ${V1}, which the kubeconfig has`,
    ],
    ['no status', printing(null), 'printed no status'],
    ['an empty status', printing({}), 'printed neither a token nor a certificate'],
    ['a numeric token', printing({ token: 1 }), 'printed a token that is not a string'],
    [
      'a token of two lines',
      printing({ token: 'S3CRET\nS3CRET' }),
      'printed a token that has a control character',
    ],
    ['a blank token', printing({ token: '\n' }), 'printed neither a token nor a certificate'],
    [
      'only a key',
      printing({ token: 't', clientKeyData: 'S3CRET' }),
      'printed only one of certificate and key',
    ],
    [
      'no time',
      printing({ token: 'S3CRET', expirationTimestamp: 'S3CRET' }),
      'printed an expirationTimestamp that is not a time',
    ],
    ['a failure', () => ({ status: 7, stdout: 'S3CRET' }), 'failed with exit status 7'],
  ];
  test.each(cases)('%s', async (_, answer, problem) => {
    door.answers = [answer];
    const error = await sourceOf()
      .current()
      .catch((thrown) => thrown);
    expect(error.message).toBe(`cannot use kubeconfig /k/config: user "u": exec: login ${problem}`);
    expect(Bun.inspect(error)).not.toContain('S3CRET');
  });
});

describe('a plugin that cannot run', () => {
  const throwing = (code: string) => () => {
    throw Object.assign(new Error(`spawn login ${code}`), { code });
  };

  test('is not installed: its hint says how to', async () => {
    door.answers = [throwing('ENOENT')];
    await expect(sourceOf({ ...SPEC, installHint: 'Install it.\n' }).current()).rejects.toThrow(
      'cannot use kubeconfig /k/config: user "u": exec: login: not found; Install it.',
    );
    await expect(sourceOf().current()).rejects.toThrow(/exec: login: not found$/);
  });

  test('may not be run', async () => {
    door.answers = [throwing('EACCES')];
    await expect(sourceOf().current()).rejects.toThrow(/exec: login: permission denied$/);
  });

  test('asks questions that nobody can answer', async () => {
    const source = sourceOf({ ...SPEC, interactiveMode: 'Always' });
    await expect(source.current()).rejects.toThrow(
      'exec: login asks questions, and standard input is not a terminal',
    );
    expect(door.runs).toEqual([]);
  });
});
