/** The layouts of distributions: what a node's report finds there, and what the diagnosis says when something of it is missing. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readConfFiles } from '../src/node/report/conf-files.ts';
import { readPluginFiles } from '../src/node/report/plugin-files.ts';
import { cniDirectories, findRuntime, inspectRuntime } from '../src/node/report/runtime.ts';
import { diagnose } from '../src/path/diagnose/diagnose.ts';
import type { NodeReport } from '../src/path/model/node-report.ts';
import { cniNode } from '../src/path/testing/cni-node.ts';
import { worldOfNode } from '../src/path/testing/small-world.ts';
import type { Exec } from '../src/sys/exec.ts';
import { type Layout, layouts } from './fixtures/distributions/layouts.ts';

const PAGE = readFileSync(join(import.meta.dir, '../docs/any-cluster.md'), 'utf8');
/** The header of a 64-bit ELF file for x86-64 (elf(5)). */
const ELF = Buffer.alloc(64);
ELF.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
ELF.writeUInt16LE(62, 18);

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'hostport-distribution-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** Puts the layout's files below the test's directory. */
function lay({ files, confDir, file, list }: Layout): void {
  const all = { ...files, [`${confDir}/${file}`]: { text: JSON.stringify(list) } };
  for (const [path, entry] of Object.entries(all)) {
    const at = join(root, path);
    mkdirSync(dirname(at), { recursive: true });
    if ('text' in entry) writeFileSync(at, entry.text);
    else if ('link' in entry) symlinkSync(entry.link, at);
    else writeFileSync(at, ELF, { mode: 0o755 });
  }
}

/** A runtime that reports the layout's configuration. */
function runtimeOf({ runtime, confDir, binDirs, toml, list }: Layout): Parameters<typeof inspectRuntime>[0] {
  const text = JSON.stringify(list);
  const cniconfig = {
    PluginDirs: binDirs,
    PluginConfDir: confDir,
    Networks: [{ Config: { Name: (list as { name: string }).name, Source: text } }],
  };
  const info: Record<string, string> =
    toml === undefined ? { cniconfig: JSON.stringify(cniconfig), lastCNILoadStatus: 'OK' } : { config: toml };
  return {
    version: async () => ({ name: runtime, version: runtime === 'cri-o' ? '1.33.0' : '2.1.4' }),
    verboseStatus: async () => ({
      conditions: [{ type: 'NetworkReady', status: true, reason: '', message: '' }],
      info,
    }),
    listSandboxes: async () => [],
    verboseSandboxStatus: async () => undefined,
  };
}

/** Plugins of these programs speak all versions. */
const speaking: Exec = {
  run: async () => ({
    code: 0,
    stdout: '{"cniVersion":"1.0.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0"]}',
    stderr: '',
  }),
};

/** The report of a node of that layout, as far as it is about the CNI: with the readers of a report, in the directories that the runtime names. */
async function reportOf(layout: Layout): Promise<NodeReport> {
  const runtime = { value: await inspectRuntime(runtimeOf(layout)) };
  const { confDir, binDirs, guessed } = cniDirectories(runtime);
  expect(guessed).toBe(false);
  const files = readConfFiles(join(root, confDir));
  const plugins = await readPluginFiles(
    speaking,
    binDirs.map((directory) => join(root, directory)),
    new Set(['portmap']),
  );
  const onNode = plugins.map((plugin) => ({ ...plugin, directory: plugin.directory.slice(root.length) }));
  const node = cniNode(
    {},
    { cni: { confDir, binDirs, files: { value: files }, plugins: { value: onNode } } },
  );
  return { ...node, runtime };
}

async function verdictsOf(layout: Layout) {
  const { diagnosis } = diagnose(worldOfNode(await reportOf(layout)));
  const [path] = diagnosis.paths;
  return { findings: diagnosis.findings, ...path!.stages };
}

describe.each(layouts.map((layout) => [layout.name, layout] as const))('%s', (name, layout) => {
  test('its runtime is found, and its directories are those that the runtime reports', async () => {
    lay(layout);
    expect(findRuntime((path) => path === layout.socket)).toBe(layout.socket);
    const { cni, runtime } = await reportOf(layout);
    expect({ confDir: cni.confDir, binDirs: cni.binDirs }).toEqual({
      confDir: layout.confDir,
      binDirs: [...layout.binDirs],
    });
    expect('value' in runtime && runtime.value.name).toBe(layout.runtime);
  });

  test('as it is shipped, nothing is wrong with its configuration and its plugins', async () => {
    lay(layout);
    const { findings, configured, installed } = await verdictsOf(layout);
    expect(findings).toEqual([]);
    expect([configured.verdict, installed.verdict]).toEqual(['ok', 'ok']);
    if (layout.mapper !== undefined) expect(configured.reason).toMatch(layout.mapper);
  });

  test('without a plugin, its directory is named, whatever is in others', async () => {
    const [missing] = 'plugins' in layout.list ? ['portmap'] : ['multus-shim'];
    const files = Object.entries(layout.files).filter(([path]) => !path.endsWith(`/${missing}`));
    lay({ ...layout, files: Object.fromEntries(files) });
    // Where another distribution would look.
    mkdirSync(join(root, '/opt/other/bin'), { recursive: true });
    writeFileSync(join(root, `/opt/other/bin/${missing}`), ELF, { mode: 0o755 });
    const { findings } = await verdictsOf(layout);
    expect(findings.map(({ code }) => code)).toEqual(['plugin-missing']);
    expect(findings[0]!.message).toContain(layout.binDirs.join(', '));
  });

  test('has a row in the documentation with these directories', () => {
    const row = PAGE.split('\n').find((line) => line.startsWith(`| ${name} |`));
    for (const directory of [layout.confDir, ...layout.binDirs]) expect(row).toContain(`\`${directory}\``);
  });
});

const chained = layouts
  .filter(({ mapper }) => mapper === undefined)
  .map((layout) => [layout.name, layout] as const);

test.each(chained)('%s with portmap out of its list: the list is named', async (_, layout) => {
  const { plugins } = layout.list as { plugins: { type: string }[] };
  const list = { ...layout.list, plugins: plugins.filter(({ type }) => type !== 'portmap') };
  const bare = { ...layout, list };
  lay(bare);
  const { findings } = await verdictsOf(bare);
  expect(findings.map(({ code }) => code)).toEqual(['portmap-not-chained']);
  expect(findings[0]!.evidence[0]!.where).toBe(`${layout.confDir}/${layout.file}`);
});
