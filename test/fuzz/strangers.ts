import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { ZodError } from 'zod';
import { parseState } from '../../src/agent/state.ts';
import { loadKubeconfig } from '../../src/kube/kubeconfig.ts';
import { encodePing, SpdyDecoder, SynStreamEncoder } from '../../src/kube/streaming/spdy-frames.ts';
import { decodeContinue, encodeContinue } from '../../src/lab/apiserver/continue-token.ts';
import { StatusError } from '../../src/lab/apiserver/status-error.ts';
import { harmlessTree } from '../../src/lab/cluster/harmless-tree.ts';
import { describeArchive } from '../../src/lab/images/archive.ts';
import { LayoutWriter } from '../../src/lab/images/oci.ts';
import { registryHandler } from '../../src/lab/images/registry.ts';
import { parseLogLine } from '../../src/lab/kubelet/logs/cri-log.ts';
import { readAttachments } from '../../src/node/report/attachments.ts';
import { readDrops } from '../../src/node/trace/drop-text.ts';
import { parseMountinfo } from '../../src/sys/mounts.ts';
import { readTar, writeTar } from '../../src/sys/tar.ts';
import { refusalOf } from '../../src/ui/guard.ts';
import { newKeys } from '../../src/ui/keys.ts';
import { COOKIE } from '../../src/ui/protocol.ts';
import { InputError, UserError } from '../../src/util/errors.ts';
import { changedBytes, changedDocument, changedText, type FuzzTarget, refuses, target } from './fuzz.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-fuzz-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

const frames = Buffer.concat([
  encodePing(7),
  new SynStreamEncoder().encode(1, { streamtype: 'stdout' }),
  // A reply, a reset and a goodbye.
  Buffer.from(
    '8003000200000004000000018003000300000008000000010000000580030007000000080000000100000000',
    'hex',
  ),
  Buffer.from('0000000100000003616263', 'hex'),
]);

/** An image, as `docker save` writes it. */
const layout = join(scratch, 'layout');
const writer = new LayoutWriter(layout);
const layer = await writer.layer([{ type: 'file', path: 'a', mode: 0o644, content: Buffer.from('a') }]);
await writer.image('docker.io/library/a:latest', [layer], {});
await writer.finish();

const state = {
  ...{ version: '1.0.0', mode: 'heal', node: 'n', lookedAt: '2026-01-01T00:00:00.000Z' },
  ...{ checkedAt: '2026-01-01T00:00:00.000Z', broken: 1, risks: 0, codes: { 'plugin-missing': 1 } },
};
const cached = {
  ...{ kind: 'cniCacheV1', containerId: 'c', ifName: 'eth0', networkName: 'n', netns: '/run/netns/a' },
  config: Buffer.from('{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"portmap"}]}').toString('base64'),
  capabilityArgs: { portMappings: [{ hostPort: 80, containerPort: 80, protocol: 'tcp' }] },
  result: {
    cniVersion: '1.0.0',
    ips: [{ address: '10.0.0.2/24' }],
    interfaces: [{ name: 'eth0', sandbox: '/a' }],
  },
};
const ofNode = Buffer.concat(
  await Array.fromAsync(
    writeTar([
      { type: 'directory', path: '.', mode: 0o755 },
      { type: 'file', path: 'su', mode: 0o4755, content: Buffer.from('x') },
      { type: 'symlink', path: 'link', target: '/etc/shadow' },
    ]),
  ),
);
const kubeconfig = stringify({
  ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'a' },
  contexts: [{ name: 'a', context: { cluster: 'a', user: 'a', namespace: 'n' } }],
  clusters: [{ name: 'a', cluster: { server: 'https://127.0.0.1:1', 'insecure-skip-tls-verify': true } }],
  users: [{ name: 'a', user: { token: 't' } }],
});
async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
const keys = newKeys();
const PORT = 4711;

