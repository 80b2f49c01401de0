import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clusterWorld } from './cluster.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-cluster-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test.each([
  ['a line cut short', 'users:\n- user:\n    token: "S3CRET\n', ': not valid YAML: line 4, column 1;'],
  ['an alias of nothing', 'users: *S3CRET\n', ': not valid YAML;'],
  ['a text for a list', 'users: !S3CRET a\n', ': users is not a list;'],
])(
  'an invalid kubeconfig is reported by the place of its error, and none of it is quoted: %s',
  async (_, text, problem) => {
    const kubeconfig = join(directory, 'config');
    writeFileSync(kubeconfig, text);
    const error = await clusterWorld(kubeconfig, directory, { warn: () => {} }).catch((thrown) => thrown);
    expect(error.message).toContain(`cannot use kubeconfig ${kubeconfig}${problem}`);
    expect(error.message).not.toContain('S3CRET');
  },
);

test.each([
  ['https://127.0.0.1:1', true, true],
  ['https://127.0.0.1:1', false, false],
  // Without TLS there is no certificate.
  ['http://127.0.0.1:1', true, false],
])(
  'a server that is not verified is warned of: %s, insecure-skip-tls-verify: %p',
  async (server, flag, isWarned) => {
    const kubeconfig = join(directory, 'config');
    const cluster = { server, 'insecure-skip-tls-verify': flag };
    const text = {
      clusters: [{ name: 'c', cluster }],
      contexts: [{ name: 'x', context: { cluster: 'c' } }],
      'current-context': 'x',
    };
    writeFileSync(kubeconfig, JSON.stringify(text));
    const warnings: string[] = [];
    const looked = clusterWorld(kubeconfig, directory, { warn: (line) => warnings.push(line) });
    await expect(looked).rejects.toThrow('connection refused');
    expect(warnings).toEqual(
      isWarned
        ? [
            `the certificate of ${server} is not verified: insecure-skip-tls-verify is set (context "x" of ${kubeconfig})`,
          ]
        : [],
    );
  },
);
