import { expect, spyOn, test } from 'bun:test';
import { parseAllDocuments } from 'yaml';
import { agentObjects } from '../../agent/manifests.ts';
import { agentImage } from '../../util/images.ts';
import { VERSION } from '../../util/version.ts';
import { hostport } from '../command-line.ts';

/** What `hostport agent install` prints. */
async function printed(...words: string[]): Promise<string> {
  let text = '';
  const stdout = spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    const program = await hostport('hostport', 'agent');
    await program.parseAsync(['agent', 'install', '--dry-run=client', ...words], { from: 'user' });
  } finally {
    stdout.mockRestore();
  }
  return text;
}

const DEFAULTS = {
  mode: 'observe',
  namespace: 'kube-system',
  image: agentImage(),
  imagePullSecrets: [],
  version: VERSION,
  confDir: '/etc/cni/net.d',
  binDirs: ['/opt/cni/bin'],
  metricsPort: 9797,
} as const;

const CASES: [words: string, settings: Parameters<typeof agentObjects>[0]][] = [
  ['', DEFAULTS],
  ['--observe', DEFAULTS],
  ['--heal', { ...DEFAULTS, mode: 'heal' }],
  ['--namespace agents -o yaml', { ...DEFAULTS, namespace: 'agents' }],
  [
    '--image mirror.example/agent:1 --image-pull-secret a --image-pull-secret b',
    { ...DEFAULTS, image: 'mirror.example/agent:1', imagePullSecrets: ['a', 'b'] },
  ],
  ['--api-server [2001:db8::1]:6443', { ...DEFAULTS, apiServer: { host: '2001:db8::1', port: 6443 } }],
  [
    '--cni-conf-dir /a --cni-bin-dir /b --cni-bin-dir /c --metrics-port 9999',
    { ...DEFAULTS, confDir: '/a', binDirs: ['/b', '/c'], metricsPort: 9999 },
  ],
];

test.each(CASES)('agent install --dry-run=client %s', async (words, settings) => {
  const expected: unknown = JSON.parse(JSON.stringify(agentObjects(settings).map(({ object }) => object)));
  const options = words.split(' ').filter(Boolean);
  const documents = parseAllDocuments(await printed(...options)).map((document): unknown => document.toJS());
  expect(documents).toEqual(expected as unknown[]);
  if (options.includes('-o')) return;
  expect(JSON.parse(await printed(...options, '-o', 'json'))).toMatchObject({
    kind: 'List',
    items: expected,
  });
});
