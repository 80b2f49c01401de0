import { afterAll, beforeAll, describe, expect, spyOn, test } from 'bun:test';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { UserError } from '../util/errors.ts';
import { commandLine, hostport } from './command-line.ts';
import type { Verb } from './verb.ts';

// docs/exit-status.md, held for every command: wrong input is status 2 and one error that says what is wrong.

const isRoot = process.getuid?.() === 0;
const NOBODY = 'no-such-cluster';
let scratch: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'hostport-exit-status-'));
  for (const directory of ['directory', 'nodes']) mkdirSync(join(scratch, directory));
  writeFileSync(join(scratch, 'empty'), '');
  writeFileSync(join(scratch, 'noyaml'), 'a: [\n');
  writeFileSync(
    join(scratch, 'config'),
    'clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]\ncontexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n',
  );
  writeFileSync(
    join(scratch, 'old.conflist'),
    '{"cniVersion":"0.3.1","name":"old","plugins":[{"type":"x"}]}',
  );
  writeFileSync(join(scratch, 'net.conflist'), '{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"x"}]}');
});
afterAll(() => rmSync(scratch, { recursive: true }));

interface Outcome {
  status: number;
  said: string;
}

/** What a command line exits with and says on standard error, in this process. */
async function outcomeOf(words: readonly string[]): Promise<Outcome> {
  let said = '';
  const streams = [process.stdout, process.stderr].map((stream) =>
    spyOn(stream, 'write').mockImplementation((text) => {
      said += String(text);
      return true;
    }),
  );
  try {
    return { status: await commandLine('hostport', [...words]), said };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { status: error.exitCode, said: said + error.message };
  } finally {
    for (const stream of streams) stream.mockRestore();
  }
}

function leaves(verb: Verb): Verb[] {
  const shown = verb.createHelp().visibleCommands(verb) as Verb[];
  const inner = shown.filter((command) => verb.commands.includes(command));
  return inner.length === 0 ? [verb] : inner.flatMap(leaves);
}

const verbs = new Map(leaves(await hostport()).map((verb) => [verb.path.replace('hostport ', ''), verb]));

/** A value for every argument that must be there; for one that is checked by the parser, one that passes. */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  break: ['plugin-missing'],
  completion: ['bash'],
  cp: ['a', 'b'],
  exec: ['node', 'true'],
  'export logs': ['directory'],
  'load image-archive': ['file'],
  run: ['true'],
  trace: ['node:80'],
};

describe('help of a command that is not there', () => {
  test.each([
    ['help nope', 'nope', 'hostport'],
    ['create help nope', 'nope', 'hostport create'],
    ['help create nope', undefined, 'hostport'],
    ['help doctor', undefined, 'hostport'],
  ])('%s', async (line, unknown, path) => {
    const { status, said } = await outcomeOf(line.split(' '));
    if (unknown === undefined) expect(status).toBe(0);
    else {
      expect(said).toBe(`error: unknown command '${unknown}'\n(see "${path} --help")\n`);
      expect(status).toBe(2);
    }
  });
});

describe('words that the parser refuses', () => {
  for (const [path, verb] of verbs) {
    const words = [...path.split(' '), ...(ARGUMENTS[path] ?? [])];
    const cases: string[][] = [[...path.split(' '), '--no-such-option']];
    if (verb.registeredArguments.some(({ required }) => required)) cases.push(path.split(' '));
    if (!verb.registeredArguments.some(({ variadic }) => variadic)) {
      cases.push([...words, ...Array(verb.registeredArguments.length).fill('x'), 'one-too-many']);
    }
    for (const option of verb.options) {
      if (option.required) cases.push([...path.split(' '), option.long!]);
      if (option.parseArg !== undefined && !ANY_VALUE.includes(option.long!)) {
        cases.push([...path.split(' '), option.long!, 'no such value', ...(ARGUMENTS[path] ?? [])]);
      }
    }
    for (const line of cases) {
      test(line.join(' '), async () => {
        const { status, said } = await outcomeOf(line);
        expect(said).toStartWith('error: ');
        expect(said).toEndWith(`(see "hostport ${path} --help")\n`);
        expect(status).toBe(2);
      });
    }
  }
});

