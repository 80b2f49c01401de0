/** What `make real` builds with and from, with a fake Go. */
import { afterAll, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { ciliumParts } from '../scripts/real/cilium.ts';
import { ciliumImages } from '../scripts/real/cilium-images.ts';
import { debianRoot } from '../scripts/real/debian.ts';
import { ensureGo, goWanted } from '../scripts/real/go.ts';
import { readGoModule } from '../scripts/real/go-module.ts';
import { type GoProgram, goProgram } from '../scripts/real/go-program.ts';
import { buildPart, builtPart, type Part } from '../scripts/real/part.ts';
import { realPart, realParts } from '../scripts/real/parts.ts';
import type { Progress } from '../src/lab/cluster/progress.ts';
import { PROGRAMS } from '../src/lab/engine/kubernetes/release.ts';
import { describeArchive } from '../src/lab/images/archive.ts';
import { type Exec, ExecError } from '../src/sys/exec.ts';

const root = mkdtempSync(join(tmpdir(), 'hostport-real-'));
afterAll(() => rmSync(root, { recursive: true }));
const progress: Progress = { step: (_, work) => work(() => {}), note: () => {} };
const MODULES = join(import.meta.dir, '../real');
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
    progress,
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

describe('the parts', () => {
  test('have names of their own, and each file one part that puts it there', async () => {
    const parts = await realParts();
    const names = parts.map(({ name }) => name);
    expect(names).toEqual([...new Set(names)]);
    const files = parts.flatMap(({ directory, files }) => files.map((file) => join(directory, file)));
    expect(files).toEqual([...new Set(files)]);
  });

  test('name a Go of which each release is a module', () => {
    for (const name of readdirSync(MODULES)) {
      const goMod = readFileSync(join(MODULES, name, 'go.mod'), 'utf8');
      const { toolchain, least } = goWanted(goMod);
      expect(toolchain.split('.').slice(0, 2)).toEqual(least.split('.').slice(0, 2));
    }
  });

  test('are of Kubernetes a release that the lab can run, and all programs that a node runs', async () => {
    const { version, files } = await realPart('kubernetes');
    expect(Number(version.split('.')[1])).toBeWithin(33, 38);
    const text = readFileSync(join(MODULES, 'kubernetes/cmd/kube/main.go'), 'utf8');
    for (const name of PROGRAMS) {
      expect(files).toContain(name);
      expect(text).toContain(`case "${name}":`);
    }
  });

  test('are refused by a name that none has', async () => {
    await expect(realPart('heml')).rejects.toThrow(
      'cannot build heml: no such part; there are kubernetes, containerd, ',
    );
  });
});

describe('a part that is a program', () => {
  /** A Go that writes the file it is asked for, or fails. */
  function builder(ends: () => void = () => {}) {
    const ran: string[] = [];
    const exec: Exec = {
      async run(argv) {
        ran.push(argv.slice(1).join(' '));
        const output = argv.indexOf('-o');
        if (output > 0) {
          ends();
          writeFileSync(argv[output + 1]!, 'program', { mode: 0o755 });
        }
        return { code: 0, stdout: '', stderr: '' };
      },
    };
    return { ran, context: { exec, progress, signal: new AbortController().signal, go: async () => 'go' } };
  }

  const module = join(root, 'module');
  async function part(linker: string[], cache: string): Promise<Part> {
    mkdirSync(join(module, 'stub'), { recursive: true });
    writeFileSync(join(module, 'go.mod'), 'module x\n\ngo 1.26.0\n\nrequire example.org/tool v1.2.3\n');
    const program: GoProgram = {
      name: 'tool',
      module: await readGoModule(module, 'example.org/tool'),
      family: 'tools',
      package: 'example.org/tool/cmd',
      names: ['tool', 'tool-too'],
      before: [['its library', 'example.org/tool/library']],
      command: ['build', '-tags', 'osusergo'],
      linker,
      cost: 'a second',
    };
    return goProgram(program, join(root, cache));
  }

  test('is built step by step under all its names, and is there afterwards', async () => {
    const { ran, context } = builder();
    const tool = await part(['-s', '-w'], 'built');
    expect(await builtPart(tool)).toBeUndefined();
    const { bytes } = await buildPart(tool, context);
    expect(bytes).toBe(7);
    expect(tool.directory).toBe(join(root, 'built/tools/v1.2.3'));
    expect(ran).toEqual([
      'mod download',
      'build -tags osusergo example.org/tool/library',
      `build -tags osusergo -ldflags -s -w -o ${join(tool.directory, '.tool.new')} example.org/tool/cmd`,
    ]);
    expect(readdirSync(tool.directory).sort()).toEqual(['.tool.json', 'tool', 'tool-too']);
    expect(await builtPart(tool)).toMatchObject({ digest: tool.digest, bytes: 7 });
  });

  test('has to be built again when a flag, its module or one of its files is another', async () => {
    const { context } = builder();
    const tool = await part(['-s'], 'changed');
    await buildPart(tool, context);
    expect(await builtPart(await part(['-w'], 'changed'))).toBeUndefined();
    writeFileSync(join(module, 'stub/stub.go'), 'package stub');
    expect(await builtPart(await part(['-s'], 'changed'))).toBeUndefined();
    rmSync(join(module, 'stub/stub.go'));
    expect(await builtPart(await part(['-s'], 'changed'))).toBeDefined();
    rmSync(join(tool.directory, 'tool-too'));
    expect(await builtPart(tool)).toBeUndefined();
  });

  test('stays unbuilt when its build is interrupted, also after an earlier one', async () => {
    const tool = await part([], 'interrupted');
    await buildPart(tool, builder().context);
    const { context } = builder(() => {
      throw new Error('interrupted');
    });
    await expect(buildPart(tool, context)).rejects.toThrow('interrupted');
    expect(await builtPart(tool)).toBeUndefined();
    await buildPart(tool, builder().context);
    expect(await builtPart(tool)).toBeDefined();
  });
});

test("Cilium's sources and chart are copied out of Go's cache, whose copy nobody can write to", async () => {
  const source = join(root, 'cilium-module');
  for (const path of [
    'bpf/lib/x.h',
    'install/kubernetes/cilium/Chart.yaml',
    'images/a',
    'plugins/cilium-cni/b',
    'pkg/k8s/apis/cilium.io/client/crds/v2/x.yaml',
  ]) {
    mkdirSync(join(source, path, '..'), { recursive: true });
    writeFileSync(join(source, path), path, { mode: 0o444 });
    chmodSync(join(source, path, '..'), 0o555);
  }
  const exec: Exec = {
    run: async () => ({ code: 0, stdout: JSON.stringify({ Dir: source }), stderr: '' }),
  };
  const part = (await ciliumParts(MODULES, join(root, 'sources'))).find(
    ({ name }) => name === 'cilium-sources',
  )!;
  for (const _ of ['first', 'again']) {
    await buildPart(part, { exec, progress, signal: new AbortController().signal, go: async () => 'go' });
    expect(readFileSync(join(part.directory, 'sources/chart/Chart.yaml'), 'utf8')).toBe(
      'install/kubernetes/cilium/Chart.yaml',
    );
    expect(statSync(join(part.directory, 'sources/bpf/lib')).mode & 0o777).toBe(0o755);
  }
});

test("Cilium's images are those that its chart names, with one root for what Debian has in two places", async () => {
  const cache = join(root, 'images');
  const cilium = await ciliumParts(MODULES, cache);
  const directory = join(cache, 'tools');
  const tools: Part = { ...cilium[0]!, name: 'cilium-tools', directory, digest: 'tools', files: ['root'] };
  const put = (path: string, content: string) => {
    mkdirSync(join(path, '..'), { recursive: true });
    writeFileSync(path, content, { mode: 0o755 });
  };
  for (const path of [
    'bin/bash',
    'usr/bin/env',
    'usr/sbin/xtables-nft-multi',
    'usr/share/doc/bash/README',
    'sbin/ip',
  ]) {
    put(join(directory, 'root', path), path);
  }
  symlinkSync('../sbin/ip', join(directory, 'root/usr/bin/ip'));
  for (const { name, directory: at } of cilium) put(join(at, name), name);
  const sources = join(cilium[0]!.directory, 'sources');
  for (const path of [
    'images/cilium/init-container.sh',
    'cilium-cni/install-plugin.sh',
    'cilium-cni/cni-uninstall.sh',
    'bpf/bpf_lxc.c',
  ]) {
    put(join(sources, path), path);
  }
  const part = ciliumImages([...cilium, tools]);
  const signal = new AbortController().signal;
  const exec: Exec = { run: () => Promise.reject(new Error('nothing is run')) };
  await buildPart(part, { exec, progress, signal, go: async () => 'go' });
  const archive = await describeArchive(join(part.directory, 'images.tar'));
  expect(archive.images.flatMap(({ references }) => references)).toEqual([
    `quay.io/cilium/cilium:${part.version}`,
    `quay.io/cilium/operator-generic:${part.version}`,
  ]);
  expect(archive.images.map(({ layers }) => layers)).toEqual([2, 1]);
  expect(ciliumImages([...cilium, { ...tools, digest: 'other' }]).digest).not.toBe(part.digest);
});

test('a root of Debian packages has what was downloaded for it, and nothing of a run that was interrupted', async () => {
  const ran: string[] = [];
  const exec: Exec = {
    async run([program, ...words], options) {
      ran.push([program, ...words.filter((word) => !word.startsWith('/'))].join(' '));
      if (words.includes('-s')) {
        return {
          code: 0,
          stdout: 'Inst libc6 (2.36 Debian)\nInst dash (0.5)\nConf dash (0.5)\n',
          stderr: '',
        };
      }
      if (words[0] === 'download') {
        for (const name of words.slice(2)) writeFileSync(join(options!.cwd!, `${name}_1.deb`), name);
      } else writeFileSync(join(words[2]!, basename(words[1]!)), '');
      return { code: 0, stdout: '', stderr: '' };
    },
  };
  const packages = {
    name: 'tools',
    of: 'a test',
    withDependencies: ['dash'],
    alone: ['clang'],
    cost: 'nothing',
  };
  const part = await debianRoot(packages, join(root, 'debian'));
  const archives = join(part.directory, 'archives');
  mkdirSync(archives, { recursive: true });
  writeFileSync(join(archives, 'dash_0.deb'), 'older');
  await buildPart(part, { exec, progress, signal: new AbortController().signal, go: async () => 'go' });
  expect(ran[1]).toBe('apt-get download -qq libc6 dash clang');
  expect(readdirSync(join(part.directory, 'root')).sort()).toEqual([
    'clang_1.deb',
    'dash_1.deb',
    'libc6_1.deb',
  ]);
  expect(readdirSync(part.directory).sort()).toEqual(['.tools.json', 'root']);
});
