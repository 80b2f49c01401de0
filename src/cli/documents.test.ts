import { expect, spyOn, test } from 'bun:test';
import { parse } from 'yaml';
import { cniVersions } from '../cni/version.ts';
import { faultOf } from '../lab/faults/index.ts';
import { catalogue } from '../path/stages/index.ts';
import { VERSION } from '../util/version.ts';
import { commandLine } from './command-line.ts';

/** What a command prints on standard output, in this process. */
async function printed(name: string, ...words: string[]): Promise<string> {
  let said = '';
  const stream = spyOn(process.stdout, 'write').mockImplementation((text) => {
    said += String(text);
    return true;
  });
  try {
    expect(await commandLine(name, words)).toBe(0);
    return said;
  } finally {
    stream.mockRestore();
  }
}

test.each(['hostport', 'kind'])('%s version -o json: the program by its own name', async (name) => {
  expect(JSON.parse(await printed(name, 'version', '-o', 'json'))).toEqual({
    program: 'hostport',
    version: VERSION,
    platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
    runtime: { name: 'bun', version: Bun.version, revision: Bun.revision },
    plugins: ['portmap', 'loopback'].map((name) => ({ name, version: VERSION, cniVersions })),
  });
});

test('doctor --explain: the same document as JSON and YAML, with all that the catalogue says', async () => {
  for (const { code, ...failure } of catalogue) {
    const document = JSON.parse(await printed('hostport', 'doctor', '--explain', code, '-o', 'json'));
    const { stage, severity, title, explanation, remedy, restart, restartReason, sources } = failure;
    expect(document).toEqual({
      apiVersion: 'hostport/v1',
      kind: 'Failure',
      code,
      ...{ stage, severity, title, explanation, remedy, restart, sources },
      ...(restartReason !== undefined && { restartReason }),
      does: faultOf({ code }).does,
      documentation: `docs/failures/${code}.md`,
    });
    expect(parse(await printed('hostport', 'doctor', '--explain', code, '-o', 'yaml'))).toEqual(document);
  }
});

test('doctor --explain in text names what the document has', async () => {
  const text = await printed('hostport', 'doctor', '--explain', 'portmap-not-chained');
  expect(text).toStartWith('portmap-not-chained: ');
  expect(text).toContain('\nto see   hostport break portmap-not-chained: ');
  expect(text).toContain('\ncheck    ls /etc/cni/net.d\n');
  // Nothing that is not installed with the program.
  expect(text).not.toContain('docs/');
});
