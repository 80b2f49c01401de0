import { expect, test } from 'bun:test';
import type { ContainerConfig, SandboxConfig } from './messages.ts';
import { type Runtime, RuntimeError, type RuntimeEvent } from './runtime.ts';

/** What a kubelet relies on in a runtime: one suite for the real one and for the fake. `ready` has a network and `image`. */
export function runtimeSuite(ready: () => { runtime: Runtime; image: string; directory: string }): void {
  const sandboxOf = (uid: string, attempt = 0): SandboxConfig => ({
    metadata: { name: 'p', namespace: 'n', uid, attempt },
    hostname: 'p',
    logDirectory: `${ready().directory}/logs/${uid}`,
    labels: { 'io.kubernetes.pod.uid': uid, app: 'x' },
    annotations: { note: uid },
    linux: {},
  });
  const containerOf = (command: string[], attempt = 0): ContainerConfig => ({
    metadata: { name: 'main', attempt },
    image: { image: ready().image },
    command,
    labels: { 'io.kubernetes.container.name': 'main', 'io.kubernetes.pod.uid': 'u' },
    annotations: { restarts: String(attempt) },
    logPath: `main-${attempt}.log`,
    linux: {},
  });
  const clean = async (runtime: Runtime) => {
    for (const { id } of await runtime.listSandboxes()) await runtime.removeSandbox(id);
    expect(await runtime.listSandboxes()).toEqual([]);
    expect(await runtime.listContainers()).toEqual([]);
  };

  test('says what it is and whether it is ready', async () => {
    const { runtime } = ready();
    expect((await runtime.version()).name).not.toBe('');
    const conditions = await runtime.conditions();
    expect(
      conditions
        .filter(({ status }) => status)
        .map(({ type }) => type)
        .sort(),
    ).toEqual(['NetworkReady', 'RuntimeReady']);
  });

  test('a sandbox from its making to its end, twice', async () => {
    const { runtime } = ready();
    const config = sandboxOf('u');
    const id = await runtime.runSandbox(config);
    const status = await runtime.sandboxStatus(id);
    expect(status).toMatchObject({
      id,
      metadata: config.metadata,
      state: 'ready',
      labels: { app: 'x' },
      annotations: { note: 'u' },
    });
    expect(status?.network?.ip).toMatch(/^10\./);
    expect((await runtime.listSandboxes({ app: 'x' })).map((found) => found.id)).toEqual([id]);
    expect(await runtime.listSandboxes({ app: 'y' })).toEqual([]);
    expect(await runtime.runSandbox(config).catch((error) => error)).toMatchObject({
      code: 'Unknown',
      details: expect.stringContaining('is reserved for'),
    });
    for (let time = 0; time < 2; time++) {
      await runtime.stopSandbox(id);
      expect((await runtime.sandboxStatus(id))?.state).toBe('not-ready');
    }
    for (let time = 0; time < 2; time++) {
      await runtime.removeSandbox(id);
      expect(await runtime.sandboxStatus(id)).toBeUndefined();
    }
    await clean(runtime);
  });

  test('a container from its making to its end', async () => {
    const { runtime } = ready();
    const sandbox = sandboxOf('u');
    const sandboxId = await runtime.runSandbox(sandbox);
    const id = await runtime.createContainer(sandboxId, containerOf(['sleep', '1000']), sandbox);
    expect(await runtime.containerStatus(id)).toMatchObject({
      id,
      state: 'created',
      metadata: { name: 'main', attempt: 0 },
      annotations: { restarts: '0' },
    });
    await runtime.startContainer(id);
    expect(await runtime.listContainers({ 'io.kubernetes.pod.uid': 'u' })).toMatchObject([
      { id, podSandboxId: sandboxId, state: 'running' },
    ]);
    expect((await runtime.execSync(id, ['true'], 5)).exitCode).toBe(0);
    for (let time = 0; time < 2; time++) {
      await runtime.stopContainer(id, 0);
      const ended = await runtime.containerStatus(id);
      expect(ended).toMatchObject({ state: 'exited', exitCode: expect.any(Number), reason: 'Error' });
      expect(ended!.finishedAt).toBeGreaterThanOrEqual(ended!.startedAt);
    }
    expect(await runtime.execSync(id, ['true'], 5).catch((error) => error)).toBeInstanceOf(RuntimeError);
    // A second run of the same container lives beside the first.
    const second = await runtime.createContainer(sandboxId, containerOf(['sleep', '1000'], 1), sandbox);
    expect(second).not.toBe(id);
    for (let time = 0; time < 2; time++) await runtime.removeContainer(id);
    expect(await runtime.containerStatus(id)).toBeUndefined();
    await runtime.startContainer(second);
    await clean(runtime);
  });

  test('reports ends of containers', async () => {
    const { runtime } = ready();
    const stop = new AbortController();
    const seen: RuntimeEvent[] = [];
    const opened = Promise.withResolvers<void>();
    const following = (async () => {
      for await (const event of runtime.events(stop.signal, opened.resolve)) {
        seen.push(event);
        if (event.kind === 'exited') return;
      }
    })();
    await opened.promise;
    const sandbox = sandboxOf('u');
    const sandboxId = await runtime.runSandbox(sandbox);
    const id = await runtime.createContainer(sandboxId, containerOf(['sleep', '1000']), sandbox);
    await runtime.startContainer(id);
    await runtime.execSync(id, ['true'], 5);
    await runtime.stopContainer(id, 0);
    await following;
    stop.abort();
    // The end of a process that was only exec'd is not reported as the end of its container.
    expect(seen.filter(({ containerId }) => containerId === id)).toEqual([
      { containerId: id, kind: 'started' },
      { containerId: id, kind: 'exited' },
    ]);
    await clean(runtime);
  });

  test('knows its images, and refuses what is nowhere', async () => {
    const { runtime, image } = ready();
    expect(await runtime.imageStatus(image)).toMatchObject({ id: expect.stringContaining('sha256:') });
    expect(await runtime.imageStatus('registry.test/none:1')).toBeUndefined();
    const error = await runtime.pullImage('registry.test/none:1').catch((thrown) => thrown);
    expect(error).toBeInstanceOf(RuntimeError);
    expect(error.message).toStartWith('rpc error: code = ');
    expect(error.details).toContain('registry.test/none:1');
  });

  test('a question about a missing object is NotFound, stopping or removing one succeeds', async () => {
    const { runtime } = ready();
    const none = 'f'.repeat(64);
    expect(await runtime.containerStatus(none)).toBeUndefined();
    expect(await runtime.sandboxStatus(none)).toBeUndefined();
    expect(await runtime.startContainer(none).catch((error) => error)).toMatchObject({ code: 'NotFound' });
    await runtime.stopContainer(none, 0);
    await runtime.removeContainer(none);
    await runtime.stopSandbox(none);
    await runtime.removeSandbox(none);
  });
}
