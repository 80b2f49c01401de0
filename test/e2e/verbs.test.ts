import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { type TarEntry, writeTar } from '../../src/sys/tar.ts';
import { eventually } from './eventually.ts';
import { Lab, labMissing, PROGRAM, type Ran, type Started } from './lab.ts';

const missing = labMissing();
const CONTROL_PLANE = 'verbs-control-plane';
const WORKER = 'verbs-worker';

/** A kubeconfig that the user had before, with a comment and an unknown field. */
const THEIRS = `# mine
apiVersion: v1
kind: Config
clusters:
- name: theirs
  cluster: {server: "https://127.0.0.1:1", unknown-field: kept}
contexts:
- name: theirs
  context: {cluster: theirs, user: theirs}
users:
- name: theirs
  user: {token: secret}
current-context: theirs
`;

describe.skipIf(missing !== undefined)(`the commands${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('verbs');
  let port: number;

  beforeAll(async () => {
    writeFileSync(lab.env.KUBECONFIG!, THEIRS, { mode: 0o644 });
    port = await freePort();
    lab.file('mounted', 'before\n');
    lab.file('sealed', 'sealed\n');
    const config = lab.file(
      'config.yaml',
      `kind: Cluster
apiVersion: kind.sigs.k8s.io/v1alpha4
nodes:
- role: control-plane
- role: worker
  labels: {tier: front, example.com/zone: a}
  extraMounts:
  - {hostPath: ${lab.scratch}/mounted, containerPath: /etc/mounted}
  - {hostPath: ${lab.scratch}/sealed, containerPath: /etc/sealed, readOnly: true}
  extraPortMappings:
  - {containerPort: 80, hostPort: ${port}, listenAddress: 127.0.0.1}
`,
    );
    await lab.must('create', 'cluster', '--name', lab.name, '--config', config);
  });
  afterAll(() => lab.delete());

  async function kubectl(words: string, stdin?: string): Promise<string> {
    const ran = await lab.kubectl(words.split(' '), stdin === undefined ? {} : { stdin });
    if (ran.code !== 0) throw new Error(`kubectl ${words}: exit ${ran.code}\n${ran.stdout}${ran.stderr}`);
    return ran.stdout;
  }

  describe('exec', () => {
    const CASES: readonly { name: string; words: string[]; stdin?: string; expected: Partial<Ran> }[] = [
      {
        name: 'words reach the command as they are',
        words: [WORKER, '--', 'printf', '[%s]', 'two words', '', '$HOME', "it's", '-n'],
        expected: { stdout: "[two words][][$HOME][it's][-n]" },
      },
      {
        name: 'without dashes, options behind the command are its own',
        words: [WORKER, 'sh', '-c', 'echo $0 $1', '-e', '--help'],
        expected: { stdout: '-e --help\n' },
      },
      { name: 'its exit status', words: [WORKER, '--', 'sh', '-c', 'exit 7'], expected: { code: 7 } },
      {
        name: 'its exit status when a signal ended it',
        words: [WORKER, '--', 'sh', '-c', 'kill -9 $$'],
        expected: { code: 137 },
      },
      {
        name: 'output and errors apart',
        words: [WORKER, '--', 'sh', '-c', 'echo out; echo err >&2'],
        expected: { stdout: 'out\n', stderr: 'err\n', code: 0 },
      },
      {
        name: '-i hands it standard input',
        words: ['-i', WORKER, '--', 'wc', '-c'],
        stdin: 'x'.repeat(300_000),
        expected: { stdout: '300000\n' },
      },
      {
        name: 'without -i it reads nothing',
        words: [WORKER, '--', 'cat'],
        stdin: 'not for it\n',
        expected: { stdout: '', code: 0 },
      },
      {
        name: '-e, -w and -u',
        words: [
          '-e',
          'A=1',
          '--env',
          'B=2 3',
          '-w',
          '/usr',
          '-u',
          '65534',
          WORKER,
          '--',
          'sh',
          '-c',
          'echo $A $B $PWD $(id -u)',
        ],
        expected: { stdout: '1 2 3 /usr 65534\n' },
      },
      {
        name: 'the node is a place of its own',
        words: [WORKER, '--', 'hostname'],
        expected: { stdout: `${WORKER}\n` },
      },
    ];
    for (const { name, words, stdin, expected } of CASES) {
      test(name, async () => {
        const ran = await lab.command([PROGRAM, 'exec', ...words], stdin === undefined ? {} : { stdin });
        expect(ran).toMatchObject({ code: 0, ...expected });
      });
    }

    const UNSTARTABLE: readonly (readonly [command: string, status: number])[] = [
      ['no-such-command', 127],
      ['/no/such/command', 127],
      ['/etc/hosts', 126],
    ];
    for (const [command, status] of UNSTARTABLE) {
      test(`${command} cannot be run: ${status}, and it is named`, async () => {
        const ran = await lab.inNode(WORKER, command);
        expect(ran).toMatchObject({ code: status, stderr: expect.stringContaining(command) });
      });
    }

    test('-t where there is no terminal says so', async () => {
      const ran = await lab.command([PROGRAM, 'exec', '-it', WORKER, '--', 'true']);
      expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('leave -t out') });
    });

    test('-t gives it a terminal', async () => {
      const inner = [PROGRAM, 'exec', '-it', WORKER, '--', 'sh', '-c', '"tty; exit 3"'].join(' ');
      const ran = await lab.command(['script', '-qec', inner, '/dev/null']);
      // runc begins to copy before it has set the outer terminal raw: that may add a carriage return.
      expect(ran.stdout).toMatch(/\/dev\/(pts\/\d+|console)\r*\n/);
      expect(ran.code).toBe(3);
    });

    test('a node that is not there: which ones are', async () => {
      const ran = await lab.inNode('nobody', 'true');
      expect(ran.code).toBe(2);
      expect(ran.stderr).toMatch(
        /^error: cannot reach the node: node "nobody" not found on this machine; the nodes are .*verbs-control-plane, verbs-worker/,
      );
    });
  });

  describe('cp', () => {
    test('a file both ways: bytes and mode', async () => {
      const bytes = randomBytes(3_000_000);
      const file = lab.file('blob', '');
      writeFileSync(file, bytes);
      chmodSync(file, 0o751);
      await lab.must('cp', file, `${WORKER}:/root/there`);
      expect(await lab.inNode(WORKER, 'stat', '-c', '%a %s', '/root/there')).toMatchObject({
        stdout: '751 3000000\n',
      });
      const back = join(lab.scratch, 'back');
      await lab.must('cp', `${WORKER}:/root/there`, back);
      expect(Buffer.compare(readFileSync(back), bytes)).toBe(0);
      expect(statSync(back).mode & 0o7777).toBe(0o751);
    });

    test('a file into a directory that exists, under its own name, both ways', async () => {
      const file = lab.file('a name with: colon', 'text\n');
      await lab.must('cp', file, `${WORKER}:/root`);
      await lab.must('cp', `${WORKER}:/root/a name with: colon`, `${lab.scratch}/`);
      expect(await lab.inNode(WORKER, 'cat', '/root/a name with: colon')).toMatchObject({ stdout: 'text\n' });
      const into = join(lab.scratch, 'into');
      mkdirSync(into);
      await lab.must('cp', `${WORKER}:/etc/hostname`, into);
      expect(readFileSync(join(into, 'hostname'), 'utf8')).toBe(`${WORKER}\n`);
    });

    test('a directory both ways: into one that exists under its own name, else under the name given', async () => {
      const tree = join(lab.scratch, 'tree');
      mkdirSync(join(tree, 'deep'), { recursive: true });
      writeFileSync(join(tree, 'deep/file'), 'deep\n');
      symlinkSync('deep/file', join(tree, 'link'));
      await lab.must('cp', tree, `${WORKER}:/root`);
      await lab.must('cp', tree, `${WORKER}:/root/renamed`);
      for (const place of ['/root/tree', '/root/renamed']) {
        expect(
          await lab.inNode(WORKER, 'sh', '-c', `cat ${place}/deep/file && readlink ${place}/link`),
        ).toMatchObject({
          stdout: 'deep\ndeep/file\n',
        });
      }
      const out = join(lab.scratch, 'out');
      await lab.must('cp', `${WORKER}:/root/tree`, out);
      await lab.must('cp', `${WORKER}:/root/tree`, out);
      expect(readdirSync(out).toSorted()).toEqual(['deep', 'link', 'tree']);
      expect(readFileSync(join(out, 'tree/link'), 'utf8')).toBe('deep\n');
    });

    test('into a mounted file: it is written where it is, so the machine sees it', async () => {
      await lab.must('cp', lab.file('new', 'after\n'), `${WORKER}:/etc/mounted`);
      expect(readFileSync(join(lab.scratch, 'mounted'), 'utf8')).toBe('after\n');
      const sealed = await lab.hostport('cp', join(lab.scratch, 'new'), `${WORKER}:/etc/sealed`);
      expect(sealed.code).toBe(1);
      expect(sealed.stderr).toStartWith(`error: ${WORKER}: cp --no-preserve=all /dev/stdin /etc/sealed: `);
      expect(sealed.stderr).toContain('Read-only file system');
      // How a command gets into a node is nobody's concern.
      expect(sealed.stderr).not.toContain('--env');
      expect(readFileSync(join(lab.scratch, 'sealed'), 'utf8')).toBe('sealed\n');
    });

    test('a device, a FIFO and setuid bits of a node do not come onto the machine', async () => {
      const prepare = [
        'mkdir /root/odd && cd /root/odd',
        'mknod disk b 7 0 && mkfifo fifo && echo x > shell && chmod 6755 shell && echo plain > plain',
      ];
      expect(await lab.inNode(WORKER, 'sh', '-c', prepare.join(' && '))).toMatchObject({ code: 0 });
      const odd = join(lab.scratch, 'odd');
      const ran = await lab.hostport('cp', `${WORKER}:/root/odd`, odd);
      expect(ran).toMatchObject({ code: 0, stdout: '' });
      expect(ran.stderr).toBe(
        'left out, since a copy on this machine would be a device or FIFO of its kernel: disk, fifo\n',
      );
      expect(readdirSync(odd).toSorted()).toEqual(['plain', 'shell']);
      await lab.must('cp', `${WORKER}:/root/odd/shell`, join(odd, 'alone'));
      for (const name of ['shell', 'alone']) expect(statSync(join(odd, name)).mode & 0o7777).toBe(0o755);
    });

    test('"-" is a tar archive: out of a node, and into a directory of it', async () => {
      const pipe = `${PROGRAM} cp ${WORKER}:/etc/hosts - | tar -xO hosts`;
      const out = await lab.command(['sh', '-c', pipe]);
      expect(out.stdout).toContain(WORKER);
      expect(existsSync('-')).toBe(false);
      lab.file('streamed', 'by tar\n');
      const into = `tar -C ${lab.scratch} -cf - streamed | ${PROGRAM} cp - ${WORKER}:/root`;
      expect((await lab.command(['sh', '-c', into])).code).toBe(0);
      expect(await lab.inNode(WORKER, 'cat', '/root/streamed')).toMatchObject({ stdout: 'by tar\n' });
      const gone = await lab.hostport('cp', `${WORKER}:/no/such`, '-');
      expect(gone.code).not.toBe(0);
      expect(gone.stderr).toContain('/no');
    });

    const REFUSED: readonly (readonly [name: string, from: string, to: string, message: string])[] = [
      ['a file and no node', '/etc/hosts', '-', '"-" needs a node on the other side'],
      [
        'a source that is not on the machine',
        '/no/such',
        `${WORKER}:/root/x`,
        '/no/such: no such file or directory on this machine',
      ],
      [
        'a source that is not in the node',
        `${WORKER}:/no/such`,
        '/tmp/x',
        `${WORKER}:/no/such: no such file or directory in the node`,
      ],
      ['two paths of the machine', '/etc/hosts', '/tmp/x', 'exactly one side must be in a node'],
      ['two nodes', `${WORKER}:/etc/hosts`, `${CONTROL_PLANE}:/tmp/x`, 'exactly one side must be in a node'],
      ['a node that is not there', '/etc/hosts', 'nobody:/x', 'node "nobody" not found'],
      ['an empty path', '/etc/hosts', `${WORKER}:`, 'neither path may be empty'],
      [
        'a target whose directory is not there',
        '/etc/hosts',
        `${WORKER}:/no/such/x`,
        `cannot copy to ${WORKER}:/no/such/x: /no/such is not a directory in the node; create it first`,
      ],
      [
        'out to a directory that is not there',
        `${WORKER}:/etc/hosts`,
        '/no/such/x',
        'cannot copy to /no/such/x: /no/such is not a directory on this machine; create it first',
      ],
      [
        'a path of the machine through a file',
        '/etc/hosts/x',
        `${WORKER}:/root/x`,
        'cannot look at /etc/hosts/x: part of its path is not a directory',
      ],
    ];
    for (const [name, from, to, message] of REFUSED) {
      test(`${name} is an error`, async () => {
        const ran = await lab.hostport('cp', from, to);
        expect(ran.stderr).toContain(message);
        expect(ran.code).toBe(2);
        expect(existsSync('/no')).toBe(false); // it makes no directories on the way
      });
    }
  });

  describe('what is there', () => {
    test('ps: a table, JSON and YAML', async () => {
      expect(await lab.must('ps')).toMatch(
        /^NAME +CLUSTER +ROLE +STATUS +ADDRESS\n(.*\n)*verbs-control-plane +verbs +control-plane +running +172\.17\.0\.2\nverbs-worker +verbs +worker +running +172\.17\.0\.3\n/,
      );
      const json = JSON.parse(await lab.must('ps', '-o', 'json'));
      const worker = json.find(({ name }: { name: string }) => name === WORKER);
      expect(worker).toEqual({
        name: WORKER,
        cluster: lab.name,
        role: 'worker',
        status: 'running',
        address: '172.17.0.3',
        pid: expect.any(Number),
      });
      expect(readFileSync(`/proc/${worker.pid}/comm`, 'utf8')).toBe('tini-static\n');
      // Other files' clusters come and go between two calls.
      const ours = (nodes: { cluster: string }[]) => nodes.filter(({ cluster }) => cluster === lab.name);
      expect(ours(Bun.YAML.parse(await lab.must('ps', '-o', 'yaml')) as { cluster: string }[])).toEqual(
        ours(json),
      );
      expect((await lab.hostport('ps', '-o', 'xml')).code).toBe(2);
      expect((await lab.must('ps', '-aq')).split('\n')).toContain(WORKER);
    });

    test("the how-to's programs are the lab's in its shell, and say so", async () => {
      const script = 'docker ps -q; kind version; kind get nodes --name verbs; echo $debian_chroot';
      const ran = await lab.command([PROGRAM, 'shell', '--name', lab.name], { stdin: script });
      expect(ran.stderr).toBe('');
      expect(ran.stdout).toMatch(
        /verbs-worker\n(.*\n)*stand-in for kind: hostport \S+\nverbs-control-plane\nverbs-worker\nlab verbs\n$/,
      );
    });

    test('nobody but root learns anything about clusters', async () => {
      for (const words of [['get', 'nodes'], ['ps'], ['answers']]) {
        const ran = await lab.command(['setpriv', '--reuid=65534', '--clear-groups', PROGRAM, ...words]);
        expect(ran.stderr).toStartWith(`error: cannot run hostport ${words.join(' ')}: it needs root`);
        expect(ran.code).toBe(words[0] === 'answers' ? 2 : 1);
      }
    });

    test('get clusters and get nodes', async () => {
      expect((await lab.must('get', 'clusters')).split('\n')).toContain(lab.name);
      expect(await lab.must('get', 'nodes', '--name', lab.name)).toBe(`${CONTROL_PLANE}\n${WORKER}\n`);
      const ran = await lab.hostport('get', 'nodes', '--name', 'nobody');
      expect(ran.code).toBe(2);
      expect(ran.stderr).toMatch(/cluster "nobody" does not exist; choose one of these with --name: .*verbs/);
    });

    test('labels of the config are labels of the node', async () => {
      expect(await kubectl('get nodes -l tier=front,example.com/zone=a -o name')).toBe(`node/${WORKER}\n`);
    });
  });

  describe('kubeconfig', () => {
    test('get kubeconfig is one that works from the machine; --internal one that works in the lab', async () => {
      const outer = lab.file('outer', await lab.must('get', 'kubeconfig', '--name', lab.name));
      expect(await kubectl(`--kubeconfig ${outer} get nodes -o name`)).toBe(
        `node/${CONTROL_PLANE}\nnode/${WORKER}\n`,
      );
      const inner = lab.file('inner', await lab.must('get', 'kubeconfig', '--internal', '--name', lab.name));
      expect(readFileSync(inner, 'utf8')).toContain('server: https://172.17.0.2:6443');
      const ran = await lab.inLab('kubectl', '--kubeconfig', inner, 'get', 'nodes', '-o', 'name');
      expect(ran).toMatchObject({ code: 0, stdout: `node/${CONTROL_PLANE}\nnode/${WORKER}\n` });
    });

    test('the merged context is current and only the user can read it; what was there before stays', async () => {
      const path = lab.env.KUBECONFIG!;
      expect(statSync(path).mode & 0o777).toBe(0o600);
      const text = readFileSync(path, 'utf8');
      expect(text).toStartWith('# mine\n');
      expect(await kubectl('config get-contexts -o name')).toBe('kind-verbs\ntheirs\n');
      expect(await kubectl('config current-context')).toBe('kind-verbs\n');
      const merged = Bun.YAML.parse(text) as Record<string, unknown[]>;
      const theirs = Bun.YAML.parse(THEIRS) as Record<string, unknown[]>;
      for (const list of ['clusters', 'contexts', 'users'])
        expect(merged[list]).toContainEqual(theirs[list]![0]);
    });
  });

  test('run stands outside the nodes, on their network, with a kubectl that works', async () => {
    const ran = await lab.inLab('sh', '-c', 'ip -br -4 address show kind; kubectl get nodes -o name; exit 5');
    expect(ran.stdout).toMatch(
      /^kind .* 172\.17\.0\.1\/16 \nnode\/verbs-control-plane\nnode\/verbs-worker\n$/,
    );
    expect(ran.code).toBe(5);
  });

  test('load image-archive: a pod runs what was in the archive; the port mapping answers on loopback', async () => {
    const archive = await dockerArchive(
      join(lab.scratch, 'hello.tar'),
      'example.test/hello:v1',
      'hello from the archive',
    );
    expect(await lab.must('load', 'image-archive', archive, '--name', lab.name, '--nodes', WORKER)).toBe(
      'example.test/hello:v1\n',
    );
    const again = ['load', 'image-archive', archive, '--name', lab.name, '--nodes', WORKER, '-o', 'json'];
    expect(JSON.parse(await lab.must(...again))).toEqual([
      {
        references: ['example.test/hello:v1'],
        os: 'linux',
        architecture: expect.any(String),
        layers: 1,
        nodes: [WORKER],
      },
    ]);
    const images = async (node: string) =>
      (await lab.inNode(node, 'ctr', '-n', 'k8s.io', 'images', 'ls', '-q')).stdout;
    expect(await images(WORKER)).toContain('example.test/hello:v1\n');
    expect(await images(CONTROL_PLANE)).not.toContain('example.test/hello');
    await kubectl(
      'apply -f -',
      `apiVersion: v1
kind: Pod
metadata: {name: hello}
spec:
  nodeSelector: {tier: front}
  terminationGracePeriodSeconds: 0
  containers: [{name: hello, image: "example.test/hello:v1", imagePullPolicy: Never, ports: [{containerPort: 8080, hostPort: 80}]}]
`,
    );
    await kubectl('wait --for=condition=Ready pod/hello --timeout=30s');
    await eventually('the mapped port to answer', async () => {
      const answer = await lab.command(['curl', '-sS', '--max-time', '3', `http://127.0.0.1:${port}/`]);
      return answer.stdout === 'hello from the archive\n';
    });
    await kubectl('delete pod hello --timeout=30s');
  });

  const NO_ARCHIVES: readonly (readonly [name: string, words: (lab: Lab) => string[], message: string])[] = [
    ['a file that is not there', () => ['/no/such.tar'], '/no/such.tar'],
    ['a file that is not an archive', () => ['/bin/sh'], '/bin/sh'],
    [
      'a node that is not there',
      (lab) => [join(lab.scratch, 'hello.tar'), '--nodes', 'nobody'],
      'node "nobody" not found in cluster "verbs"; the nodes are verbs-control-plane, verbs-worker',
    ],
  ];
  for (const [name, words, message] of NO_ARCHIVES) {
    test(`load image-archive: ${name} is an error`, async () => {
      const ran = await lab.hostport('load', 'image-archive', ...words(lab), '--name', lab.name);
      expect(ran.stderr).toContain(message);
      expect(ran.code).toBe(2);
    });
  }

  test('answers: who answers from outside, and on the node for what is bound to loopback', async () => {
    const echo = (name: string, port: string) => `apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec: {nodeName: ${WORKER}, terminationGracePeriodSeconds: 0,
    containers: [{name: echo, image: inanimate/echo-server, ports: [{containerPort: 8080, ${port}}]}]}
---
`;
    const ask = async (...words: string[]) => {
      const ran = await lab.hostport('answers', '--name', lab.name, '-o', 'json', ...words);
      const found = JSON.parse(ran.stdout) as Record<string, unknown>[];
      const seen = found.map(({ pod, address, port: asked, from, result, detail }) =>
        [pod, `${address}:${asked}`, from, result, detail].join(' '),
      );
      return { code: ran.code, seen: seen.toSorted() };
    };
    const working = [
      'everywhere 172.17.0.3:8101 outside answered HTTP 200 as everywhere',
      'inside 127.0.0.1:8102 node answered HTTP 200 as inside',
      'names 172.17.0.3:8105 outside not asked UDP has no HTTP',
    ];
    const pods = [
      echo('everywhere', 'hostPort: 8101, hostIP: 0.0.0.0'),
      echo('inside', 'hostPort: 8102, hostIP: 127.0.0.1'),
      echo('names', 'hostPort: 8105, protocol: UDP'),
    ];
    expect(await ask()).toEqual({ code: 1, seen: [] });
    await kubectl('apply -f -', pods.join(''));
    expect(await ask('--settle', '30s')).toEqual({ code: 0, seen: working });

    const busybox = (name: string, command: string, at: string) => `apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec: {nodeName: ${WORKER}, terminationGracePeriodSeconds: 0,
    containers: [{name: box, image: busybox, command: [${command}], ports: [{containerPort: 8080, ${at}}]}]}
---
`;
    const more = [
      busybox('mute', 'httpd, -f, -p, "8080"', 'hostPort: 8103'),
      busybox('dead', 'sleep, "1000"', 'hostPort: 8104, hostIP: 127.0.0.1'),
    ];
    await kubectl('apply -f -', more.join(''));
    expect(await ask('--settle', '30s')).toEqual({
      code: 1,
      seen: [
        'dead 127.0.0.1:8104 node refused connection refused',
        working[0]!,
        working[1]!,
        'mute 172.17.0.3:8103 outside answered HTTP 404; the page does not name the pod',
        working[2]!,
      ],
    });
    await kubectl('delete pod everywhere inside names mute dead --timeout=30s');
    const nobody = await lab.hostport('answers', '--name', 'nobody');
    expect(nobody).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('cluster "nobody" does not exist'),
    });
  });

  test('export logs: daemons, pods, gateway and the state of the path, a directory a node', async () => {
    await kubectl(
      'apply -f -',
      `apiVersion: v1
kind: Pod
metadata: {name: talker}
spec:
  nodeName: ${WORKER}
  terminationGracePeriodSeconds: 0
  containers: [{name: box, image: busybox, command: [sh, -c, 'echo said so; sleep 1000'], ports: [{containerPort: 7, hostPort: 8007}]}]
`,
    );
    await kubectl('wait --for=condition=Ready pod/talker --timeout=30s');
    const directory = join(lab.scratch, 'logs/deep');
    expect(await lab.must('export', 'logs', directory, '--name', lab.name)).toBe(`${directory}\n`);
    const files = readdirSync(directory, { recursive: true }).map(String);
    expect(files).toEqual(
      expect.arrayContaining([
        'gateway.log',
        ...[CONTROL_PLANE, WORKER].flatMap((node) => [`${node}/kubelet.log`, `${node}/containerd.log`]),
        ...['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler'].map(
          (daemon) => `${CONTROL_PLANE}/${daemon}.log`,
        ),
      ]),
    );
    const read = (path: string) => readFileSync(join(directory, path), 'utf8');
    const log = files.find((file) => /^verbs-worker\/pods\/default_talker_[^/]+\/box\/0\.log$/.test(file));
    expect(read(log!)).toMatch(/ stdout F said so\n/);
    expect(read(`${WORKER}/iptables-save.txt`)).toMatch(/-A CNI-HOSTPORT-DNAT .*--dports 8007/);
    expect(read(`${WORKER}/cni-directories.txt`)).toContain('portmap');
    await kubectl('delete pod talker --timeout=30s');
  });

  describe('interrupted', () => {
    const INTERRUPTED = { code: 130, said: expect.stringContaining('error: interrupted by SIGINT\n') };

    /** Starts a command, interrupts it once it has come so far, and returns how it ended. */
    async function interrupt(words: string[], until: (started: Started) => Promise<unknown>) {
      const started = lab.start([PROGRAM, ...words]);
      await until(started);
      await started.stop();
      return { code: await started.exited, said: started.printed };
    }
    const inWorker = async (script: string) => (await lab.inNode(WORKER, 'sh', '-c', script)).stdout;

    test('cp out of a node: no file, and one that was there as it was', async () => {
      await inWorker('mkfifo /root/slow');
      for (const before of [undefined, 'before\n']) {
        const target = join(lab.scratch, 'slow');
        if (before !== undefined) writeFileSync(target, before);
        // It opens when there is a reader, and holds the pipe open with a part in it.
        const script = 'exec 3>/root/slow; echo part >&3; echo opened; exec cat';
        const writer = lab.start([PROGRAM, 'exec', '-i', WORKER, '--', 'sh', '-c', script]);
        const ran = await interrupt(['cp', `${WORKER}:/root/slow`, target], () => writer.until(/opened/));
        expect(ran).toEqual(INTERRUPTED);
        expect(existsSync(target) ? readFileSync(target, 'utf8') : undefined).toBe(before);
        await writer.endInput();
        await writer.exited;
      }
      expect(readdirSync(lab.scratch).filter((name) => name.startsWith('.'))).toEqual([]);
    });

    test('cp into a node: no file, and one that was there as it was', async () => {
      const fifo = join(lab.scratch, 'fifo');
      await lab.command(['mkfifo', fifo]);
      await inWorker('echo before > /root/there');
      for (const [target, content] of [
        ['/root/nothing', ''],
        ['/root/there', 'before\n'],
      ]) {
        const writer = lab.start(['sh', '-c', 'exec 3>"$0"; echo part >&3; echo opened; exec cat', fifo]);
        const ran = await interrupt(['cp', fifo, `${WORKER}:${target}`], () => writer.until(/opened/));
        expect(ran).toEqual(INTERRUPTED);
        expect(await inWorker(`cat ${target} 2>/dev/null`)).toBe(content!);
        await writer.endInput();
        await writer.exited;
      }
    });

    test('cp of an archive into a node: nothing of what had come of it', async () => {
      await inWorker('mkdir /root/unpacked');
      const begun = await tar([
        { type: 'file', path: 'first', mode: 0o644, content: Buffer.from('whole') },
        { type: 'file', path: 'second', mode: 0o644, content: Buffer.alloc(1 << 20, 'x') },
      ]);
      const child = Bun.spawn([PROGRAM, 'cp', '-', `${WORKER}:/root/unpacked`], {
        stdin: 'pipe',
        stderr: 'pipe',
      });
      child.stdin.write(begun.subarray(0, 500_000));
      // More than a pipe holds: it has been read when it is out of our hands.
      await child.stdin.flush();
      child.kill('SIGINT');
      expect(await new Response(child.stderr).text()).toBe('error: interrupted by SIGINT\n');
      expect(await child.exited).toBe(130);
      expect(await inWorker('ls -A /root/unpacked')).toBe('');
    });

    test('export logs: no directory that it made, and nothing beside what was there', async () => {
      // Replaces a command that it runs with one that does not end.
      const slow = '/usr/local/sbin/iptables-save';
      await inWorker(
        `printf '#!/bin/sh\necho $$ > /root/asked\nexec sleep 1000\n' > ${slow}; chmod +x ${slow}`,
      );
      mkdirSync(join(lab.scratch, 'kept'));
      writeFileSync(join(lab.scratch, 'kept/mine'), 'mine');
      for (const [directory, left] of [
        ['made/deep', undefined],
        ['kept', ['mine']],
      ] as const) {
        const target = join(lab.scratch, directory);
        const ran = await interrupt(['export', 'logs', target, '--name', lab.name], () =>
          eventually(
            'the node to be asked',
            async () => (await inWorker('cat /root/asked 2>/dev/null')) !== '',
          ),
        );
        await inWorker('kill $(cat /root/asked); rm /root/asked');
        expect(ran).toEqual(INTERRUPTED);
        expect(existsSync(target) ? readdirSync(target) : undefined).toEqual(left as string[] | undefined);
      }
      expect(existsSync(join(lab.scratch, 'made'))).toBe(false);
      await inWorker(`rm ${slow}`);
    });

    test('load image-archive: the current node is finished, the next is not started', async () => {
      const image = 'example.test/interrupted:v1';
      const archive = await dockerArchive(join(lab.scratch, 'interrupted.tar'), image, 'interrupted');
      const onFirst = (script: string) => lab.inNode(CONTROL_PLANE, 'sh', '-c', script);
      const pid = (await onFirst('pidof containerd')).stdout.trim();
      const words = ['load', 'image-archive', archive, '--name', lab.name];
      // The runtime is stopped until the command has been asked to end.
      await onFirst(`kill -STOP ${pid}`);
      const loading = lab.start([PROGRAM, ...words]);
      try {
        await eventually('the import to begin', async () => (await onFirst('pidof ctr')).code === 0);
        loading.interrupt();
        await loading.until(/interrupted by SIGINT; finishing verbs-control-plane first\n/);
      } finally {
        await onFirst(`kill -CONT ${pid}`);
      }
      expect(await loading.exited).toBe(130);
      expect(loading.printed).toEndWith('error: interrupted by SIGINT\n');
      const has = async (node: string) =>
        (await lab.inNode(node, 'ctr', '-n', 'k8s.io', 'images', 'ls', '-q')).stdout.includes(image);
      expect([await has(CONTROL_PLANE), await has(WORKER)]).toEqual([true, false]);
    });
  });

  test('delete takes its own out of the kubeconfig and leaves the rest', async () => {
    await lab.must('delete', 'cluster', '--name', lab.name);
    const text = readFileSync(lab.env.KUBECONFIG!, 'utf8');
    expect(text).not.toContain('kind-verbs');
    expect(Bun.YAML.parse(text)).toEqual({
      ...(Bun.YAML.parse(THEIRS) as Record<string, unknown>),
      'current-context': '',
    });
  });
});

