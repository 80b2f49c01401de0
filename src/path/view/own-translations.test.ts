import { describe, expect, test } from 'bun:test';
import { mapped, POD } from '../testing/mapped-node.ts';
import { firstOwnTranslation, ownTranslations, takesOwn } from './own-translations.ts';
import { Scene } from './scene.ts';

/** The mappings of a pod with these ports, whose chain has a rule for each of `ruled`. */
function portsOf(ports: readonly number[], ruled: readonly number[] = ports) {
  const rule = (port: number) =>
    `-A CNI-DN-a -p tcp -m tcp --dport ${port} -j DNAT --to-destination ${POD.ipv4}:8080`;
  const { scene } = mapped({
    own: ruled.map(rule),
    pod: ({ spec }) => {
      spec!.containers[0]!.ports = ports.map((hostPort) => ({ hostPort, containerPort: 8080 }));
    },
  });
  return { scene: new Scene(scene.world) };
}

describe('the own translations of a pod with many ports', () => {
  const many = Array.from({ length: 200 }, (_, i) => 1000 + i);
  const { scene } = portsOf(many);

  test('are for a mapping those of its port alone', () => {
    // All of them for each would be as many as the square of the ports.
    const found = scene.paths.map((path) => ownTranslations(path));
    expect(found.map((own) => own.length)).toEqual(many.map(() => 1));
    for (const [i, [own]] of found.entries()) expect(own!.rule.text).toContain(`--dport ${many[i]} `);
    expect(scene.paths.every((path) => takesOwn(path, scene))).toBe(true);
  });

  test('are read once for all of its mappings', () => {
    expect(new Set(scene.paths.map(firstOwnTranslation)).size).toBe(1);
    expect(firstOwnTranslation(scene.paths[0]!)?.rule.text).toContain('--dport 1000 ');
  });
});

test('a port without a rule of its own is taken by none, and the first of the others is known', () => {
  const { scene } = portsOf([80], [81]);
  const [path] = scene.paths;
  expect(takesOwn(path!, scene)).toBe(false);
  expect(ownTranslations(path!).filter(({ rule }) => rule.text.includes('--dport 80 '))).toEqual([]);
  expect(firstOwnTranslation(path!)?.rule.text).toContain('--dport 81 ');
});

test('of a pod without a sandbox there are none', () => {
  const { scene } = mapped({
    report: (report) => {
      report.sandboxes = { value: [] };
    },
  });
  const [path] = scene.paths;
  expect([firstOwnTranslation(path!), ownTranslations(path!), takesOwn(path!, scene)]).toEqual([
    undefined,
    [],
    false,
  ]);
});
