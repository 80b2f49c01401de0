import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority, issueCertificate } from '../../../../kube/pki.ts';
import type { Exec } from '../../../../sys/exec.ts';
import { tryFileLock } from '../../../../sys/file-lock.ts';
import { InputError, UserError } from '../../../../util/errors.ts';
import { PROGRAMS } from '../release.ts';
import { cacheLock } from '../release-cache.ts';
import { fetchRelease } from './fetch-release.ts';
import { FakeMirror } from './mirror.fake.ts';
import { architectureOf, programUrl, readMirror } from './mirror.ts';

const X86 = 62;
/** The programs of a release: the beginning of an ELF file, and noise. */
function program(machine = X86): Buffer {
  const bytes = randomBytes(50_000);
  bytes.write('\x7fELF\x02\x01\x01', 'latin1');
  bytes.writeUInt16LE(machine, 18);
  return bytes;
}

const authority = await createAuthority('a mirror');
const certificate = await issueCertificate(authority, {
  commonName: 'mirror',
  ipAddresses: ['127.0.0.1'],
  dnsNames: ['mirror.test'],
  usage: 'server',
});
const plain = new FakeMirror();
const secure = new FakeMirror(certificate);
const root = mkdtempSync(join(tmpdir(), 'hostport-fetch-'));
afterAll(async () => {
  await Promise.all([plain.stop(), secure.stop()]);
  rmSync(root, { recursive: true });
});

let cache: string;
let caches = 0;
beforeEach(() => {
  cache = join(root, String(caches++));
  for (const mirror of [plain, secure]) {
    mirror.files.clear();
    mirror.seen.length = 0;
    mirror.publishRelease('v1.36.1', () => program());
  }
});

/** Programs that say a version. */
function exec(version: string): Exec {
  return { run: async () => ({ code: 0, stdout: `Kubernetes ${version}\n`, stderr: '' }) };
}

interface Given {
  version?: string;
  says?: string;
  mirror?: FakeMirror;
  ca?: string;
  env?: Record<string, string>;
  url?: string;
}

function fetched({
  version = 'v1.36.1',
  says = version,
  mirror = plain,
  ca,
  env = {},
  url = mirror.url,
}: Given = {}) {
  return fetchRelease(version, readMirror(url), {
    host: { exec: exec(says), elfMachine: X86 },
    access: { env, userAgent: 'test', ...(ca !== undefined && { ca }) },
    env: { XDG_CACHE_HOME: cache },
    progress: { step: (_, work) => work(() => {}), note: () => {} },
    signal: new AbortController().signal,
  });
}

const kept = () => join(cache, 'hostport/kubernetes/v1.36.1');
const inCache = () =>
  existsSync(join(cache, 'hostport/kubernetes')) ? readdirSync(join(cache, 'hostport/kubernetes')) : [];

describe.each([
  ['http', plain, undefined],
  ['https', secure, authority.certPem],
] as const)('a mirror over %s', (_, mirror, ca) => {
  test('fills the place of a version with executables, and says what they were checked against', async () => {
    const release = await fetched({ mirror, ...(ca !== undefined && { ca }) });
    expect(release.directory).toBe(kept());
    expect(readdirSync(kept()).sort()).toEqual([...PROGRAMS].sort());
    for (const { name, bytes, sha512, from, checksumFrom } of release.programs) {
      const path = `/v1.36.1/bin/linux/amd64/${name}`;
      const content = mirror.files.get(path)!;
      expect(readFileSync(join(kept(), name)).equals(content)).toBe(true);
      expect(statSync(join(kept(), name)).mode & 0o777).toBe(0o755);
      expect(bytes).toBe(content.length);
      expect(sha512).toBe(createHash('sha512').update(content).digest('hex'));
      expect(from).toEndWith(path);
      expect(checksumFrom).toBe(`${from}.sha512`);
    }
    expect(inCache()).toEqual(['v1.36.1']);
  });
});