/** Writes an image as `docker save` does: busybox's httpd, which answers with `text`. Returns the path. */
async function dockerArchive(path: string, reference: string, text: string): Promise<string> {
  const file = (name: string, content: Uint8Array, mode = 0o644): TarEntry => ({
    type: 'file',
    path: name,
    mode,
    content,
  });
  const busybox = readFileSync(existsSync('/usr/bin/busybox') ? '/usr/bin/busybox' : '/bin/busybox');
  const layer = await tar([
    { type: 'directory', path: 'bin', mode: 0o755 },
    file('bin/busybox', busybox, 0o755),
    { type: 'directory', path: 'www', mode: 0o755 },
    file('www/index.html', Buffer.from(`${text}\n`)),
  ]);
  const digest = new Bun.CryptoHasher('sha256').update(layer).digest('hex');
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Entrypoint: ['/bin/busybox', 'httpd', '-f', '-p', '8080', '-h', '/www'] },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  };
  const manifest = [{ Config: 'config.json', RepoTags: [reference], Layers: ['layer.tar'] }];
  const archive = await tar([
    file('layer.tar', layer),
    file('config.json', Buffer.from(JSON.stringify(config))),
    file('manifest.json', Buffer.from(JSON.stringify(manifest))),
  ]);
  writeFileSync(path, archive);
  return path;
}

async function tar(entries: TarEntry[]): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(writeTar(entries)));
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
