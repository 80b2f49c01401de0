import { diagnose, diagnosisOf } from '../../path/diagnose/diagnose.ts';
import type { Failure } from '../../path/stages/failure.ts';
import { calledAs } from '../../sys/called-as.ts';
import { DeadlineError } from '../../sys/wait.ts';
import { UserError } from '../../util/errors.ts';
import type { LabPlaces } from '../doctor/places.ts';
import { collectLabWorld, labClient } from '../doctor/source.ts';
import { type Aftermath, aftermathOf } from './aftermath.ts';
import {
  chooseTargets,
  FaultBook,
  type Injected,
  type InjectedSomewhere,
  type Injector,
  injectSomewhere,
  refuseImpossible,
  undone,
} from './book.ts';
import { untilFound } from './found.ts';
import { labFaultDoor } from './lab-door.ts';

/** How long one probe may take, in milliseconds: everything is on one machine. */
const PROBE_MS = 600;

/** For which pod a failure is wanted. */
export interface BreakWish {
  node?: string;
  pod?: string;
  namespace?: string;
}

/** What failures of a lab are injected by. */
export async function labInjector(places: LabPlaces): Promise<Injector> {
  const client = await labClient(places.record);
  return {
    book: new FaultBook(places.record),
    doorFor: (signal) => labFaultDoor(places, client, signal),
  };
}

/**
 * Injects a failure into a lab, and returns when the doctor finds it; with the codes of what hides it, should something be broken there that it
 * follows from. `began` gets what was injected, before the doctor looks. When it is interrupted, the failure is undone.
 */
export async function breakLab(
  places: LabPlaces,
  failure: Failure,
  wish: BreakWish,
  signal: AbortSignal,
  began: (injected: InjectedSomewhere) => void = () => {},
): Promise<InjectedSomewhere & { hiddenBy: string[] }> {
  refuseImpossible(failure);
  const world = await collectLabWorld(places, { probes: false, signal });
  const targets = chooseTargets(world, wish);
  const injector = await labInjector(places);
  const others = await injector.book.list();
  const before = new Set([
    ...diagnosisOf(world).findings.map(({ code }) => code),
    ...others.map((entry) => entry.failure.code),
  ]);
  const injected = await injectSomewhere(injector, failure, targets, signal);
  began(injected);
  const choose = () => new Set([injected.target.node]);
  const look = async () =>
    diagnosisOf(await collectLabWorld(places, { probes: true, probeTimeoutMs: PROBE_MS, choose, signal }));
  try {
    return { ...injected, hiddenBy: await untilFound(look, injected, before, signal) };
  } catch (cause) {
    if (!(cause instanceof DeadlineError)) throw await undone(injector, injected, cause);
    throw new UserError(
      `injected ${failure.code}, but cannot see it: ${cause.message}; look again with "${calledAs()} doctor", or undo it with "${calledAs()} unbreak"`,
      { cause },
    );
  }
}

/** How a lab is once failures are undone: see {@link aftermathOf}. */
export async function labAftermath(
  places: LabPlaces,
  undone: readonly Injected[],
  signal: AbortSignal,
  waiting?: () => void,
): Promise<Aftermath> {
  const remaining = await new FaultBook(places.record).list();
  const look = async (nodes: ReadonlySet<string>, probes: boolean) =>
    diagnose(
      await collectLabWorld(places, { probes, probeTimeoutMs: PROBE_MS, choose: () => nodes, signal }),
    );
  return aftermathOf(look, undone, remaining, { signal, ...(waiting && { waiting }) });
}
