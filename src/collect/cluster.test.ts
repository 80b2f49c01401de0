import { afterEach, beforeEach, expect, test } from 'bun:test';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadKubeconfig } from '../kube/kubeconfig.ts';
import { clusterWorld } from './cluster.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'hostport-cluster-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

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
    const looked = clusterWorld(await loadKubeconfig(kubeconfig), directory, {
      warn: (line) => warnings.push(line),
    });
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
