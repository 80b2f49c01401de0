/**
 * How large the report page of a large cluster is, and how it opens in Chromium: `bun bench/report-page.bench.ts [NODES] [PODS_PER_NODE] [RUNS]`
 * (default 1000, 30 and 5; built beforehand, as root). Prints what `hostport doctor -o html` takes, and the times until the page is drawn, until it
 * is drawn again after a word of a search, and the memory of its script.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noBrowser, TestBrowser } from '../test/page/browser.ts';
import { writeLargeCluster } from './large-cluster.ts';
import { median } from './statistics.ts';

const program = join(import.meta.dir, '../bin/hostport');
const [nodes, podsPerNode, runs] = [1000, 30, 5].map((value, i) => Number(process.argv[2 + i] ?? value)) as [
  number,
  number,
  number,
];

const scratch = mkdtempSync(join(tmpdir(), 'hostport-bench-'));
try {
  const directory = join(scratch, 'bundle');
  writeLargeCluster(directory, { nodes, podsPerNode, brokenEvery: 20 }, { probed: true });
  const html = writePage(directory);
  if (noBrowser === undefined) await openPage(html);
  else console.log(`not opened: ${noBrowser}`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function writePage(directory: string): string {
  const begin = performance.now();
  const result = Bun.spawnSync([program, 'doctor', '--from', directory, '-o', 'html'], {
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const seconds = (performance.now() - begin) / 1000;
  if (result.exitCode !== 1)
    throw new Error(`doctor: exit ${result.exitCode}, want 1: some nodes are broken`);
  const { userCPUTime = 0, systemCPUTime = 0 } = cpuOf(result.resourceUsage);
  const peak = (result.resourceUsage?.maxRSS ?? 0) / 1e6;
  console.log(
    `doctor -o html: ${seconds.toFixed(1)} s, ${(userCPUTime + systemCPUTime).toFixed(1)} s of the processor, peak ${peak.toFixed(0)} MB`,
  );
  const html = result.stdout.toString();
  console.log(
    `page of ${nodes} nodes, ${nodes * podsPerNode} pods: ${(result.stdout.length / 1e6).toFixed(2)} MB, ${(Bun.gzipSync(html).length / 1e6).toFixed(2)} MB compressed`,
  );
  return html;
}

function cpuOf(usage: Bun.ResourceUsage | undefined) {
  return {
    userCPUTime: Number(usage?.cpuTime.user ?? 0) / 1e6,
    systemCPUTime: Number(usage?.cpuTime.system ?? 0) / 1e6,
  };
}

async function openPage(html: string): Promise<void> {
  await using browser = await TestBrowser.start();
  const times: { drawn: number; searched: number; heap: number }[] = [];
  for (let run = 0; run < runs; run++) {
    const { page } = await browser.open(html);
    // Two frames after the first that has everything.
    const frame = () =>
      page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    await frame();
    const drawn = await page.evaluate(() => performance.now());
    const searched = await page.evaluate(async () => {
      const begin = performance.now();
      const input = document.querySelector<HTMLInputElement>('input[type=search]')!;
      input.value = 'node-77';
      input.dispatchEvent(new InputEvent('input', { bubbles: true }));
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      return performance.now() - begin;
    });
    const heap = await page.evaluate(
      () => (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize,
    );
    times.push({ drawn, searched, heap: heap / 1e6 });
    await page.close();
  }
  const of = (key: keyof (typeof times)[number]) => {
    const values = times.map((time) => time[key]);
    return `${median(values).toFixed(0)} (least ${Math.min(...values).toFixed(0)})`;
  };
  console.log(
    `opened, median of ${runs}: drawn after ${of('drawn')} ms; a search drawn after ${of('searched')} ms; heap ${of('heap')} MB`,
  );
}
