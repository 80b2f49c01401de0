import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Exec, ExecError } from '../../sys/exec.ts';
import { defaultCluster } from './config/cluster.ts';
import { exportLogs } from './export-logs.ts';
import { type ClusterPaths, clusterPaths } from './paths.ts';
import type { ClusterRecord } from './record.ts';

const NODE = 'kind-control-plane';
const record: ClusterRecord = {
  name: 'kind',
  config: defaultCluster('kind'),
  nodes: [{ name: NODE, role: 'control-plane', address: '172.17.0.2' }],
  apiServerPort: 6443,
  kubeconfig: '/nowhere',
};

let root: string;
let paths: ClusterPaths;
let target: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hostport-export-'));
  paths = clusterPaths('kind', root);
  target = join(root, 'exported');
});
afterEach(() => rmSync(root, { recursive: true }));

function put(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

/** Answers each command of a node by its first word. */
function execWith(answer: (command: string[]) => { code?: number; stdout?: string; stderr?: string }): Exec {
  return {
    run: async (argv) => {
      expect(argv.slice(0, 5)).toEqual(['runc', '--root', paths.runc, 'exec', NODE]);
      return { code: 0, stdout: '', stderr: '', ...answer(argv.slice(5)) };
    },
  };
}

const unaborted = new AbortController().signal;
const read = (file: string) => readFileSync(join(target, NODE, file), 'utf8');

describe('exported logs', () => {
  test('are those of the gateway, the daemons and the pods, and what the node holds', async () => {
    put(paths.log, 'gateway');
    const log = join(paths.node(NODE).rootfs, 'var/log');
    put(join(log, 'kubelet.log'), 'kubelet');
    put(join(log, 'pods/default_echo_1/echo/0.log'), 'echo');
    put(paths.node(NODE).pidFile, '1');
    const count = await exportLogs(
      record,
      target,
      execWith(([word]) => ({ stdout: `${word} said\n` })),
      unaborted,
      paths,
    );
    expect(readFileSync(join(target, 'gateway.log'), 'utf8')).toBe('gateway');
    expect(read('kubelet.log')).toBe('kubelet');
    expect(read('pods/default_echo_1/echo/0.log')).toBe('echo');
    expect(read('iptables-save.txt')).toBe('iptables-save said\n');
    expect(count).toBe(8);
  });

  test('keep what is there when something else is missing', async () => {
    put(paths.node(NODE).pidFile, '1');
    const missing = "ls: cannot access '/opt/cni/bin': No such file or directory\n";
    const listing = '/etc/cni/net.d:\n05-cilium.conf\n';
    const exec = execWith(([word]) => (word === 'ls' ? { code: 2, stdout: listing, stderr: missing } : {}));
    await exportLogs(record, target, exec, unaborted, paths);
    expect(read('cni-directories.txt')).toBe(`${listing}${missing}exit status 2\n`);
  });

  test('of a node that does not answer say so, and the rest is there', async () => {
    put(paths.node(NODE).pidFile, '1');
    put(join(paths.node(NODE).rootfs, 'var/log/kubelet.log'), 'kubelet');
    const exec = execWith(([word]) => {
      if (word !== 'nft') return { stdout: word };
      throw new ExecError(
        ['nft'],
        { code: 137, stdout: '', stderr: '' },
        'no answer within 30000 ms, killed',
      );
    });
    await exportLogs(record, target, exec, unaborted, paths);
    expect(read('nft-ruleset.txt')).toBe('nft: no answer within 30000 ms, killed\n');
    expect(read('ip-route.txt')).toBe('ip');
    expect(read('kubelet.log')).toBe('kubelet');
  });

  test('that are rotated away while others are copied are left out', async () => {
    const log = join(paths.node(NODE).rootfs, 'var/log');
    // Enough of them that some are still to be copied when the last ones go.
    const files = Array.from({ length: 200 }, (_, index) =>
      join(log, 'pods', String(index).padStart(3, '0')),
    );
    for (const file of files) put(file, 'line');
    const exporting = exportLogs(
      record,
      target,
      execWith(() => ({})),
      unaborted,
      paths,
    );
    const copied = () => {
      const found = existsSync(target) ? readdirSync(target, { recursive: true }).map(String) : [];
      return found.map((path) => path.split('/pods/')[1]).filter((file) => file !== undefined);
    };
    while (copied().length === 0) await Bun.sleep(0);
    const gone = files.filter((file) => !copied().includes(file.slice(-3)));
    for (const file of gone) rmSync(file);
    expect(gone.length).toBeGreaterThan(0);
    expect(await exporting).toBe(copied().length);
  });

  test('are put beside and over those of an earlier export', async () => {
    put(paths.node(NODE).pidFile, '1');
    put(join(paths.node(NODE).rootfs, 'var/log/pods/new/0.log'), 'new');
    put(join(target, NODE, 'pods/old/0.log'), 'old');
    put(join(target, NODE, 'ip-route.txt'), 'old');
    await exportLogs(
      record,
      target,
      execWith(() => ({ stdout: 'new' })),
      unaborted,
      paths,
    );
    expect([read('pods/old/0.log'), read('pods/new/0.log'), read('ip-route.txt')]).toEqual([
      'old',
      'new',
      'new',
    ]);
    expect(readdirSync(target)).toEqual([NODE]);
  });

  for (const [what, before] of [
    ['a directory with something in it', ['exported', 'exported/mine']],
    ['an empty directory', ['exported']],
    ['no directory', []],
  ] as const) {
    test(`that were interrupted leave what was there: ${what}`, async () => {
      put(paths.node(NODE).pidFile, '1');
      put(join(paths.node(NODE).rootfs, 'var/log/kubelet.log'), 'kubelet');
      if (before.length > 0) mkdirSync(target);
      if (before.length > 1) writeFileSync(join(target, 'mine'), 'mine');
      const controller = new AbortController();
      const reason = new Error('interrupted');
      const exec = execWith(([word]) => {
        // In the middle: logs are there already, and the command that is under way fails of it.
        expect(readdirSync(target, { recursive: true }).join()).toContain('kubelet.log');
        controller.abort(reason);
        throw new Error(`${word} was killed`);
      });
      const deep = before.length > 0 ? target : join(target, 'deeper/still');
      if (before.length === 0) expect(existsSync(target)).toBe(false);
      const exporting = exportLogs(record, deep, exec, controller.signal, paths);
      expect(await exporting.catch((error) => error)).toBe(reason);
      const left = readdirSync(root, { recursive: true }).map(String);
      expect(left.filter((path) => path.startsWith('exported')).toSorted()).toEqual([...before]);
    });
  }

  test('of a cluster that was never finished are none', async () => {
    expect(
      await exportLogs(
        record,
        target,
        execWith(() => ({})),
        unaborted,
        paths,
      ),
    ).toBe(0);
    expect(readdirSync(target)).toEqual([NODE]);
  });
});
