import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { Exec } from '../sys/exec.ts';
import { exists } from '../sys/files.ts';
import { clusterPaths } from './paths.ts';
import type { ClusterRecord } from './record.ts';

/**
 * Copies the logs of a cluster into `directory`: the gateway's, and for each node the logs of its daemons and pods and what
 * its netfilter tables and CNI directories hold. Returns how many files were written.
 */
export async function exportLogs(record: ClusterRecord, directory: string, exec: Exec): Promise<number> {
  const paths = clusterPaths(record.name);
  let count = 0;
  await mkdir(directory, { recursive: true });
  if (await exists(paths.log)) {
    await copyFile(paths.log, join(directory, 'gateway.log'));
    count++;
  }
  for (const node of record.nodes) {
    const log = join(paths.node(node.name).rootfs, 'var/log');
    const target = join(directory, node.name);
    await mkdir(target, { recursive: true });
    for (const file of await filesBelow(log)) {
      const copy = join(target, relative(log, file));
      await mkdir(dirname(copy), { recursive: true });
      await copyFile(file, copy);
      count++;
    }
    const pid = paths.node(node.name).pidFile;
    if (!(await exists(pid))) continue;
    count += await exportState(exec, paths.runc, node.name, target);
  }
  return count;
}

/** What a hostPort path is made of on a node, each as a file named for the command that shows it. */
const STATE: Record<string, string[]> = {
  'iptables-save.txt': ['iptables-save'],
  'nft-ruleset.txt': ['nft', 'list', 'ruleset'],
  'ip-address.txt': ['ip', 'address'],
  'ip-route.txt': ['ip', 'route'],
  'cni-directories.txt': ['ls', '-al', '/opt/cni/bin', '/etc/cni/net.d'],
};

async function exportState(exec: Exec, runc: string, node: string, target: string): Promise<number> {
  for (const [file, argv] of Object.entries(STATE)) {
    const result = await exec.run(['runc', '--root', runc, 'exec', node, ...argv]);
    // A node that cannot answer is a finding, too: its words go into the file.
    await Bun.write(join(target, file), result.code === 0 ? result.stdout : result.stderr);
  }
  return Object.keys(STATE).length;
}

/** Regular files below a directory. Symbolic links are left out: /var/log/containers only points into /var/log/pods. */
async function filesBelow(directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) found.push(...(await filesBelow(path)));
    else if (entry.isFile()) found.push(path);
  }
  return found;
}
