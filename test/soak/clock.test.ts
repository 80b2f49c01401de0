import { afterAll, expect, test } from 'bun:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { COMPILE_MS } from '../compile-native.ts';
import { JumpingClock } from './clock.ts';

const scratch = mkdtempSync(join(tmpdir(), 'hostport-clock-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const HOUR = 3600;

test(
  'a process that has it sees the time of day jump while it runs, and no other clock',
  async () => {
    const directory = join(scratch, 'clock');
    const clock = await JumpingClock.make(directory, directory);
    const script = `for await (const line of console) {
      const began = performance.now();
      await Bun.sleep(50);
      const passed = performance.now() - began;
      console.log(JSON.stringify([Date.now(), new Date().getTime(), passed]));
    }`;
    const child = Bun.spawn([process.execPath, '-e', script], {
      env: { PATH: process.env.PATH ?? '', LD_PRELOAD: join(directory, 'clock.so') },
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    });
    const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    for (const hours of [0, 5, -5, 1]) {
      clock.set(hours * HOUR);
      child.stdin.write('\n');
      child.stdin.flush();
      const [now, date, passed] = JSON.parse((await lines.read()).value!) as [number, number, number];
      const wanted = Date.now() + hours * HOUR * 1000;
      for (const seen of [now, date]) expect(Math.abs(seen - wanted)).toBeLessThan(60_000);
      expect(passed).toBeGreaterThanOrEqual(49);
      expect(passed).toBeLessThan(60_000);
    }
    await child.stdin.end();
    expect(await child.exited).toBe(0);
    clock.close();
  },
  COMPILE_MS,
);
