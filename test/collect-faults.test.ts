/** What goes wrong while a cluster is examined, over real connections to an API server on loopback: handled, or one clear line and nodes unknown. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { emptyReport } from '../src/collect/reader/cluster.fake.ts';
import { type CollectOptions, collectCluster } from '../src/collect/reader/collect.ts';
import { ApiClient } from '../src/kube/client.ts';
import type { NodeRequest } from '../src/node/serve/request.ts';
import type { World } from '../src/path/model/world.ts';
import { podOn } from '../src/path/testing/small-world.ts';
import { InputError } from '../src/util/errors.ts';
import { type AnswerText, SimulatedApi, type SimulatedOptions, status } from './simulated/api.ts';

const VERSION = '1.2.3';
const NODES = ['a', 'b', 'c'];
let api: SimulatedApi;
let warnings: string[];
beforeEach(() => {
  warnings = [];
});
afterEach(() => api.stop());

function serve(options: Partial<SimulatedOptions> = {}): void {
  api = new SimulatedApi({
    nodes: NODES.map((name) => ({
      metadata: { name },
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    })),
    pods: [podOn('a', 'web', 80)],
    answer: (node, request) => answerOf(node, request),
    ...options,
  });
  api.start();
}

function answerOf(node: string, request: NodeRequest): AnswerText {
  if (request.do === 'identity') return json({ version: VERSION, inHostNetwork: true });
  if (request.do === 'report') return json(emptyReport(node));
  return json([]);
}

const json = (value: unknown): AnswerText => ({ value: JSON.stringify(value) });

function look(given: Partial<CollectOptions> = {}, token = 'good'): Promise<World> {
  const client = new ApiClient({ server: api.url, token, origin: 'context "x" of file', userAgent: 'test' });
  return collectCluster(client, {
    parallel: 8,
    timeoutMs: 20_000,
    probes: true,
    image: 'example/image:1',
    imagePullSecrets: [],
    version: VERSION,
    signal: new AbortController().signal,
    warn: (line) => warnings.push(line),
    progress: () => {},
    ...given,
  });
}

function reasons({ reports }: World): Record<string, string | undefined> {
  return Object.fromEntries(
    [...reports].map(([node, report]) => [node, 'unknown' in report ? report.unknown : undefined]),
  );
}

const ALL_EXAMINED = Object.fromEntries(NODES.map((name) => [name, undefined]));

test('nothing goes wrong: a node costs a pod, an exec and its removal, and the rest costs the same for any number of nodes', async () => {
  serve();
  expect(reasons(await look())).toEqual(ALL_EXAMINED);
  expect(api.created).toEqual([]);
  const counts = Object.fromEntries([...api.requests].filter(([what]) => !/ASK|reviews/.test(what)));
  expect(counts).toEqual({
    'GET nodes': 1,
    // All pods, and those of the run, to watch them.
    'GET pods': 2,
    'GET services': 1,
    // Warnings, and assignments to nodes.
    'GET events': 2,
    'GET networkpolicies': 1,
    // Those of earlier runs, and that of this one until it is gone.
    'GET namespaces': 2,
    'POST namespaces': 1,
    'DELETE namespaces': 1,
    'WATCH pods': 1,
    'POST pods': NODES.length,
    EXEC: NODES.length,
    'DELETE pods': NODES.length,
  });
});

describe('credentials that are not accepted', () => {
  test('from the start are one error that says whose they are and what to do', async () => {
    serve();
    api.token = 'good';
    const failed = look({}, 'expired');
    await expect(failed).rejects.toBeInstanceOf(InputError);
    await expect(failed).rejects.toThrow(
      `cannot examine the cluster: ${api.url} (context "x" of file) does not accept the credentials (Unauthorized); log in again or renew them`,
    );
    expect(api.created).toEqual([]);
  });

  test('midway leave nodes unknown, and what could not be removed is named', async () => {
    serve({
      answer: (node, request) => {
        if (request.do === 'report') api.token = 'renewed';
        return answerOf(node, request);
      },
      fault: ({ method, path }) => {
        // The first node's exec expires the token: the others are created one by one.
        if (method === 'POST' && /\/pods$/.test(path) && api.token === 'renewed')
          return status(401, 'Unauthorized', 'Unauthorized');
        return undefined;
      },
    });
    api.token = 'good';
    const world = await look({ parallel: 1 });
    expect(reasons(world)).toEqual({
      a: undefined,
      b: expect.stringMatching(/^POST .*\/pods \(context "x" of file\): Unauthorized$/),
      c: expect.stringMatching(/Unauthorized$/),
    });
    expect(warnings.join('\n')).toMatch(
      /not removed: namespace hostport-doctor-\w+: .*Unauthorized; its pods end/,
    );
  });
});

describe('a server that is busy or restarts midway', () => {
  test.each([
    ['a Status', () => status(429, 'TooManyRequests', 'too many', { 'retry-after': '0' })],
    ['plain text', () => new Response('Too many requests', { status: 429, headers: { 'retry-after': '0' } })],
  ])('429 as %s is tried again, on every kind of request', async (_, answer) => {
    const refused = new Set<string>();
    serve({
      fault: ({ method, path }) => {
        const kind = `${method} ${path.replace(/[?].*$/, '').replace(/doctor-[\w-]+/g, '')}`;
        if (refused.has(kind) || path.includes('watch=true')) return undefined;
        refused.add(kind);
        return answer();
      },
    });
    expect(reasons(await look())).toEqual(ALL_EXAMINED);
    expect(api.created).toEqual([]);
    expect(warnings.filter((line) => line.startsWith('trying again: ')).length).toBeGreaterThan(5);
  });

  test('a restart ends watches and sessions, which are opened again', async () => {
    let isRestarted = false;
    serve({
      answer: (node, request) => {
        if (request.do === 'report' && !isRestarted) {
          isRestarted = true;
          api.stop();
          api.start();
        }
        return answerOf(node, request);
      },
    });
    expect(reasons(await look({ timeoutMs: 60_000 }))).toEqual(ALL_EXAMINED);
    expect(api.created).toEqual([]);
    expect(api.requests.get('EXEC')).toBeGreaterThan(NODES.length);
  }, 30_000);
});

test('two runs at once have a namespace each, and neither removes what is the other’s', async () => {
  const spaces = new Set<string>();
  serve({
    answer: (node, request) => {
      for (const name of api.created) if (name.startsWith('hostport-doctor-')) spaces.add(name);
      return answerOf(node, request);
    },
  });
  const both = await Promise.all([look(), look()]);
  expect(both.map(reasons)).toEqual([ALL_EXAMINED, ALL_EXAMINED]);
  expect(spaces.size).toBe(2);
  expect(api.created).toEqual([]);
  expect(warnings).toEqual([]);
});

test('a node of another architecture than the program that would be sent there is unknown, and says what to do', async () => {
  const isFar = (node: string) => node === 'b';
  serve({
    run: (node, argv) => {
      if (argv[0] === 'uname') return { code: 0, stdout: isFar(node) ? 'riscv64\n' : `${MACHINE}\n` };
      // The image has no program of ours.
      return { code: argv[0] === '/usr/local/bin/hostport' ? 127 : 0, stdout: '' };
    },
  });
  const world = await look({ image: 'busybox', program: import.meta.path });
  expect(reasons(world)).toEqual({
    ...ALL_EXAMINED,
    b: `the node is riscv64, and the program that would be sent there is for ${MACHINE}: name an image of this program with --image`,
  });
});

const MACHINE = process.arch === 'x64' ? 'x86_64' : 'aarch64';
