import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { ApiClient, type ApiClientOptions, type ApiError } from './client.ts';
import { ConnectionError } from './connection-error.ts';
import { pods } from './resources.ts';
import { ANSWER, type ProxyKind, Recorder } from './testing/recorder.ts';

let recorder: Recorder;
beforeAll(async () => {
  recorder = await Recorder.start();
});
afterAll(() => recorder[Symbol.asyncDispose]());
beforeEach(() => {
  recorder.take();
});

/** Runs `ask` against a server or a proxy that does what `work` does to each connection. */
async function against<T>(work: (socket: Socket) => void, ask: (port: number) => Promise<T>): Promise<T> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on('error', () => {}));
    work(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await ask((server.address() as AddressInfo).port);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

/** With two groups, which the runtime's fetch cannot send, so that the other way of sending is taken. */
const GROUPS = [
  ['Impersonate-User', 'me'],
  ['Impersonate-Group', 'one'],
  ['Impersonate-Group', 'two'],
] as const;

function client(options: Partial<ApiClientOptions> = {}): ApiClient {
  return new ApiClient({
    server: `https://127.0.0.1:${recorder.port('server')}`,
    ca: recorder.caPem,
    userAgent: 'test',
    ...options,
  });
}

async function ask(options: Partial<ApiClientOptions> = {}) {
  const response = await client(options).fetch('GET', '/version');
  expect(await response.json()).toEqual(ANSWER);
  const { arrivals, proxied } = recorder.take();
  expect(arrivals).toHaveLength(1);
  return { ...arrivals[0]!, proxied };
}

describe.each([
  ['fetch', {}],
  ['a socket', { headers: GROUPS }],
] as const)('by %s', (_, way: Partial<ApiClientOptions>) => {
  test('the path of the server comes first', async () => {
    const { path } = await ask({
      ...way,
      server: `https://127.0.0.1:${recorder.port('server')}/k8s/clusters/c-1`,
    });
    expect(path).toBe('/k8s/clusters/c-1/version');
  });

  test('a client certificate is shown', async () => {
    const { peer } = await ask({ ...way, cert: recorder.client.certPem, key: recorder.client.keyPem });
    expect(peer).toBe('me');
  });

  test('tls-server-name is asked for, and is the name that counts', async () => {
    expect((await ask({ ...way, tlsServerName: 'api.example' })).sni).toBe('api.example');
    expect((await ask(way)).sni).toBeUndefined();
    const wrong = client({ ...way, tlsServerName: 'other.example' }).fetch('GET', '/version');
    await expect(wrong).rejects.toThrow(/certificate is for another name; see tls-server-name/);
    expect(recorder.take().arrivals).toEqual([]);
  });

  test('a server of another authority is refused, unless insecure-skip-tls-verify', async () => {
    const stranger = client({ ...way, ca: undefined }).fetch('GET', '/version');
    await expect(stranger).rejects.toThrow(/certificate is not signed by/);
    expect(recorder.take().arrivals).toEqual([]);
    expect(await ask({ ...way, ca: undefined, insecureSkipTlsVerify: true })).toMatchObject({
      path: '/version',
    });
  });

  test.each(['http', 'https', 'socks5'] as const)('through a proxy: %s', async (kind) => {
    const server = 'https://api.example:6443/prefix';
    const host = kind === 'https' ? 'localhost' : '127.0.0.1';
    const proxy = `${kind}://us%40er:p%3Ass@${host}:${recorder.port(kind)}`;
    const { proxied, ...arrival } = await ask({ ...way, server, proxy });
    expect(proxied).toEqual([{ kind, asked: 'CONNECT api.example:6443', user: 'us@er:p:ss' }]);
    expect(arrival).toMatchObject({ path: '/prefix/version', sni: 'api.example' });
    expect(arrival.headers.map(([name]) => name)).not.toContain('proxy-authorization');
  });

  test('through a proxy, the name that counts is the server’s or tls-server-name', async () => {
    const proxy = `http://127.0.0.1:${recorder.port('http')}`;
    const far = { ...way, server: 'https://10.9.8.7', proxy };
    await expect(client(far).fetch('GET', '/version')).rejects.toThrow(/certificate is for another name/);
    expect((await ask({ ...far, tlsServerName: 'api.example' })).proxied).toContainEqual({
      kind: 'http',
      asked: 'CONNECT 10.9.8.7:443',
      user: undefined,
    });
  });

  test('a server without TLS is asked by the proxy', async () => {
    const proxy = `http://us:pw@127.0.0.1:${recorder.port('http')}`;
    const { proxied } = await ask({ ...way, server: 'http://api.example/prefix', proxy });
    expect(proxied).toEqual([{ kind: 'http', asked: 'http://api.example/prefix/version', user: 'us:pw' }]);
  });

  test('an aborted request rejects with the reason of its signal', async () => {
    const reason = new Error('enough');
    const asked = client(way).fetch('GET', '/version', undefined, {}, AbortSignal.abort(reason));
    await expect(asked).rejects.toBe(reason);
  });

  test('a watch brings its events as they come, and ends with its signal', async () => {
    const controller = new AbortController();
    const events = client(way).watch(pods, { signal: controller.signal });
    recorder.watchers.push((send) => {
      send({ type: 'ADDED', object: { metadata: { name: 'a' } } });
    });
    expect((await events.next()).value).toMatchObject({ type: 'ADDED' });
    const next = events.next();
    const reason = new Error('enough');
    controller.abort(reason);
    await expect(next).rejects.toBe(reason);
  });

  test.each([
    [302, 'https://u:S3CRET@other:1/a?code=S3CRET#S3CRET', 'https://other:1/a'],
    [307, '/login?S3CRET', 'http://127.0.0.1:PORT/login'],
    [301, 'http://', 'an address that is not a URL'],
  ])(
    'a redirect is not followed, and is an error that names where to: %i %s',
    async (status, location, where) => {
      let asked = 0;
      const work = (socket: Socket) => {
        socket.on('data', () => {
          asked++;
          socket.end(`HTTP/1.1 ${status} X\r\nLocation: ${location}\r\nContent-Length: 6\r\n\r\nS3CRET`);
        });
      };
      await against(work, async (port) => {
        const server = `http://127.0.0.1:${port}`;
        const error = await client({ ...way, server })
          .get(pods, 'a', 'b')
          .catch((thrown) => thrown);
        expect(error).toBeInstanceOf(ConnectionError);
        expect(error.message).toBe(
          `cannot GET ${server}/api/v1/namespaces/b/pods/a: the server redirects to ${where.replace('PORT', String(port))}`,
        );
        expect(Bun.inspect(error)).not.toContain('S3CRET');
      });
      expect(asked).toBe(1);
    },
  );

  test.each([
    ['an object', 200, (api: ApiClient) => api.get(pods, 'a', 'b')],
    ['a text', 200, (api: ApiClient) => api.text('/readyz', AbortSignal.timeout(30_000))],
    ['an error', 500, (api: ApiClient) => api.get(pods, 'a', 'b')],
  ])('an answer that breaks off says so: %s', async (_, status, ask) => {
    const work = (socket: Socket) => {
      socket.once('data', () =>
        socket.end(`HTTP/1.1 ${status} X\r\nContent-Length: 100\r\n\r\n{"message": "S3`),
      );
    };
    await against(work, async (port) => {
      const error = await ask(client({ ...way, server: `http://127.0.0.1:${port}` })).catch(
        (thrown) => thrown,
      );
      expect(error).toBeInstanceOf(ConnectionError);
      expect(error.message).toMatch(/^cannot GET http:.*: the connection was closed without an answer$/);
    });
  });

  test('a body and a status arrive', async () => {
    recorder.answers = [201, 404];
    const sent = await client(way).fetch('POST', '/x', { a: 'ä' });
    expect(sent.status).toBe(201);
    expect(recorder.take().arrivals[0]!.headers).toContainEqual(['content-length', '10']);
    await expect(client(way).fetch('GET', '/x')).rejects.toMatchObject({ name: 'ApiError', code: 404 });
  });
});

test.each<[string, Record<string, string>, string, number | undefined]>([
  ['a header', { 'retry-after': '7' }, 'Too many requests', 7],
  ['a Status, which counts more', { 'retry-after': '7' }, '{"details":{"retryAfterSeconds":3}}', 3],
  ['a date, which no API server says', { 'retry-after': 'Fri, 31 Dec 1999 23:59:59 GMT' }, '', undefined],
  ['nothing', {}, '', undefined],
])('how long to wait for a busy server is known from %s', async (_, headers, body, seconds) => {
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    fetch: () => new Response(body, { status: 429, headers }),
  });
  try {
    const far = new ApiClient({ server: `http://127.0.0.1:${server.port}`, userAgent: 'test' });
    const said = [
      far.get(pods, 'a', 'b'),
      far.openSocket('/api/v1/namespaces/b/pods/a/exec', {}, new AbortController().signal),
    ].map((asked) =>
      asked.then(
        () => undefined,
        (cause: ApiError) => cause.status.details?.retryAfterSeconds,
      ),
    );
    expect(await Promise.all(said)).toEqual([seconds, seconds]);
  } finally {
    await server.stop(true);
  }
});

