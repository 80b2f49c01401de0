/** The lab's plugin and a node's agent that is not as it should be: each answer of it on the socket is one error, in good time. */
import { afterAll, describe, expect, test } from 'bun:test';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realExec } from '../src/sys/exec.ts';

const PLUGIN = join(import.meta.dir, '../dist/cni/cilium-cni');
const missing = existsSync(PLUGIN) ? '' : ' (needs dist/cni: make build)';
const scratch = mkdtempSync(join(tmpdir(), 'hostport-plugin-agent-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const CALL = { CNI_COMMAND: 'STATUS', CNI_PATH: '/x', PATH: '/usr/bin:/bin' };
const CONFIG = JSON.stringify({ cniVersion: '1.1.0', name: 'x', type: 'cilium-cni' });
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}';

/** STATUS, which asks for `/v1/config` and then for `/v1/healthz`: the agent answers the latter with these bytes and hangs up. */
async function statusWith(healthz: string) {
  const socket = join(scratch, 'agent.sock');
  rmSync(socket, { force: true });
  const asked: string[] = [];
  const server = createServer((client) => {
    client.once('data', (bytes) => {
      const [request = ''] = bytes.toString().split(' HTTP/', 1);
      asked.push(request);
      client.end(request === 'GET /v1/config' ? OK : healthz);
    });
    // One that has heard enough hangs up.
    client.on('error', () => {});
  });
  server.listen(socket);
  await once(server, 'listening');
  try {
    const env = { ...CALL, CILIUM_SOCK: socket };
    const { code, stdout } = await realExec.run([PLUGIN], { env, stdin: CONFIG });
    return { code, asked, document: stdout === '' ? undefined : JSON.parse(stdout) };
  } finally {
    server.close();
  }
}

describe.skipIf(missing !== '')(`an agent${missing}`, () => {
  test('that is healthy', async () => {
    expect(await statusWith(OK)).toEqual({
      code: 0,
      asked: ['GET /v1/config', 'GET /v1/healthz'],
      document: undefined,
    });
  });

  test.each<[string, string, string]>([
    ['that says nothing', '', 'ECONNRESET'],
    ['that is cut off in its head', 'HTTP/1.1 200 OK\r\nContent-', 'ECONNRESET'],
    ['that is cut off in its body', 'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{', 'ECONNRESET'],
    ['that says more than it announced', `${OK} `, 'ECONNRESET'],
    ['that speaks something else', 'SSH-2.0-x\r\n\r\n', 'ECONNRESET'],
    ['that says too much', `HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(1024 * 1024)}`, 'EMSGSIZE'],
    [
      'that redirects',
      'HTTP/1.1 302 Found\r\nLocation: http://localhost/\r\nContent-Length: 0\r\n\r\n',
      'HTTP 302',
    ],
    ['that fails', 'HTTP/1.1 500 Error\r\ncontent-length: 3\r\n\r\nbad', 'bad'],
  ])('%s', async (_, healthz, seen) => {
    const { code, document } = await statusWith(healthz);
    expect({ code, document }).toEqual({
      code: 1,
      document: expect.objectContaining({ code: 50, details: expect.stringContaining(seen) }),
    });
  });
});