test('a second time nothing is asked for', async () => {
  await fetched();
  plain.seen.length = 0;
  expect(await fetched()).toEqual({ version: 'v1.36.1', directory: kept(), programs: [] });
  expect(plain.seen).toEqual([]);
});

test('an earlier run is continued: whole programs are kept, and the rest of one is asked for', async () => {
  const unfinished = join(cache, 'hostport/kubernetes/.fetching-v1.36.1');
  mkdirSync(unfinished, { recursive: true });
  const content = (name: string) => plain.files.get(`/v1.36.1/bin/linux/amd64/${name}`)!;
  writeFileSync(join(unfinished, 'kube-apiserver'), content('kube-apiserver'));
  writeFileSync(join(unfinished, 'kubelet.part'), content('kubelet').subarray(0, 20_000));
  await fetched();
  expect(plain.rangesOf('kube-apiserver')).toEqual([]);
  expect(plain.rangesOf('kubelet')).toEqual(['bytes=20000-']);
  expect(readdirSync(kept()).sort()).toEqual([...PROGRAMS].sort());
});

test('what a build left unfinished is replaced', async () => {
  mkdirSync(kept(), { recursive: true });
  writeFileSync(join(kept(), '.kube.new'), '');
  await fetched();
  expect(readdirSync(kept()).sort()).toEqual([...PROGRAMS].sort());
});

test('programs of another version in the place of this one are not taken for it', async () => {
  await fetched({ says: 'v1.36.1' });
  await expect(fetched({ says: 'v1.36.0' })).rejects.toThrow('its programs are v1.36.0');
  expect(plain.rangesOf('kubelet')).toHaveLength(2);
});

test('a checksum with its name, as sha512sum prints it, is one', async () => {
  for (const [path, content] of plain.files) {
    if (path.endsWith('.sha512'))
      plain.files.set(path, Buffer.from(`${content.toString().trim().toUpperCase()}  kubelet\n`));
  }
  await fetched();
  expect(inCache()).toEqual(['v1.36.1']);
});