test.each([401, 403, 404])('an answer of %i names the server, the context and its file', async (status) => {
  recorder.answers = [status];
  const server = `https://127.0.0.1:${recorder.port('server')}`;
  const asked = client({ origin: 'context "prod" of /k' }).get(pods, 'a', 'b');
  const target = `GET ${server}/api/v1/namespaces/b/pods/a (context "prod" of /k): `;
  await expect(asked).rejects.toThrow(target);
  await expect(asked).rejects.toMatchObject({ name: 'ApiError', code: status });
});

describe('a proxy that does not do its work', () => {
  /** A proxy that does what `work` does to each connection. */
  async function behind(
    scheme: string,
    work: (socket: Socket) => void,
    ask: (far: ApiClient) => Promise<unknown>,
  ) {
    return against(work, (port) =>
      ask(client({ server: 'https://api.example', proxy: `${scheme}://u:S3CRET@127.0.0.1:${port}` })),
    );
  }

  const answering =
    (...answers: (string | number[])[]) =>
    (socket: Socket) => {
      socket.on('data', () => {
        const answer = answers.shift();
        if (answer !== undefined) socket.write(typeof answer === 'string' ? answer : Buffer.from(answer));
      });
    };
  const cases: [what: string, scheme: string, work: (socket: Socket) => void, problem: string][] = [
    [
      'refuses',
      'http',
      answering('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n'),
      'the proxy refused to open a tunnel: 407 Proxy Authentication Required',
    ],
    [
      'says something else',
      'http',
      answering('220 mail.example\r\n\r\n'),
      'the proxy refused to open a tunnel: 220 mail.example',
    ],
    ['hangs up', 'http', (socket) => socket.destroy(), 'the connection was closed without an answer'],
    ['hangs up politely', 'socks5', (socket) => socket.end(), 'the connection was closed without an answer'],
    [
      'hangs up behind its tunnel',
      'http',
      (socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'),
      'the connection was closed without an answer',
    ],
    [
      'never ends',
      'http',
      answering('HTTP/1.1 200 OK\r\n'.repeat(9000)),
      "the proxy's answer is longer than 65536 bytes",
    ],
    ['is an older one', 'socks5', answering([4, 0]), 'the proxy does not speak SOCKS 5'],
    [
      'wants something else',
      'socks5',
      answering([5, 255]),
      'the proxy accepts none of the offered authentication methods',
    ],
    ['does not know us', 'socks5', answering([5, 2], [1, 1]), 'the proxy refuses the user or the password'],
    [
      'cannot',
      'socks5',
      answering([5, 0], [5, 5, 0, 1, 0, 0, 0, 0, 0, 0]),
      'the proxy did not connect: connection refused',
    ],
    [
      'has its own numbers',
      'socks5',
      answering([5, 0], [5, 77, 0, 3, 1, 65, 0, 0]),
      'the proxy did not connect: reply 77',
    ],
  ];
  test.each(cases)('%s', async (_, scheme, work, problem) => {
    const error = (await behind(scheme, work, (far) =>
      far.fetch('GET', '/x').catch((thrown) => thrown),
    )) as Error;
    expect(error.message).toStartWith(
      `cannot GET https://api.example/x (through the proxy ${scheme}://127.0.0.1:`,
    );
    expect(error.message).toEndWith(`): ${problem}`);
    expect(Bun.inspect(error)).not.toContain('S3CRET');
  });

  test.each(['http', 'socks5'])(
    'is silent: an abort ends the wait, and so does a deadline: %s',
    async (scheme) => {
      const reason = new Error('enough');
      const controller = new AbortController();
      const abort = () => controller.abort(reason);
      const asked = (signal: AbortSignal) => (far: ApiClient) =>
        far.fetch('GET', '/x', undefined, {}, signal).catch((thrown) => thrown);
      expect(await behind(scheme, (socket) => socket.once('data', abort), asked(controller.signal))).toBe(
        reason,
      );
      const late = (await behind(scheme, () => {}, asked(AbortSignal.timeout(10)))) as Error;
      expect(late.message).toEndWith('): no answer in time');
    },
  );
});

test('a header that comes twice arrives twice', async () => {
  const { headers } = await ask({ headers: GROUPS });
  expect(headers.filter(([name]) => name.startsWith('impersonate'))).toEqual(
    GROUPS.map(([name, value]) => [name.toLowerCase(), value]),
  );
});

test('credentials are asked for once for each request', async () => {
  let asked = 0;
  const credentials = { current: async () => ({ token: `T${++asked}` }), refused: () => {} };
  await client({ credentials }).list(pods);
  await client({ token: async () => `T${++asked}` }).list(pods);
  const tokens = recorder.take().arrivals.map(({ headers }) => new Map(headers).get('authorization'));
  expect(tokens).toEqual(['Bearer T1', 'Bearer T2']);
});

test('a request that is aborted no longer waits for credentials', async () => {
  const controller = new AbortController();
  const credentials = {
    current: (signal?: AbortSignal) =>
      new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
    refused: () => {},
  };
  const asked = Promise.allSettled([
    client({ credentials }).list(pods, {}, controller.signal),
    client({ credentials }).fetch('GET', '/', undefined, {}, controller.signal),
  ]);
  controller.abort('enough');
  const rejected = { status: 'rejected', reason: 'enough' };
  expect(await asked).toEqual([rejected, rejected] as never);
});

test('a request takes no longer than it may', async () => {
  await against(
    () => {},
    async (port) => {
      const server = `http://127.0.0.1:${port}`;
      const client = new ApiClient({ server, timeoutMs: 50, origin: 'context "x" of /k', userAgent: 'test' });
      await expect(client.list(pods)).rejects.toThrow(
        `cannot GET ${server}/api/v1/pods (context "x" of /k): no answer in time`,
      );
    },
  );
});

test('disable-compression asks for none', async () => {
  const encodings = async (options: Partial<ApiClientOptions>) =>
    (await ask(options)).headers.find(([name]) => name === 'accept-encoding')?.[1];
  expect(await encodings({})).toContain('gzip');
  expect(await encodings({ disableCompression: true })).toBe('identity');
});

describe('the proxy of the environment', () => {
  const names = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'NO_PROXY', 'no_proxy'];

  /** Runs in a process of its own: the environment belongs to the whole process. */
  async function asked(server: string, env: Record<string, string>, options = {}): Promise<string> {
    const script = `
      import { ApiClient } from ${JSON.stringify(`${import.meta.dir}/client.ts`)};
      const client = new ApiClient(JSON.parse(process.argv.at(-1)));
      console.log((await client.fetch('GET', '/version').catch((error) => error)).status ?? 'failed');`;
    const rest = Object.entries(process.env).filter(([name]) => !names.includes(name));
    const argument = JSON.stringify({ server, ca: recorder.caPem, userAgent: 'test', ...options });
    const child = Bun.spawn([process.execPath, '-e', script, argument], {
      env: { ...Object.fromEntries(rest), ...env },
      stdout: 'pipe',
      stderr: 'inherit',
    });
    return (await new Response(child.stdout).text()).trim();
  }
  const proxyUrl = (kind: ProxyKind) => `${kind}://127.0.0.1:${recorder.port(kind)}`;

  test('is used', async () => {
    expect(await asked('https://api.example', { HTTPS_PROXY: proxyUrl('http') })).toBe('200');
    expect(recorder.take().proxied).toEqual([
      { kind: 'http', asked: 'CONNECT api.example:443', user: undefined },
    ]);
    expect(await asked('https://api.example', { https_proxy: proxyUrl('socks5') })).toBe('200');
    expect(recorder.take().proxied).toMatchObject([{ kind: 'socks5', asked: 'CONNECT api.example:443' }]);
  });

  test('is not used for loopback, for what NO_PROXY names, and for a client that wants none', async () => {
    const env = { HTTPS_PROXY: proxyUrl('http') };
    const port = recorder.port('server');
    expect(await asked(`https://127.0.0.1:${port}`, env)).toBe('200');
    // To the kernel this is loopback, too; to the rules about proxies it is an address like any other.
    const other = `https://0.0.0.0:${port}`;
    const insecure = { ca: undefined, insecureSkipTlsVerify: true };
    expect(await asked(other, { ...env, NO_PROXY: '10.0.0.0/8,0.0.0.0/8' }, insecure)).toBe('200');
    expect(await asked(other, env, { ...insecure, proxy: false })).toBe('200');
    expect(recorder.take().proxied).toEqual([]);
    expect(await asked(other, env, insecure)).toBe('200');
    expect(recorder.take().proxied).toMatchObject([{ asked: `CONNECT 0.0.0.0:${port}` }]);
  });

  test("gives way to the kubeconfig's, whatever NO_PROXY says", async () => {
    const env = { HTTPS_PROXY: proxyUrl('socks5'), NO_PROXY: '*' };
    expect(await asked('https://api.example', env, { proxy: proxyUrl('http') })).toBe('200');
    expect(recorder.take().proxied).toMatchObject([{ kind: 'http' }]);
  });
});

