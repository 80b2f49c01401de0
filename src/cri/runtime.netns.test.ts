import { afterAll, beforeAll, describe } from 'bun:test';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connectRuntime } from './client.ts';
import { runtimeSuite } from './runtime.suite.ts';
import { BUSYBOX_IMAGE, startContainerd, type TestContainerd, testConflist } from './testing/containerd.ts';

describe('containerd', () => {
  let containerd: TestContainerd;
  let runtime: ReturnType<typeof connectRuntime>;

  beforeAll(async () => {
    containerd = await startContainerd('runtime');
    await writeFile(join(containerd.cniConf, '10-test.conflist'), testConflist(containerd.directory));
    runtime = connectRuntime(containerd.socket);
    const deadline = Date.now() + 5_000;
    while (!(await runtime.conditions()).every(({ status }) => status)) {
      if (Date.now() > deadline) throw new Error('containerd has not read its network configuration in 5 s');
      await Bun.sleep(10);
    }
  }, 30_000);

  afterAll(async () => {
    runtime?.close();
    await containerd?.stop();
  }, 30_000);

  runtimeSuite(() => ({ runtime, image: BUSYBOX_IMAGE, directory: containerd.directory }));
});
