import { diagnose } from '../../path/diagnose/diagnose.ts';
import { calledAs } from '../../sys/called-as.ts';
import { InputError, messageOf, UserError } from '../../util/errors.ts';
import type { ClusterRecord } from '../cluster/record.ts';
import { LabPlaces } from '../doctor/places.ts';
import { collectLabWorld } from '../doctor/source.ts';
import { leftLines, notBackText } from '../inject/aftermath.ts';
import {
  chooseTargets,
  FaultBook,
  type Injected,
  injectSomewhere,
  restore,
  UNINTERRUPTED,
} from '../inject/book.ts';
import { labAftermath, labInjector } from '../inject/break.ts';
import type { QuizLab } from './quiz.ts';

/**
 * A lab to play a quiz in; `flags` are those by which it was named. Closing it ends what stays on its nodes.
 * @throws InputError where failures are injected already: one could not say which of them is meant.
 */
export async function quizLab(record: ClusterRecord, flags: string): Promise<QuizLab & AsyncDisposable> {
  const injected = await new FaultBook(record).list();
  if (injected.length > 0) {
    const codes = injected.map(({ failure }) => failure.code).join(', ');
    throw new InputError(
      `cannot start the quiz: ${codes} is already injected; undo it with "${calledAs()} unbreak${flags}"`,
    );
  }
  const places = new LabPlaces(record);
  const injector = await labInjector(places);
  let undone: readonly Injected[] = [];
  const observe = (signal: AbortSignal) => collectLabWorld(places, { probes: true, signal });
  return {
    healCommand: `${calledAs()} heal${flags}`,
    look: async (signal) => diagnose(await observe(signal)).diagnosis,
    async survey(signal) {
      const world = await observe(signal);
      return { diagnosis: diagnose(world).diagnosis, targets: () => chooseTargets(world, {}) };
    },
    inject: async (failure, targets, signal) =>
      (await injectSomewhere(injector, failure, targets, signal)).target,
    async undo() {
      // Also when the quiz was interrupted.
      const restored = await restore(injector.book, injector.doorFor(UNINTERRUPTED), () => true);
      undone = restored.undone;
      const { failed } = restored;
      if (failed.length === 0) return;
      const why = failed.map(({ entry, cause }) => `${entry.failure.code}: ${messageOf(cause)}`).join('; ');
      throw new UserError(
        `cannot undo what the quiz broke: ${why}; run "${calledAs()} unbreak${flags}" to try again`,
      );
    },
    async settle(signal) {
      const { notBack, left } = await labAftermath(places, undone, signal);
      const waits = notBack.length === 0 ? [] : [`not ready again after a minute: ${notBackText(notBack)}`];
      return [...waits, ...leftLines(left, `${calledAs()} heal${flags}`)];
    },
    [Symbol.asyncDispose]: () => places[Symbol.asyncDispose](),
  };
}