describe('errors say what was asked, by whose configuration and through what', () => {
  const origin = 'context "prod" of /k/config';
  const cases: [what: string, options: Partial<ApiClientOptions>, message: string | RegExp][] = [
    [
      'nobody listens',
      { server: 'https://127.0.0.1:1', origin },
      'cannot GET https://127.0.0.1:1/version (context "prod" of /k/config): connection refused',
    ],
    [
      'nobody listens where the proxy should',
      { server: 'https://api.example', proxy: 'http://user:S3CRET@127.0.0.1:1', origin },
      'cannot GET https://api.example/version (context "prod" of /k/config, through the proxy http://127.0.0.1:1/): connection refused',
    ],
    [
      'nor the SOCKS proxy',
      { server: 'https://api.example', proxy: 'socks5://user:S3CRET@127.0.0.1:1' },
      'cannot GET https://api.example/version (through the proxy socks5://127.0.0.1:1): connection refused',
    ],
    [
      'no certificate',
      { cert: 'S3CRET', key: 'S3CRET' },
      /^cannot GET https:.*are the certificates and the key valid/,
    ],
  ];
  test.each(cases)('%s', async (_, options, message) => {
    const error = await client({ token: 'S3CRET', ...options })
      .fetch('GET', '/version')
      .catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ConnectionError);
    if (typeof message === 'string') expect(error.message).toBe(message);
    else expect(error.message).toMatch(message);
    expect(Bun.inspect(error)).not.toContain('S3CRET');
  });
});
