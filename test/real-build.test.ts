/** What `make real` builds with and from, with a fake Go. */
import { afterAll, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureGo, goWanted } from '../scripts/real/go.ts';
import { readSource } from '../scripts/real/kubernetes.ts';
import { PROGRAMS } from '../src/lab/engine/kubernetes/release.ts';
import { type Exec, ExecError } from '../src/sys/exec.ts';

const root = mkdtempSync(join(tmpdir(), 'hostport-real-'));
afterAll(() => rmSync(root, { recursive: true }));
const SOURCE = join(import.meta.dir, '../real/kubernetes');
const WANTED = { least: '1.26.0', toolchain: '1.26.8' };

let caches = 0;
/** A machine with Go of these versions, by where it is; `installs` is the one that its distribution has. */
function machine(versions: Record<string, string>, installs?: string) {
  const ran: string[] = [];
  const exec: Exec = {
    async run(argv, options) {
      const [program, ...words] = argv;
      if (program === 'apt-get') {
        ran.push(argv.slice(0, 2).join(' '));
        if (words[0] === 'install') versions.go = installs!;
        return { code: 0, stdout: '', stderr: '' };
      }
      const version = versions[program!];
      if (version === undefined)
        throw new ExecError(argv, { code: 127, stdout: '', stderr: '' }, 'could not start');
      if (words[0] === 'env') return { code: 0, stdout: `${version}\n`, stderr: '' };
      ran.push(`${program} ${words.slice(0, 2).join(' ')}`);
      const directory = join(options!.env!.GOMODCACHE!, 'toolchain');
      for (const [path, content] of Object.entries({ 'bin/go': 'go', 'pkg/tool/linux_amd64/link': 'link' })) {
        mkdirSync(join(directory, path, '..'), { recursive: true });
        writeFileSync(join(directory, path), content, { mode: 0o444 });
      }
      for (const nested of ['src', 'src/cmd']) {
        mkdirSync(join(directory, nested), { recursive: true });
        writeFileSync(join(directory, nested, '_go.mod'), 'module');
      }
      return { code: 0, stdout: JSON.stringify({ Dir: directory }), stderr: '' };
    },
  };
  const cache = join(root, String(caches++));
  const context = {
    exec,
    cache,
    canInstall: installs !== undefined,
    progress: { step: <T>(_: string, work: () => Promise<T>) => work(), note: () => {} },
    signal: new AbortController().signal,
  };
  return { ran, cache, ensure: () => ensureGo(WANTED, context) };
}

describe('the Go to build with', () => {
  test.each([
    [{ go: 'go1.26.0' }, 'go'],
    [{ go: 'go1.27' }, 'go'],
    [{ go: 'go1.19.8', '/usr/local/go/bin/go': 'go1.26.3' }, '/usr/local/go/bin/go'],
    [{ go: 'go1.27.1-X:nodwarf5', '/usr/local/go/bin/go': 'go1.26.3' }, 'go'],
  ] as [Record<string, string>, string][])(
    'of %p it is %s, and nothing is downloaded',
    async (versions, path) => {
      const { ensure, ran } = machine(versions);
      expect(await ensure()).toBe(path);
      expect(ran).toEqual([]);
    },
  );

  test('is downloaded by an older one, made executable, and kept', async () => {
    const { ensure, ran, cache } = machine({ go: 'go1.19.8' });
    const go = await ensure();
    expect(go).toBe(join(cache, 'go1.26.8/bin/go'));
    const kept = join(cache, 'go1.26.8');
    for (const path of ['bin/go', 'pkg/tool/linux_amd64/link']) {
      expect(statSync(join(kept, path)).mode & 0o111).toBe(0o111);
    }
    for (const path of ['src/go.mod', 'src/cmd/go.mod'])
      expect(readFileSync(join(kept, path), 'utf8')).toBe('module');
    expect(readdirSync(cache)).toEqual(['go1.26.8']);
    expect(await ensure()).toBe(go);
    expect(ran).toEqual(['go mod download']);
  });

  test("is downloaded by the distribution's where there was none", async () => {
    const { ensure, ran, cache } = machine({}, 'go1.19.8');
    expect(await ensure()).toBe(join(cache, 'go1.26.8/bin/go'));
    expect(ran).toEqual(['apt-get update', 'apt-get install', 'go mod download']);
  });

  test('is asked for where nothing can be installed', async () => {
    await expect(machine({}).ensure()).rejects.toThrow(
      'cannot build: there is no Go; install it (Debian: apt-get install golang-go), then run this again',
    );
  });
});

describe('what is built', () => {
  test('is a release that the lab can run, with a Go that it names', async () => {
    const { version, goMod } = await readSource(SOURCE);
    expect(Number(version.split('.')[1])).toBeWithin(33, 38);
    expect(goWanted(goMod).toolchain.split('.').slice(0, 2)).toEqual(
      goWanted(goMod).least.split('.').slice(0, 2),
    );
  });

  test('has a command for every program that a node runs', () => {
    const text = readFileSync(join(SOURCE, 'cmd/kube/main.go'), 'utf8');
    for (const name of PROGRAMS) expect(text).toContain(`case "${name}":`);
  });

  test('has another identity when its source changes', async () => {
    const copy = join(root, 'source');
    mkdirSync(join(copy, 'cmd/kube'), { recursive: true });
    for (const name of ['go.mod', 'go.sum', 'cmd/kube/main.go']) {
      writeFileSync(join(copy, name), readFileSync(join(SOURCE, name)));
    }
    const { digest } = await readSource(SOURCE);
    expect((await readSource(copy)).digest).toBe(digest);
    writeFileSync(join(copy, 'go.sum'), '');
    expect((await readSource(copy)).digest).not.toBe(digest);
  });
});