test('a proxy that the environment names is asked for the tunnel', async () => {
  const asked: string[] = [];
  const proxy = Bun.listen<{ to?: ReturnType<typeof Bun.connect>; early: Buffer[] }>({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      open(socket) {
        socket.data = { early: [] };
      },
      data(socket, bytes) {
        if (socket.data.to !== undefined) {
          void socket.data.to.then((to) => to.write(bytes));
          return;
        }
        asked.push(bytes.toString('latin1').split('\r\n')[0]!);
        socket.data.to = Bun.connect({
          hostname: '127.0.0.1',
          port: secure.port,
          socket: {
            open: () => {
              socket.write('HTTP/1.1 200 OK\r\n\r\n');
            },
            data: (_, back) => {
              socket.write(back);
            },
            close: () => {
              socket.end();
            },
          },
        });
      },
    },
  });
  try {
    await fetched({
      mirror: secure,
      ca: authority.certPem,
      url: 'https://mirror.test:8443',
      env: { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` },
    });
  } finally {
    proxy.stop(true);
  }
  expect(new Set(asked)).toEqual(new Set(['CONNECT mirror.test:8443 HTTP/1.1']));
  expect(inCache()).toEqual(['v1.36.1']);
});

describe('what is refused leaves no release', () => {
  const path = (name: string) => `/v1.36.1/bin/linux/amd64/${name}`;
  const REFUSED: {
    name: string;
    given?: Given;
    change?: () => void;
    says: RegExp;
    status: number;
    asks?: number;
  }[] = [
    {
      name: 'a version that the mirror does not have',
      given: { version: 'v1.36.99' },
      says: /^cannot fetch Kubernetes v1\.36\.99: there is no http.*\/v1\.36\.99\/bin\/linux\/amd64\/kube-apiserver\.sha512; want a published version/,
      status: 2,
    },
    {
      name: 'a version that is too new',
      given: { version: 'v1.40.0' },
      says: /^cannot fetch Kubernetes v1\.40\.0: it is v1\.40\.0; want one from v1\.33 to v1\.37$/,
      status: 2,
      asks: 0,
    },
    {
      name: 'a corrupted program',
      change: () => plain.files.set(path('kubelet'), program()),
      says: /^cannot download http.*\/kubelet: its SHA-512 is/,
      status: 1,
    },
    {
      name: 'programs of another version',
      given: { says: 'v1.35.0' },
      says: /^cannot fetch Kubernetes v1\.36\.1 from http:.*: its programs are v1\.35\.0; what was fetched is removed$/,
      status: 1,
    },
    {
      name: 'programs of another machine',
      change: () => plain.publishRelease('v1.36.1', () => program(183)),
      says: /: its kube-apiserver is for arm64, this machine is x86-64; what was fetched is removed$/,
      status: 1,
    },
    {
      name: 'a checksum that is a web page',
      change: () => plain.files.set(`${path('kubelet')}.sha512`, Buffer.from('<html>log in')),
      says: /kubelet\.sha512: it has "<html>log in", and no SHA-512$/,
      status: 1,
    },
    {
      name: 'a checksum without end',
      change: () => plain.files.set(`${path('kubelet')}.sha512`, Buffer.alloc(10_000_000, 'a')),
      says: /and no SHA-512$/,
      status: 1,
    },
    {
      name: 'a certificate of somebody else',
      given: { mirror: secure },
      says: /^cannot GET https:.*: the server's certificate is not signed by/,
      status: 1,
    },
  ];
  for (const { name, given, change, says, status, asks } of REFUSED) {
    test(name, async () => {
      change?.();
      const error = await fetched(given).catch((cause: unknown) => cause);
      expect((error as Error).message).toMatch(says);
      expect(error instanceof UserError ? error.exitCode : 1).toBe(status);
      expect(inCache().filter((entry) => !entry.startsWith('.fetching-'))).toEqual([]);
      if (asks !== undefined) expect(plain.seen).toHaveLength(asks);
    });
  }

  test('while somebody else writes to the cache', async () => {
    const lock = tryFileLock(cacheLock({ XDG_CACHE_HOME: cache }), 'process 4711');
    if ('heldBy' in lock) throw new Error(lock.heldBy);
    await expect(fetched()).rejects.toThrow(
      'cannot fetch Kubernetes v1.36.1: process 4711 is writing to the cache; run this again when it has ended',
    );
    lock.release();
    expect(plain.seen).toEqual([]);
  });
});

describe('the address of a mirror', () => {
  test.each([
    ['https://dl.k8s.io', 'https://dl.k8s.io/v1.36.1/bin/linux/amd64/kubelet'],
    ['https://dl.k8s.io/', 'https://dl.k8s.io/v1.36.1/bin/linux/amd64/kubelet'],
    ['http://127.0.0.1:8080/a/b', 'http://127.0.0.1:8080/a/b/v1.36.1/bin/linux/amd64/kubelet'],
  ])('%s has its programs at %s', (mirror, program) => {
    expect(programUrl(readMirror(mirror), 'v1.36.1', 'amd64', 'kubelet').href).toBe(program);
  });

  test.each([
    ['dl.k8s.io', 'it is not a URL'],
    ['ftp://dl.k8s.io', 'its scheme is ftp'],
    ['https://user:secret@mirror', 'has a user or a password'],
    ['https://dl.k8s.io/?a=b', 'it has a query or a fragment'],
  ])('is not %s', (mirror, problem) => {
    const refuse = () => readMirror(mirror);
    expect(refuse).toThrow(InputError);
    expect(refuse).toThrow(problem);
    expect(refuse).not.toThrow('secret');
  });

  test('is for an architecture that Kubernetes is published for', () => {
    expect(architectureOf(183)).toBe('arm64');
    expect(() => architectureOf(3)).toThrow('cannot fetch Kubernetes: it is published for');
  });
});
