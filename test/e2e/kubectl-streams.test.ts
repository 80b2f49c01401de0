import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Kubectl, kubectls } from './kubectls.ts';
import { Lab, labMissing } from './lab.ts';

const missing = labMissing();

/** One pod of every kind of behaviour that streams are tried with. */
const PODS = (tag: string) => `apiVersion: v1
kind: Pod
metadata: {name: talker-${tag}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: counter
    image: busybox
    command: [sh, -c, 'i=0; while [ $i -lt 20 ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exec sleep 1000']
  - {name: echo, image: inanimate/echo-server}
  - {name: reader, image: busybox, stdin: true, command: [sh, -c, 'while read word; do echo got $word; done']}
---
apiVersion: v1
kind: Pod
metadata: {name: crash-${tag}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: box, image: busybox, command: [sh, -c, 'echo out; echo err >&2; exit 5']}]
---
apiVersion: v1
kind: Pod
metadata: {name: missing-${tag}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: box, image: no/such-image}]
`;

/** What kubectl has long connections for. 1.27 and 1.30 speak SPDY, 1.33 WebSocket; the versions run at the same time. */
describe.skipIf(missing !== undefined)(`kubectl's streams${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('streams');
  const versions = kubectls().map((path) => new Kubectl(lab, path));
  beforeAll(async () => {
    await lab.must('create', 'cluster', '--name', lab.name);
    await Promise.all(
      versions.map(async (kubectl) => {
        await kubectl.must('apply -f -', PODS(kubectl.tag));
        await kubectl.must(`wait --for=condition=Ready pod/talker-${kubectl.tag} --timeout=60s`);
      }),
    );
  });
  afterAll(() => lab.delete());

  describe.each(versions.map((kubectl) => [kubectl.version, kubectl] as const))('%s', (_, kubectl) => {
    const talker = `talker-${kubectl.tag}`;
    const crash = `crash-${kubectl.tag}`;

    test.concurrent('logs: followed, the last, since, with times, of all containers', async () => {
      const logs = kubectl.start(`logs -f ${talker} -c counter`);
      try {
        await logs.until(/^(line \d+\n){20}$/);
      } finally {
        await logs.stop();
      }
      expect(logs.printed).toStartWith('line 0\nline 1\n');
      expect(await kubectl.must(`logs ${talker} -c counter --tail=2`)).toBe('line 18\nline 19\n');
      expect(await kubectl.must(`logs ${talker} -c counter --limit-bytes=9`)).toBe('line 0\nli');
      expect(await kubectl.must(`logs ${talker} -c counter --timestamps --tail=1`)).toMatch(
        /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z line 19\n$/,
      );
      expect(await kubectl.must(`logs ${talker} -c counter --since-time=2100-01-01T00:00:00Z`)).toBe('');
      const all = await kubectl.must(`logs ${talker} --all-containers --prefix`);
      expect(all).toContain(`[pod/${talker}/counter] line 7\n`);
      expect(all).toContain(`[pod/${talker}/echo] Echo server listening on port 8080.\n`);
      const nobody = await kubectl.run(`logs ${talker} -c nobody`);
      expect(nobody.stderr).toContain(`container nobody is not valid for pod ${talker}`);
    });

    test.concurrent('logs of what has crashed, crashed before, or never started', async () => {
      const reason = '{.status.containerStatuses[0].state.waiting.reason}';
      await kubectl.must(`wait --for=jsonpath=${reason}=CrashLoopBackOff pod/${crash} --timeout=60s`);
      expect(await kubectl.must(`get pod ${crash}`)).toMatch(/ 0\/1 +CrashLoopBackOff +[1-9]/);
      const sorted = (output: string) => output.trim().split('\n').sort();
      expect(sorted(await kubectl.must(`logs ${crash}`))).toEqual(['err', 'out']);
      expect(sorted(await kubectl.must(`logs ${crash} --previous`))).toEqual(['err', 'out']);
      const first = await kubectl.run(`logs ${talker} -c counter --previous`);
      expect(first.stderr).toContain(`previous terminated container "counter" in pod "${talker}" not found`);
      const missing = `missing-${kubectl.tag}`;
      await kubectl.must(`wait --for=jsonpath=${reason}=ImagePullBackOff pod/${missing} --timeout=60s`);
      const never = await kubectl.run(`logs ${missing}`);
      expect(never.stderr).toContain(
        `container "box" in pod "${missing}" is waiting to start: trying and failing to pull image`,
      );
    });

    test.concurrent('exec: input, output and error apart, exit status, a terminal and its size', async () => {
      const input = `${'through and back\n'.repeat(20_000)}end`;
      expect(await kubectl.must(`exec -i ${talker} -c reader -- cat`, input)).toBe(input);
      const sh = (script: string) => ['exec', talker, '-c', 'reader', '--', 'sh', '-c', script];
      const both = await kubectl.run(sh('echo out; echo err >&2; exit 7'));
      expect(both).toEqual({
        code: 7,
        stdout: 'out\n',
        stderr: 'err\ncommand terminated with exit code 7\n',
      });
      const none = await kubectl.run(`exec ${talker} -c reader -- no-such-command`);
      expect(none.code).toBe(1);
      expect(none.stderr).toMatch(/"no-such-command": executable file not found in \$PATH/);
      // The size travels beside the command, which may be there first: so it is in Kubernetes, too.
      const size = 'tty; while [ -z "$(stty size 2>/dev/null)" ]; do sleep 0.1; done; stty size; exit 9';
      const tty = await kubectl.onTerminal(
        ['exec', '-it', talker, '-c', 'reader', '--', 'sh', '-c', size],
        41,
        123,
      );
      expect(tty.printed).toMatch(/\/dev\/pts\/\d+\r\n41 123\r\n/);
      expect(tty.code).toBe(9);
      const nobody = await kubectl.run('exec nobody -- ls');
      expect(nobody.stderr).toContain('pods "nobody" not found');
    });

    test.concurrent('attach, and run with input', async () => {
      const attached = kubectl.start(`attach -i ${talker} -c reader`);
      try {
        for (const word of ['one', 'two']) {
          attached.type(`${word}\n`);
          await attached.until(new RegExp(`^got ${word}$`, 'm'));
        }
      } finally {
        await attached.stop();
      }
      // What was said while attached is in the log as well.
      expect(await kubectl.must(`logs ${talker} -c reader`)).toBe('got one\ngot two\n');
      const name = `asked-${kubectl.tag}`;
      const script = 'echo ready; read first; echo "first $first"; cat; exit 3';
      const asked = kubectl.start([
        ...`run ${name} -i --rm --restart=Never --image=busybox --`.split(' '),
        ...['sh', '-c', script],
      ]);
      asked.type('one\ntwo\n');
      await asked.endInput();
      expect(await asked.exited).toBe(3);
      expect(await asked.until(/first one\ntwo\n/)).toBeTruthy();
      expect((await kubectl.run(`get pod ${name}`)).stderr).toContain('not found');
    });

    test.concurrent('cp into a pod and out of it', async () => {
      const bytes = Buffer.alloc(300_000, 'not only text: \x00\x01\xff ');
      const up = lab.file(`up-${kubectl.tag}`, '');
      await Bun.write(up, bytes);
      await kubectl.must(`cp ${up} ${talker}:/tmp/copied -c reader`);
      expect(await kubectl.must(`exec ${talker} -c reader -- stat -c %s /tmp/copied`)).toBe(
        `${bytes.length}\n`,
      );
      const down = join(lab.scratch, `down-${kubectl.tag}`);
      await kubectl.must(`cp ${talker}:/tmp/copied ${down} -c reader`);
      expect(readFileSync(down).equals(bytes)).toBe(true);
    });

    test.concurrent('port-forward: several connections, and a port where nobody listens', async () => {
      const forward = kubectl.start(`port-forward pod/${talker} --address 127.0.0.1 :8080 :81`);
      try {
        const open = await forward.until(/127\.0\.0\.1:(\d+) -> 8080/);
        const closed = await forward.until(/127\.0\.0\.1:(\d+) -> 81$/m);
        const answers = await Promise.all(
          [1, 2, 3].map((each) =>
            lab.command(['curl', '-sS', '--max-time', '10', `http://127.0.0.1:${open[1]}/?${each}`]),
          ),
        );
        for (const [index, answer] of answers.entries()) {
          expect(answer.stdout).toContain(`My hostname is: ${talker}`);
          expect(answer.stdout).toContain(`GET /?${index + 1}`);
        }
        const refused = await lab.command([
          'curl',
          '-sS',
          '--max-time',
          '10',
          `http://127.0.0.1:${closed[1]}/`,
        ]);
        expect(refused.code).not.toBe(0);
        await forward.until(/error forwarding port 81 to pod .*(Connection|connection) refused/);
      } finally {
        await forward.stop();
      }
    });
  });
});