/** Options that gather values and take any. */
const ANY_VALUE = ['--node', '--as-group', '--cap', '--plugin', '--valid'];

/**
 * Input that only the command itself, and not the parser, can refuse. `SCRATCH` is a directory with: `empty`, a file; `config`, a kubeconfig; `directory`, `nodes`,
 * empty ones; `noyaml`; `net.conflist`, a network. A command without any says so.
 */
const WRONG_INPUT: Readonly<Record<string, readonly (readonly [words: string, said: RegExp])[]>> = {
  'create cluster': [
    ['--name A', /--name: "A" is not a cluster name/],
    ['--config SCRATCH/none', /SCRATCH\/none: no such file or directory/],
    [
      '--kubernetes SCRATCH/directory',
      /cannot run Kubernetes from SCRATCH\/directory: it has no kube-apiserver/,
    ],
    [
      '--kubernetes v1.33.99',
      /cannot run Kubernetes v1\.33\.99: .*v1\.33\.99 does not exist; download it with/,
    ],
    ['--kubernetes v9.9.9', /cannot run Kubernetes v9\.9\.9: it is v9\.9\.9; want one from v1\.33 to v1\.37/],
    [
      '--kubernetes 1.36.1',
      /cannot run Kubernetes 1\.36\.1: no such directory; versions are written v1\.36\.1/,
    ],
    [
      '--containerd SCRATCH/directory',
      /cannot run containerd from SCRATCH\/directory: it has no containerd, no/,
    ],
    [
      '--containerd v9.9.9',
      /cannot run containerd v9\.9\.9: .*v9\.9\.9 does not exist; build it with "make real"/,
    ],
    ['--config SCRATCH/directory', /SCRATCH\/directory: it is a directory, not a file/],
    ['--config SCRATCH/empty', /SCRATCH\/empty:1:1: is empty: want one YAML document/],
    ['--config SCRATCH/noyaml', /SCRATCH\/noyaml:\d+:\d+: not valid YAML/],
    [
      `--name ${NOBODY} --kubeconfig SCRATCH/directory`,
      /kubeconfig SCRATCH\/directory: .*it is a directory, not a file/,
    ],
  ],
  'delete cluster': [['--name ..', /delete cluster: "\.\." is not a cluster name/]],
  'delete clusters': [
    ['', /name the clusters, or give --all; "hostport get clusters" lists them/],
    ['--all kind', /name the clusters, or give --all/],
    ['..', /delete cluster: "\.\." is not a cluster name/],
  ],
  'get clusters': [],
  'get nodes': [
    ['-A --name kind', /'-A, --all-clusters' cannot be used with option '--name <cluster>'/],
    [`--name ${NOBODY}`, /cluster "no-such-cluster" does not exist/],
  ],
  'get kubeconfig': [[`--name ${NOBODY}`, /cluster "no-such-cluster" does not exist/]],
  'export logs': [[`SCRATCH/logs --name ${NOBODY}`, /cluster "no-such-cluster" does not exist/]],
  'load image-archive': [[`SCRATCH/none --name ${NOBODY}`, /cluster "no-such-cluster" does not exist/]],
  'build node-image': [],
  'fetch kubernetes': [
    ['1.36', /"1\.36": that is not a version; want one like v1\.36\.1/],
    ['v1.32.0', /cannot fetch Kubernetes v1\.32\.0: it is v1\.32\.0; want one from v1\.33/],
    ['v1.36.1 --mirror mirror', /cannot fetch from "mirror": it is not a URL/],
    ['v1.36.1 --mirror-ca SCRATCH/none', /authorities in SCRATCH\/none: no such file or directory/],
    ['v1.36.1 --mirror-ca SCRATCH/empty', /authorities in SCRATCH\/empty: it has no certificate in PEM/],
  ],
  exec: [
    ['no-such-node -- true', /node "no-such-node" not found/],
    ['-w /none no-such-node -- true', /node "no-such-node" not found/],
  ],
  cp: [
    ['a b', /exactly one side must be in a node/],
    ['SCRATCH/none no-such-node:/x', /SCRATCH\/none: no such file or directory/],
    ['no-such-node:/x SCRATCH/file', /node "no-such-node" not found/],
    ['no-such-node: SCRATCH/file', /neither path may be empty/],
  ],
  ps: [['-q -o json', /'-q, --quiet' cannot be used with option '-o, --output <format>'/]],
  run: [[`--name ${NOBODY} -- true`, /cluster "no-such-cluster" does not exist/]],
  shell: [[`--name ${NOBODY}`, /cluster "no-such-cluster" does not exist/]],
  doctor: [
    [`--name ${NOBODY}`, /cluster "no-such-cluster" does not exist/],
    ['--local --from SCRATCH', /'--local' cannot be used with option '--from <path>'/],
    ['--from SCRATCH --reports SCRATCH', /'--from <path>' cannot be used with option '--reports <dir>'/],
    ['--local --reports SCRATCH', /'--reports <dir>' cannot be used with option '--local'/],
    ['--from SCRATCH --name kind', /'--from <path>' cannot be used with option '--name <cluster>'/],
    ['--local --name kind', /'--local' cannot be used with option '--name <cluster>'/],
    ['--local --probe --no-probe', /'--probe' cannot be used with option '--no-probe'/],
    ['--local --no-probe --probe', /'--probe' cannot be used with option '--no-probe'/],
    ['--trace --local', /'--trace' cannot be used with option '--local'/],
    [
      '--trace --kubeconfig SCRATCH/config',
      /cannot use --trace: the kernels of nodes are asked in a lab only/,
    ],
    ['--probe', /'--probe' means nothing without option '--local'/],
    ['--explain plugin-missing --watch', /'--explain <code>' cannot be used with option '--watch \[pause\]'/],
    ['--watch --save SCRATCH/x', /'--watch \[pause\]' cannot be used with option '--save <path>'/],
    // Before it looks: nothing is known of that cluster yet.
    [`--name ${NOBODY} --save SCRATCH/directory`, /bundle SCRATCH\/directory: it already exists; name a new/],
    [`--name ${NOBODY} --save SCRATCH/empty/x`, /cannot write the bundle SCRATCH\/empty\/x: /],
    ['--from SCRATCH --watch', /'--watch \[pause\]' cannot be used with option '--from <path>'/],
    ['--explain plugin-missing --summary', /'--explain <code>' cannot be used with option '--summary'/],
    ['--from SCRATCH/none', /SCRATCH\/none/],
    ['--from SCRATCH/empty', /SCRATCH\/empty/],
    ['--from SCRATCH/directory', /SCRATCH\/directory/],
    ['--reports SCRATCH/none --kubeconfig SCRATCH/config', /SCRATCH\/none/],
    ['--reports SCRATCH/empty --kubeconfig SCRATCH/config', /SCRATCH\/empty/],
    ['--reports SCRATCH/nodes --kubeconfig SCRATCH/none', /SCRATCH\/none/],
    ['--reports SCRATCH/nodes --kubeconfig SCRATCH/directory', /directory: it is a directory, not a file/],
    ['--reports SCRATCH/nodes --kubeconfig SCRATCH/empty', /SCRATCH\/empty: no current-context is set/],
    ['--reports SCRATCH/nodes --kubeconfig SCRATCH/noyaml', /kubeconfig SCRATCH\/noyaml: /],
    ['--kubeconfig SCRATCH/none', /kubeconfig SCRATCH\/none: no such file; choose another with --kubeconfig/],
    ['--kubeconfig SCRATCH/noyaml', /kubeconfig SCRATCH\/noyaml: not valid YAML/],
    ['--context x --kubeconfig SCRATCH/empty', /SCRATCH\/empty: no context named "x"/],
    ['--request-timeout x', /'--request-timeout <duration>' argument 'x' is invalid/],
    ['--name kind --context x', /'--name <cluster>' cannot be used with option '--context <name>'/],
    ['--name kind --kubeconfig x', /'--name <cluster>' cannot be used with option '--kubeconfig <file>'/],
    ['--from SCRATCH --context x', /'--from <path>' cannot be used with option '--context <name>'/],
    ['--local --kubeconfig x', /'--local' cannot be used with option '--kubeconfig <file>'/],
    ['--max-age 1h', /'--max-age' means nothing without option '--reports'/],
    // Pods are created in a cluster that is reached as any other.
    ['--parallel 2 --name kind', /'--parallel <nodes>' cannot be used with option '--name <cluster>'/],
    ['--image x --local', /'--image <image>' cannot be used with option '--local'/],
    ['--timeout 5s --from SCRATCH', /'--timeout <time>' cannot be used with option '--from <path>'/],
    ['--dry-run=client --name kind', /'--dry-run <mode>' cannot be used with option '--name <cluster>'/],
    ['--cleanup --node x', /'--cleanup' cannot be used with option '--node <node>'/],
    ['--dry-run=client --summary', /'--dry-run <mode>' cannot be used with option '--summary'/],
    ['--cleanup --local', /'--cleanup' cannot be used with option '--local'/],
    ['--parallel 2 --kubeconfig SCRATCH/none', /kubeconfig SCRATCH\/none: no such file; choose another/],
    ['--cleanup --context x --kubeconfig SCRATCH/empty', /SCRATCH\/empty: no context named "x"/],
    [
      '--parallel 2 --explain plugin-missing',
      /'--parallel <nodes>' cannot be used with option '--explain <code>'/,
    ],
    [
      '--kubeconfig SCRATCH/none --reports SCRATCH/nodes --parallel 2',
      /'--parallel <nodes>' cannot be used with option '--reports <dir>'/,
    ],
    [
      '--kubeconfig SCRATCH/none --cleanup --dry-run=client',
      /'--cleanup' cannot be used with option '--dry-run <mode>'/,
    ],
    [
      '--kubeconfig SCRATCH/none --image-pull-secret x',
      /'--image-pull-secret' means nothing without option '--work-namespace'/,
    ],
    ['--kubeconfig SCRATCH/none --parallel 0', /want a number from 1 to 9999/],
  ],
  'agent install': [
    [`--name ${NOBODY}`, /cluster "no-such-cluster" does not exist/],
    ['--observe --heal', /'--observe' cannot be used with option '--heal'/],
    ['--output yaml', /'--output' means nothing without option '--dry-run'/],
    ['--dry-run=server', /'--dry-run <mode>' argument 'server' is invalid/],
    ['--image UPPER:tag:', /'--image <image>' argument 'UPPER:tag:' is invalid/],
    ['--namespace A', /want the name of a namespace/],
    ['--api-server api.example.com', /want HOST:PORT/],
    ['--api-server fd00::1:6443', /want HOST:PORT/],
    ['--api-server api.example.com:65536', /want HOST:PORT/],
    ['--metrics-port 80', /want a port from 1024 to 65535/],
    ['--cni-bin-dir opt/cni/bin', /want an absolute path/],
    ['--kubeconfig SCRATCH/none', /kubeconfig SCRATCH\/none: no such file; choose another with --kubeconfig/],
    ['--name kind --context x', /'--name <cluster>' cannot be used with option '--context <name>'/],
  ],
  'agent status': [
    [`--name ${NOBODY}`, /cluster "no-such-cluster" does not exist/],
    ['--kubeconfig SCRATCH/empty', /SCRATCH\/empty: no current-context is set/],
    ['--output yaml', /argument 'yaml' is invalid/],
  ],
  'agent uninstall': [
    [`--name ${NOBODY}`, /cluster "no-such-cluster" does not exist/],
    ['--timeout soon', /want a duration like 30s or 5m/],
  ],
  heal: [
    [`--name ${NOBODY}`, /cluster "no-such-cluster" does not exist/],
    ['--resync 5s', /'--resync' means nothing without option '--watch'/],
    ['--kubeconfig SCRATCH/none', /kubeconfig SCRATCH\/none: no such file; choose another with --kubeconfig/],
    ['--name kind --kubeconfig x', /'--name <cluster>' cannot be used with option '--kubeconfig <file>'/],
    ['--dry-run --yes', /'--dry-run' cannot be used with option '-y, --yes'/],
    ['--undo --restart', /'--undo' cannot be used with option '--restart'/],
    ['--watch --parallel 2', /'--parallel <nodes>' cannot be used with option '--watch'/],
    ['--name kind --max-unavailable 2', /'--max-unavailable <nodes>' cannot be used with option '--name/],
    ['--max-unavailable 0', /want a number from 1 to 9999/],
    ['--watch --no-probe', /'--watch' cannot be used with option '--no-probe'/],
    ['--watch --yes', /'--watch' cannot be used with option '-y, --yes'/],
    ['--watch --node a --node b', /cannot watch several nodes: .* give --node once/],
  ],
  faults: [],
  break: [
    [
      'plugin-missing --kubeconfig SCRATCH/config',
      /cannot run break: https:.*:1 \(context "x" of SCRATCH\/config\) is not a/,
    ],
    [`plugin-missing --name ${NOBODY}`, /cluster "no-such-cluster" does not exist/],
  ],
  unbreak: [[`--name ${NOBODY}`, /cluster "no-such-cluster" does not exist/]],
  quiz: [
    [`--name ${NOBODY}`, /cluster "no-such-cluster" does not exist/],
    ['--seed 1000000', /want a number from 0 to 999999/],
    ['--seed -1', /want a number from 0 to 999999/],
    ['--level 4', /want "1" or "2" or "3"/],
    [
      '--kubeconfig SCRATCH/config',
      /cannot run quiz: https:.*:1 \(context "x" of SCRATCH\/config\) is not a cluster of the lab/,
    ],
  ],
  answers: [[`--name ${NOBODY}`, /cluster "no-such-cluster" does not exist/]],
  trace: [
    [`node:80 --name ${NOBODY}`, /cluster "no-such-cluster" does not exist/],
    [`node --name ${NOBODY}`, /cannot trace "node": not a node and a port; give NODE:PORT/],
    [`node:99999 --name ${NOBODY}`, /cannot trace "node:99999": port 99999 is out of range/],
    [`node:0 --name ${NOBODY}`, /cannot trace "node:0": port 0 is out of range; give a port from 1 to 65535/],
  ],
  ui: [
    [`--name ${NOBODY}`, /cluster "no-such-cluster" does not exist/],
    ['--kubeconfig SCRATCH/none', /kubeconfig SCRATCH\/none: no such file; choose another with --kubeconfig/],
    ['--port 80', /'--port <port>' argument '80' is invalid/],
    ['--interval 0', /'--interval <time>' argument '0' is invalid\. want at least 1s/],
    ['--parallel 2 --name kind', /'--parallel <nodes>' cannot be used with option '--name <cluster>'/],
  ],
  tour: [['--portmap reference --backend nftables', /has no nftables backend/]],
  'cni add': cniInput(),
  'cni check': [
    ...cniInput(),
    ['n b --netns a --conf SCRATCH/net.conflist', /--netns a and the second word "b" both name a namespace/],
    [
      '--netns a --conf SCRATCH/old.conflist',
      /network old: its cniVersion is 0\.3\.1, and CHECK needs 0\.4\.0; raise it/,
    ],
  ],
  'cni cleanup': [
    ['--output yaml', /argument 'yaml' is invalid/],
    ['everything', /too many arguments/],
  ],
  'cni del': cniInput(),
  'cni gc': [
    ...cniInput(),
    ['--conf SCRATCH/net.conflist --all --valid x/y', /--all and --valid exclude each other/],
  ],
  'cni status': cniInput(),
  'cni version': [
    ...cniInput(),
    ['--plugin portmap --conf SCRATCH', /'--plugin <type>' cannot be used with option '--conf <path>'/],
  ],
  'node-report': [
    ['--node A_B', /'--node <name>' argument 'A_B' is invalid. want the name of a node/],
    ['--node ..', /want the name of a node/],
  ],
  version: [],
  completion: [['tcsh', /'tcsh' is invalid for argument 'shell'\. want "bash" or "zsh" or "fish"/]],
};

function cniInput(): (readonly [string, RegExp])[] {
  const netns = '--netns /run/netns/none ';
  const of = (conf: string) => `${netns}--conf ${conf}`;
  return [
    [of('SCRATCH/none'), /SCRATCH\/none/],
    [of('SCRATCH/empty'), /SCRATCH\/empty/],
    [of('SCRATCH/directory'), /SCRATCH\/directory/],
    [of('SCRATCH/empty/below'), /SCRATCH\/empty\/below/],
    [`${of('SCRATCH/net.conflist')} --cache-dir SCRATCH/empty`, /SCRATCH\/empty: it is not a directory/],
    [`${of('SCRATCH/net.conflist')} --cache-dir SCRATCH/empty/x`, /SCRATCH\/empty\/x: part of its path/],
  ];
}

describe.skipIf(!isRoot)('what the command itself refuses', () => {
  test('every command is in the table', () => {
    expect(Object.keys(WRONG_INPUT).toSorted()).toEqual([...verbs.keys()].toSorted());
  });

  for (const [path, cases] of Object.entries(WRONG_INPUT)) {
    for (const [words, said] of cases) {
      test(`${path} ${words}`, async () => {
        const hasNetns = verbs.get(path)?.options.some(({ long }) => long === '--netns') ?? false;
        const meant = hasNetns ? words : words.replace(/--netns \S+ /, '');
        const line = [...path.split(' '), ...meant.replaceAll('SCRATCH', scratch).split(' ')].filter(
          (word) => word !== '',
        );
        const outcome = await outcomeOf(line);
        expect(outcome.said.replaceAll(scratch, 'SCRATCH')).toMatch(said);
        expect(outcome.said.replace(/^error: /, '')).not.toMatch(/\bE[A-Z]{4,}\b/);
        expect(outcome.status).toBe(2);
      });
    }
  }
});

describe('a server that is not verified is warned of by whatever asks it', () => {
  const server = (url: string, flag: boolean) => {
    const path = join(scratch, 'unverified');
    writeFileSync(
      path,
      `clusters: [{name: c, cluster: {server: "${url}", insecure-skip-tls-verify: ${flag}}}]\ncontexts: [{name: x, context: {cluster: c}}]\ncurrent-context: x\n`,
    );
    return path;
  };

  test.each([
    ['https://127.0.0.1:1', true, '', true],
    ['https://127.0.0.1:1', true, '--cleanup', true],
    ['https://127.0.0.1:1', true, '--dry-run client', true],
    ['https://127.0.0.1:1', true, 'REPORTS', true],
    ['https://127.0.0.1:1', false, '', false],
    // Without TLS there is no certificate.
    ['http://127.0.0.1:1', true, '--cleanup', false],
  ])('%s, insecure-skip-tls-verify: %p, doctor %s', async (url, flag, words, isWarned) => {
    const config = server(url, flag);
    const more =
      words === 'REPORTS' ? ['--reports', join(scratch, 'nodes')] : words.split(' ').filter(Boolean);
    const { status, said } = await outcomeOf(['doctor', '--kubeconfig', config, ...more]);
    expect(status).toBe(2);
    const warning = `warning: the certificate of ${url} is not verified: insecure-skip-tls-verify is set (context "x" of ${config})\n`;
    if (isWarned) expect(said).toStartWith(warning);
    else expect(said).not.toContain('warning');
  });
});
