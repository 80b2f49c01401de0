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
    const error = await clusterWorld(kubeconfig, directory).catch((thrown) => thrown);
    expect(error.message).toContain(`cannot use kubeconfig ${kubeconfig}${problem}`);
    expect(error.message).not.toContain('S3CRET');
  },
);
