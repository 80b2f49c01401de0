import type { Runtime } from '../../cri/runtime.ts';
import type { Container, LifecycleHandler } from '../../kube/types.ts';
import type { Clock } from '../../sys/clock.ts';
import { messageOf } from '../../util/errors.ts';
import { httpUrl, portNumber, tcpProbe } from './probes.ts';

/**
 * Runs a postStart or preStop hook once. Resolves with what went wrong, or undefined when nothing did.
 * https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/
 */
export async function runHook(
  handler: LifecycleHandler & { sleep?: { seconds: number } },
  target: { container: Container; containerId: string; podIp: string },
  runtime: Runtime,
  clock: Clock,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    if (handler.exec !== undefined) {
      const command = handler.exec.command ?? [];
      const result = await runtime.execSync(target.containerId, command, 0);
      if (result.exitCode === 0) return undefined;
      const said = (result.stdout + result.stderr).trim();
      return `Exec lifecycle hook ([${command.join(' ')}]) for Container "${target.container.name}" failed - error: command '${command.join(' ')}' exited with ${result.exitCode}: ${said}, message: ${JSON.stringify(said)}`;
    }
    if (handler.httpGet !== undefined) {
      const { httpHeaders = [] } = handler.httpGet;
      const response = await fetch(httpUrl(handler.httpGet, target), {
        headers: httpHeaders.map(({ name, value }): [string, string] => [name, value]),
        signal,
        // A pod must not send its kubelet elsewhere.
        redirect: 'manual',
        tls: { rejectUnauthorized: false },
        // As for probes.
        proxy: false,
      } as RequestInit);
      await response.body?.cancel();
      return undefined;
    }
    if (handler.tcpSocket !== undefined) {
      const { host, port } = handler.tcpSocket;
      const { outcome, message } = await tcpProbe(
        host ?? target.podIp,
        portNumber(port, target.container),
        10_000,
      );
      return outcome === 'success' ? undefined : message;
    }
    if (handler.sleep !== undefined) await clock.sleep(handler.sleep.seconds * 1000, signal);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
