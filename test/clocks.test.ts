/**
 * The clock of a machine may be set at any moment. What lasts, waits or takes turns goes by the other clock, which nobody sets ({@link Clock.monotonic}):
 * each file that asks for the time of day is here, with what for.
 */
import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dir, '..');

/** Files that ask for the time of day to write or show it, and for nothing else. */
const WRITES = [
  'src/agent/backup-runs.ts',
  'src/agent/record.ts',
  'src/cli/verbs/heal-cluster.ts',
  'src/cli/verbs/healing.ts',
  'src/collect/cluster.ts',
  'src/collect/reader/reader-pods.ts',
  'src/kube/event-recorder.ts',
  'src/lab/apiserver/custom-kinds.ts',
  'src/lab/apiserver/main.ts',
  'src/lab/apiserver/resource-store.ts',
  'src/lab/apiserver/reviews.ts',
  'src/lab/apiserver/subresource-handler.ts',
  'src/lab/controllers/namespaces.ts',
  'src/lab/doctor/source.ts',
  'src/lab/echo/main.ts',
  'src/lab/inject/lab-door.ts',
  'src/lab/kubelet/main.ts',
  'src/lab/kubelet/node-agent.ts',
  'src/lab/kubelet/volumes/atomic-writer.ts',
  'src/lab/scheduler/scheduler.ts',
  'src/lab/ui/lab-door.ts',
  'src/node/report/take.ts',
  'src/node/serve/serve.ts',
  'src/sys/clock.ts',
  'src/sys/daemon.ts',
  'src/ui/run.ts',
  'src/ui/workshop.ts',
];

/** Files that calculate with it, and with what. */
const CALCULATES: Readonly<Record<string, string>> = {
  'src/agent/loop.ts': 'when a runtime has created a sandbox; the other clock, to write a time down',
  'src/agent/status.ts': 'when an agent says that it has looked',
  'src/cli/verbs/agent.ts': 'when an agent says that it has looked',
  'src/cli/verbs/answers.ts': 'when a kubelet says that a container has started',
  'src/collect/reader/cleanup.ts': 'until when another run has written that it lasts',
  'src/collect/reader/collect.ts':
    'until when another run has written that it lasts; when a report says that it was taken',
  'src/collect/reader/manifests.ts': 'until when a pod of this run lasts, to write it down',
  'src/kube/auth-provider.ts': 'when a credential ends, by who issued it',
  'src/kube/exec-plugin.ts': 'when a credential ends, by who issued it',
  'src/kube/kubeconfig-merge.ts': 'the time of a lock, of which the other clock decides',
  'src/kube/pki.ts': 'from when and until when a certificate is valid',
  'src/lab/apiserver/resource-handler.ts': 'ages of objects, as they are shown; times that are written',
  'src/lab/apiserver/service-account-tokens.ts': 'from when and until when a token is valid',
  'src/lab/apiserver/watch-handler.ts': 'ages of objects, as they are shown',
  'src/lab/cilium/ipam.ts': 'times in a file, from one start of the agent to the next',
  'src/lab/controllers/daemon-set/controller.ts': 'since when a kubelet says that a pod is ready',
  'src/lab/controllers/deployment/controller.ts':
    'since when a rollout has made progress, by its own condition',
  'src/lab/controllers/node/lifecycle.ts': 'when a taint says that it was added',
  'src/lab/controllers/replica-set/controller.ts': 'since when a kubelet says that a pod is ready',
  'src/lab/echo/server.ts': 'the other clock, which is finer, to write a time down',
  'src/lab/kubelet/object-source.ts': 'when a token ends, by the API server',
  'src/lab/kubelet/pod-worker.ts': 'when a runtime says that something has started or ended',
  'src/lab/kubelet/server/container-logs.ts': 'times of lines that a runtime has written',
  'src/lab/process-metrics.ts': 'how long the process has run, to write down when it began',
  'src/ui/view/status.tsx': 'when the server says that it has looked; in a browser',
  'src/ui/watcher.ts': 'the other clock, to write a time down',
};

const ASKS = /\bDate\.now\b|\bnew Date\(\)|(?<!\bperformance)\.now\(\)/;
/** A calculation or a comparison on the same line as the question. */
const CALCULATION = /\.now\(\)\)? (?:[-+*/%]|[<>]=?) |(?<!=) (?:[-+*/%]|[<>]=?) [\w.#]*\.now\(\)/;

/** A name that the answer gets: a variable, or a parameter that is it by default. */
const NAMES = /(?<![.#\w])(\w+)(?:: \w+)? = (?:[\w.#]*\.now\(\)|new Date\(\))(?=[;,)]|$)/;
const inCalculation = (name: string) =>
  new RegExp(`(?<![.#\\w])${name} (?:[-+*/%]|[<>]=?) |(?<!=) (?:[-+*/%]|[<>]=?) ${name}\\b(?![.(:])`);

/** Lines that calculate: those that ask, and those that use a name which the answer got anywhere in the same file. */
function calculationsOf(lines: readonly string[]): string[] {
  const names = lines.filter((line) => ASKS.test(line)).flatMap((line) => NAMES.exec(line)?.[1] ?? []);
  const patterns = [CALCULATION, ...[...new Set(names)].map(inCalculation)];
  return lines.filter((line) => patterns.some((pattern) => pattern.test(line)));
}

const isTest = (path: string) => /\.(?:test|fake|suite)\.tsx?$|\/testing\/|\.gen\.ts$/.test(path);
/** Lines of code, without comments. */
const linesOf = (path: string) =>
  readFileSync(join(ROOT, path), 'utf8')
    .split('\n')
    .filter((line) => !/^\s*(?:\*|\/\*|\/\/)/.test(line));
const asking = [...new Bun.Glob('src/**/*.{ts,tsx}').scanSync({ cwd: ROOT })]
  .filter((path) => !isTest(path) && !path.startsWith('src/cni/native/'))
  .map((path) => ({ path, lines: linesOf(path).filter((line) => ASKS.test(line)) }))
  .filter(({ lines }) => lines.length > 0);

test('files that ask for the time of day are known, with what for', () => {
  expect(asking.map(({ path }) => path).sort()).toEqual([...WRITES, ...Object.keys(CALCULATES)].sort());
});

// What happens to it in another file, or under a name that it gets later, is not seen.
test('what only writes it down calculates nothing on the line that asks, nor with the name that the answer gets', () => {
  const calculating = WRITES.flatMap((path) =>
    calculationsOf(linesOf(path)).map((line) => `${path}: ${line}`),
  );
  expect(calculating).toEqual([]);
});

test.each<[string[], number]>([
  [['const now = clock.now();', 'if (until > now) return;'], 1],
  [['const began = Date.now();', 'const until = began + 1000;', 'return until;'], 1],
  [['function lasts(', '  now = Date.now(),', ') {', '  return now + 5;'], 1],
  [['const now = performance.now();', 'const until = now + 1000;'], 0],
  [['const now = timestamp(clock.now());', 'write(now);', 'const know = other.now - 1;'], 0],
])('a calculation with its name is seen: %j', (lines, count) => {
  expect(calculationsOf(lines)).toHaveLength(count);
});

test.each([
  ['const until = clock.now() + 1000;', true],
  ['if (this.#clock.now() >= until) return;', true],
  ['const age = Date.now() - began;', true],
  ['while (until > clock.now()) {', true],
  ['const at = new Date(clock.now()).toISOString();', false],
  ['now: () => Date.now(),', false],
])('a calculation is seen: %s', (line, isOne) => {
  expect(ASKS.test(line)).toBe(true);
  expect(CALCULATION.test(line)).toBe(isOne);
});
