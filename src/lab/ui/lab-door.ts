import { healAsFar } from '../../agent/heal.ts';
import { type Diagnosed, diagnose } from '../../path/diagnose/diagnose.ts';
import { catalogue } from '../../path/stages/index.ts';
import { podName } from '../../path/view/pod-name.ts';
import type { LabDoor } from '../../ui/lab-door.ts';
import { InputError, messageOf, UserError } from '../../util/errors.ts';
import { requireNodes } from '../cluster/record.ts';
import { labPatient } from '../doctor/patient.ts';
import type { LabPlaces } from '../doctor/places.ts';
import { labClient } from '../doctor/source.ts';
import { tracePort } from '../doctor/trace-port.ts';
import { canInject, faultOf } from '../faults/index.ts';
import { leftLines, notBackText } from '../inject/aftermath.ts';
import { FaultBook, restore } from '../inject/book.ts';
import { breakLab, labAftermath } from '../inject/break.ts';
import { labFaultDoor } from '../inject/lab-door.ts';

/** How long to wait for pods that start once nothing blocks them any more, in milliseconds. */
const SETTLE_MS = 30_000;

/** What the page can do to a cluster of the lab. */
export function labDoor(places: LabPlaces): LabDoor {
  const { record } = places;
  const book = new FaultBook(record);
  return {
    faults: catalogue
      .filter(canInject)
      .map(({ code, stage, title }) => ({ code, stage, title, does: faultOf({ code }).does })),

    async injected() {
      const entries = await book.list();
      return entries.map(({ failure, target }) => ({
        code: failure.code,
        node: target.node,
        pod: podName(target.pod),
      }));
    },

    async break({ code, node }, signal) {
      const failure = catalogue.find((entry) => entry.code === code);
      if (failure === undefined)
        throw new InputError(`cannot break: no failure is called ${JSON.stringify(code)}`);
      requireNodes('inject a failure', record, node === undefined ? [] : [node]);
      const { target, hiddenBy } = await breakLab(
        places,
        failure,
        node === undefined ? {} : { node },
        signal,
      );
      const hidden = hiddenBy.length === 0 ? '' : `; ${hiddenBy.join(', ')} hides it`;
      return `${code} on ${target.node}, for pod ${podName(target.pod)}: ${faultOf(failure).does}${hidden}`;
    },

    async heal({ restart }, signal) {
      const patient = labPatient(places, true, new Date().toISOString());
      const first = diagnose(await patient.observe(signal));
      const done = await healAsFar(patient, first, { restart, signal, settleMs: SETTLE_MS });
      const count = (outcome: string) => done.healed.filter((one) => one.outcome === outcome).length;
      if ('error' in done)
        throw new UserError(
          `cannot heal everything: ${messageOf(done.error)}; ${count('healed')} fixed before`,
        );
      return healedText(count, done.after);
    },

    async undo({ code, node }, signal) {
      requireNodes('undo failures', record, node === undefined ? [] : [node]);
      const faultDoor = labFaultDoor(places, await labClient(record), signal);
      const { undone, failed } = await restore(
        book,
        faultDoor,
        ({ failure, target }) =>
          (code === undefined || failure.code === code) && (node === undefined || target.node === node),
      );
      const why = failed.map(
        ({ entry, cause }) => `${entry.failure.code} on ${entry.target.node}: ${messageOf(cause)}`,
      );
      if (why.length > 0) throw new UserError(`cannot undo ${why.join('; ')}`);
      if (undone.length === 0) return 'nothing to undo';
      const { notBack, left } = await labAftermath(places, undone, signal);
      if (notBack.length > 0)
        throw new UserError(`undone, but not all pods are ready again: ${notBackText(notBack)}`);
      const done = `undone: ${undone.map(({ failure, target }) => `${failure.code} on ${target.node}`).join(', ')}`;
      return [done, ...leftLines(left)].join('; ');
    },

    trace: async ({ node, ...order }, signal) =>
      tracePort(places, await labClient(record), { ...order, place: node }, signal),
  };
}

function healedText(
  count: (outcome: 'healed' | 'failed' | 'left') => number,
  { diagnosis }: Diagnosed,
): string {
  const left = diagnosis.findings.filter(({ severity }) => severity !== 'note').length;
  if (count('healed') + count('failed') + count('left') === 0) return 'nothing to fix';
  const parts = [
    `${count('healed')} fixed`,
    ...(count('failed') > 0 ? [`${count('failed')} not fixed`] : []),
    ...(left > 0 ? [`${left} left`] : ['no problems left']),
  ];
  return parts.join(', ');
}