/** Of what comes over streams, from nodes, containers and browsers. */
export const strangerTargets: readonly FuzzTarget[] = [
  target('frames of SPDY', 1, fc.tuple(changedBytes([frames]), fc.nat(50)), ([bytes, cut]) => {
    const whole = new SpdyDecoder();
    const inPieces = new SpdyDecoder();
    const decode = (decoder: SpdyDecoder, pieces: Uint8Array[]) => {
      try {
        return JSON.stringify(pieces.flatMap((piece) => decoder.push(piece)));
      } catch (cause) {
        if (!(cause instanceof Error && cause.message.startsWith('spdy: '))) throw cause;
        return cause.message;
      }
    };
    // However it comes, it is the same.
    const once = decode(whole, [bytes]);
    const twice = decode(inPieces, [bytes.subarray(0, cut), bytes.subarray(cut)]);
    if (once !== twice) throw new Error(`in one piece ${once}, in two ${twice}`);
  }),
  target(
    'lines of container logs',
    1,
    changedBytes(
      ['2026-01-01T00:00:00.000000001Z stdout F hello', '2026-01-01T00:00:00Z stderr P:x '].map((line) =>
        Buffer.from(line),
      ),
    ),
    (bytes) => {
      const line = parseLogLine(bytes);
      if (line !== undefined && line.text.length > bytes.length) throw new Error('more text than there was');
    },
  ),
  target('states of agents', 0.3, changedDocument([state]), (document) => {
    refuses(() => parseState(JSON.stringify(document)), ZodError);
  }),
  target('cached results of chains', 0.02, changedDocument([cached]), (document) => {
    const directory = join(scratch, 'results');
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, 'n-c-eth0'), JSON.stringify(document) ?? '');
    const { attachments, skipped } = readAttachments(directory);
    if (attachments.length + skipped.length !== 1) throw new Error('neither an attachment nor skipped');
  }),
  target(
    'what the kernel says of drops',
    0.3,
    changedText(
      [
        '# tracer: nop\n     hostport-123     [001] .....  9.1: tracing_mark_write: hostport trace\n     curl-7    [000] ..s1.  9.2: kfree_skb: skbaddr=000000007 rx_sk=0 protocol=2048 location=nf_hook_slow+0x1/0x2 reason: NETFILTER_DROP\n',
      ],
      [' ', '\n', ': ', 'reason: ', 'location=', 'kfree_skb', '-', '[', ']', '\0', 'hostport trace'],
    ),
    (text) => {
      const { drops } = readDrops(text, 10);
      if (drops.length > 10) throw new Error('more than was asked for');
    },
  ),
  target(
    'tables of mounts',
    0.5,
    changedText(
      [
        '22 1 0:20 / / rw,relatime shared:1 - overlay overlay rw\n23 22 0:21 /a\\040b /proc rw - proc proc rw\n',
      ],
      [' ', '\n', ' - ', '\\040', '\\777', ':', '0:', '-1', '99999999999999999999'],
    ),
    (text) => {
      parseMountinfo(text);
    },
  ),
  target(
    'continue tokens',
    0.5,
    fc.oneof(
      changedDocument([{ v: 'meta.k8s.io/v1', rv: 7, start: 'default/a' }]).map((document) =>
        Buffer.from(JSON.stringify(document) ?? '').toString('base64url'),
      ),
      changedText([encodeContinue({ revision: 7, after: 'a' })], ['.', '=', '/', '..']),
    ),
    (text) => {
      refuses(() => {
        const { after } = decodeContinue(text);
        if (after.includes('..')) throw new RangeError(`leads elsewhere: ${after}`);
      }, StatusError);
    },
  ),
  target(
    'archives of images',
    0.02,
    changedBytes([
      Buffer.concat(
        await Array.fromAsync(
          writeTar([
            {
              type: 'file',
              path: 'oci-layout',
              mode: 0o644,
              content: Buffer.from('{"imageLayoutVersion":"1.0.0"}'),
            },
            {
              type: 'file',
              path: 'index.json',
              mode: 0o644,
              content: Buffer.from(await Bun.file(join(layout, 'index.json')).text()),
            },
            {
              type: 'file',
              path: 'manifest.json',
              mode: 0o644,
              content: Buffer.from('[{"Config":"c","RepoTags":["a:b"],"Layers":["l"]}]'),
            },
          ]),
        ),
      ),
    ]),
    async (bytes) => {
      const path = join(scratch, 'image.tar');
      writeFileSync(path, bytes);
      try {
        await describeArchive(path);
      } catch (cause) {
        if (!(cause instanceof InputError)) throw cause;
        if (/is not a function|undefined|null is not|Cannot read/.test(cause.message))
          throw new Error(cause.message, { cause });
      }
    },
  ),
  target('trees that cp takes out of a node', 0.1, changedBytes([ofNode]), async (bytes) => {
    let harmless: Uint8Array;
    try {
      harmless = (await harmlessTree(bytes)).archive;
    } catch (cause) {
      // Damaged: nothing is unpacked.
      if (cause instanceof TypeError || cause instanceof RangeError) throw cause;
      return;
    }
    for await (const { path, type, mode } of readTar(chunksOf(harmless))) {
      const isHarmless = ['file', 'directory', 'symlink', 'link'].includes(type) && (mode & 0o6000) === 0;
      if (!isHarmless) throw new Error(`${path} is a ${type} of mode ${mode.toString(8)}`);
    }
  }),
  target(
    'kubeconfigs',
    0.02,
    changedText([kubeconfig], ['\n', '  ', ': ', '- ', '&a ', '*a', '!!binary ', '{', '[', 'exec:', '~']),
    async (text) => {
      const path = join(scratch, 'config');
      writeFileSync(path, text);
      try {
        await loadKubeconfig(path);
      } catch (cause) {
        if (!(cause instanceof UserError)) throw cause;
      }
    },
  ),
  target(
    'requests to the registry of a lab',
    0.1,
    fc.record({
      path: changedText(
        [
          '/v2/library/a/manifests/latest',
          `/v2/library/a/blobs/${layer.digest}`,
          '/v2/_catalog',
          '/v2/library/a/tags/list?ns=docker.io',
        ],
        ['/', '..', '%2e%2e', '?ns=', 'sha256:', ':', '%00', '//'],
      ),
      range: changedText(['bytes=0-3', 'bytes=-1', 'bytes=5-'], ['-', ',', '99999999999999999999', '=']),
    }),
    async ({ path, range }) => {
      let request: Request;
      try {
        request = new Request(new URL(`/${path}`.replace(/^\/+/, '/'), 'http://registry'), {
          headers: { range },
        });
      } catch {
        // No client can send it.
        return;
      }
      const { status } = await registryHandler(layout)(request);
      if (status >= 500) throw new Error(`${path}: ${status}`);
    },
  ),
  target(
    'requests to the live page',
    1,
    fc.record({
      method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'OPTIONS', ''),
      path: fc.constantFrom(
        '/',
        keys.base,
        `${keys.base}events`,
        `${keys.base}lab/break`,
        '//',
        '/x',
        `${keys.base}../`,
      ),
      token: fc.option(changedText([keys.token], ['', '\0', keys.session])),
      headers: fc.dictionary(
        fc.constantFrom('host', 'origin', 'cookie', 'sec-fetch-site', 'sec-fetch-mode', 'x-hostport-action'),
        fc.oneof(
          changedText(
            [`127.0.0.1:${PORT}`, `http://127.0.0.1:${PORT}`, 'same-origin', 'navigate'],
            ['.evil', '@', ';'],
          ),
          fc.constantFrom(`127.0.0.1:${PORT}`, `http://127.0.0.1:${PORT}`),
          // Everything but the secret itself.
          changedText([`${COOKIE}=${keys.session}`], ['=', ';', ' ']).filter(
            (text) => !text.includes(keys.session),
          ),
        ),
      ),
    }),
    ({ method, path, token, headers }) => {
      const asked = { method, path, token, headers: { get: (name: string) => headers[name] ?? null } };
      const refused = refusalOf(asked, keys, PORT);
      const knows = token === keys.token && path === '/';
      if (refused === undefined && !knows) throw new Error('answered, without any of its secrets');
    },
  ),
];
