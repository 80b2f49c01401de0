import { expect, test } from 'bun:test';
import type { MountSeen, NodeReport } from '../path/model/node-report.ts';
import { checkDirectories } from './sees-directories.ts';

const CONF = '/var/lib/rancher/k3s/agent/etc/cni/net.d';
const BIN = ['/usr/libexec/cni', '/opt/cni/bin'];

/** A report whose directories lie on these mounts. */
function report(
  points: Record<string, string>,
  runtime: unknown = { value: {} },
): Pick<NodeReport, 'cni' | 'runtime'> {
  const mounts = Object.entries(points).map(([path, point]) => ({ path, point }) as MountSeen);
  return {
    cni: { confDir: CONF, binDirs: BIN, mounts: { value: mounts } },
    runtime,
  } as unknown as NodeReport;
}

const own = Object.fromEntries([CONF, ...BIN].map((path) => [path, path]));

test('what is mounted from the node is seen', () => {
  expect(() => checkDirectories(report(own))).not.toThrow();
  // Below something that is mounted.
  expect(() => checkDirectories(report({ ...own, [CONF]: '/var/lib/rancher' }))).not.toThrow();
});

test('what is not is named, with how it is', () => {
  const options = `--cni-conf-dir ${CONF} --cni-bin-dir ${BIN[0]} --cni-bin-dir ${BIN[1]}`;
  expect(() => checkDirectories(report({ ...own, [BIN[0]!]: '/' }))).toThrow(
    `the runtime of this node uses /usr/libexec/cni, which the agent does not see; install it with ${options}`,
  );
  expect(() => checkDirectories(report({ ...own, [CONF]: '/', [BIN[0]!]: '/' }))).toThrow(
    `uses ${CONF} and /usr/libexec/cni, which`,
  );
});

test('where the runtime does not answer, nobody knows which they are', () => {
  expect(() => checkDirectories(report({ ...own, [CONF]: '/' }, { unknown: 'no socket' }))).not.toThrow();
});
