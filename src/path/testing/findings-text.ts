import { describe, expect, test } from 'bun:test';
import type { HealStep } from '../model/action.ts';
import type { Subject } from '../model/finding.ts';
import { formatPort } from '../model/host-ports.ts';
import { textOf } from '../model/message.ts';
import type { World } from '../model/world.ts';
import type { Heal } from '../stages/failure.ts';
import { catalogue } from '../stages/index.ts';
import { podName } from '../view/pod-name.ts';
import { Scene } from '../view/scene.ts';

/**
 * All that one failure says of a world, muted or not, a line each: of every case its severity, subject and message; then a remedy of its own, its
 * evidence, and how it is fixed.
 */
export function findingsText(code: string, world: World): string[] {
  const failure = catalogue.find((entry) => entry.code === code)!;
  const scene = new Scene(world);
  return failure.detect(scene).flatMap((detection) => {
    const { severity = failure.severity, subject, message, remedy, evidence } = detection;
    return [
      `${severity} ${inWords(subject)}: ${textOf(message)}`,
      ...(remedy === undefined ? [] : [`remedy: ${remedy}`]),
      ...evidence.map(({ kind, where, saw }) => `${kind} | ${where} | ${saw}`),
      ...healLines(failure.heal(detection, scene)),
    ];
  });
}

/** Tests that a failure says these lines, and no others, of each of these worlds. */
export function testFindings(code: string, cases: readonly (readonly [string, World, readonly string[]])[]) {
  describe(code, () => {
    test.each([...cases])('%s', (_, world, lines) => {
      expect(findingsText(code, world)).toEqual([...lines]);
    });
  });
}

function inWords({ node, pod, port, family }: Subject): string {
  return [
    ...(node === undefined ? [] : [node]),
    ...(pod === undefined ? [] : [podName(pod)]),
    ...(port === undefined ? [] : [formatPort(port)]),
    ...(family === undefined ? [] : [family]),
  ].join(' ');
}

function healLines(heal: Heal): string[] {
  const steps = heal.by === 'hand' ? [] : heal.steps.map(stepLine);
  return heal.by === 'steps' ? steps : [`by ${heal.by}: ${heal.why}`, ...steps];
}

function stepLine(step: HealStep): string {
  const where = step.on === 'node' ? step.node : 'cluster';
  const { do: verb, ...what } = step.action;
  const shown = 'content' in what ? { ...what, content: JSON.parse(what.content) } : what;
  return `${verb} on ${where}, to ${step.why}: ${JSON.stringify(shown)}`;
}
