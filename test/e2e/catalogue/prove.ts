/** What is shown for every failure of the catalogue: it is found, exactly it, in the words of its page, and fixed, and nothing of it is left. */

import type { Injected } from '../../../src/lab/inject/book.ts';
import { expectedSubjects, isOn } from '../../../src/lab/inject/found.ts';
import type { Diagnosed } from '../../../src/path/diagnose/diagnose.ts';
import type { Finding, Subject } from '../../../src/path/model/finding.ts';
import { formatPort } from '../../../src/path/model/host-ports.ts';
import { stages } from '../../../src/path/model/stages.ts';
import type { Failure } from '../../../src/path/stages/failure.ts';
import { compareFindings, type Findings } from '../../figures.ts';
import { doctorText, healText, staleCaptures } from './capture.ts';
import type { Lane } from './lane.ts';

/** A line of the table. */
export interface Proof {
  code: string;
  node: string;
  detected: boolean;
  /** `-`: it was only noted, and nothing is wrong. */
  healed: 'while it runs' | 'restart' | 'by hand' | '-' | 'no';
  /** Whether healing recreated the pod. */
  restarted: boolean;
  seconds: number;
  /** How the seconds were spent: injecting, finding, healing, undoing. */
  spent: number[];
  /** What the last look at the failure found of what it had to. */
  seen: Findings;
  /** What was not as it should be. */
  wrong: string[];
}

/** Looks at a lane until nothing is wrong, a few times at most: what was just undone may need a moment. */
export async function untilHealthy(lane: Lane, looks = 4): Promise<Diagnosed> {
  for (let look = 1; ; look++) {
    await lane.untilUp();
    const diagnosed = await lane.look();
    const wrong = doubts(lane, diagnosed);
    if (wrong.length === 0) return diagnosed;
    if (look === looks) throw new Error(wrong.join('\n'));
  }
}

/**
 * Injects one failure on a healthy lane, finds it, heals it, undoes it; the lane is healthy again afterwards. With `isOnPages`, what is printed
 * is compared with the page of the failure.
 */
export async function prove(
  lane: Lane,
  failure: Failure,
  healthy: Diagnosed,
  { isOnPages }: { isOnPages: boolean },
): Promise<{ proof: Proof; healthy: Diagnosed }> {
  const proof: Proof = {
    code: failure.code,
    node: lane.node,
    detected: false,
    healed: 'no',
    restarted: false,
    seconds: 0,
    spent: [],
    seen: { wanted: 1, found: 0, all: 0 },
    wrong: [],
  };
  const began = performance.now();
  let last = began;
  const lap = () => {
    const now = performance.now();
    proof.spent.push(Math.round((now - last) / 100) / 10);
    last = now;
  };
  const target = lane.target(healthy.scene.world);
  let after = healthy;
  try {
    const injected = await lane.inject(failure, target);
    lap();
    await lane.untilFound(injected);
    await lane.untilSettled();
    const found = await untilExact(lane, injected, proof);
    lap();
    if (proof.detected) {
      if (isOnPages) proof.wrong.push(...staleIn(lane, failure, found));
      await healAndCheck(lane, failure, found, proof);
    }
    lap();
  } catch (error) {
    proof.wrong.push(String(error));
  }
  try {
    await lane.restore(failure);
    after = await untilHealthy(lane);
  } catch (error) {
    proof.wrong.push(`after undoing it: ${error}`);
    await lane.recreate(target);
    after = await untilHealthy(lane);
  }
  lap();
  proof.seconds = Math.round((performance.now() - began) / 100) / 10;
  return { proof, healthy: after };
}

/** Looks until exactly the failure is found: what follows from it in passing may still show, but it is itself found at each look. */
async function untilExact(lane: Lane, injected: Injected, proof: Proof): Promise<Diagnosed> {
  for (let look = 1; ; look++) {
    const found = await lane.look();
    const wrong = differences(lane, found, injected);
    proof.seen = seenOf(lane, found, injected);
    if (proof.seen.found < proof.seen.wanted) proof.wrong.push(`found before, but not at look ${look}`);
    proof.detected = wrong.length === 0;
    if (proof.detected) return found;
    if (look === 3) {
      proof.wrong.push(...wrong);
      return found;
    }
  }
}

/** The findings that count, when a failure was injected: a note only where it is one. */
function countingFindings(lane: Lane, found: Diagnosed, failure: Failure): Finding[] {
  return lane.findings(found).filter(({ severity }) => severity !== 'note' || failure.severity === 'note');
}

/** Of the subjects that the failure is to be found on, those that it was found on, and all findings. */
function seenOf(lane: Lane, found: Diagnosed, injected: Injected): Findings {
  const { failure } = injected;
  const findings = countingFindings(lane, found, failure);
  const expected = expectedSubjects(injected);
  const own = expected.filter((subject) =>
    findings.some((finding) => finding.code === failure.code && isOn(finding, subject)),
  );
  return { wanted: expected.length, found: own.length, all: findings.length };
}

function differences(lane: Lane, found: Diagnosed, injected: Injected): string[] {
  const { failure } = injected;
  const wrong: string[] = [];
  const expected = expectedSubjects(injected);
  const findings = countingFindings(lane, found, failure);
  for (const finding of findings) {
    if (finding.code !== failure.code) wrong.push(`found as well: ${finding.code}: ${finding.message}`);
    else if (finding.stage !== failure.stage) wrong.push(`found at ${finding.stage}`);
    else if (!expected.some((subject) => isOn(finding, subject)))
      wrong.push(`found on ${show(finding.subject)}`);
  }
  const own = findings.filter(({ code }) => code === failure.code);
  for (const subject of expected) {
    if (!own.some((finding) => isOn(finding, subject))) wrong.push(`not found on ${show(subject)}`);
    const paths = lane
      .paths(found)
      .filter(
        ({ pod, port }) =>
          (subject.pod === undefined || pod.name === subject.pod.name) &&
          (subject.port === undefined || formatPort(port) === formatPort(subject.port)),
      );
    for (const path of paths) {
      const cell = path.stages[failure.stage];
      const severity = own.find(
        ({ subject: of }) => of.pod === undefined || of.pod.name === path.pod.name,
      )?.severity;
      const verdict = severity === 'note' ? 'ok' : severity;
      if (cell.verdict !== verdict)
        wrong.push(
          `${path.pod.name}: ${failure.stage} is ${cell.verdict} (${cell.reason ?? cell.codes}), want ${verdict}`,
        );
    }
  }
  return wrong;
}

/** What the page of a failure shows that is printed differently now. */
function staleIn(lane: Lane, { code }: Failure, found: Diagnosed): string[] {
  const finding = lane.findings(found).find((entry) => entry.code === code)!;
  return staleCaptures(code, {
    doctor: doctorText(finding, found, lane.node),
    heal: healText(finding, found, lane.node),
  });
}

function show({ node, pod, port }: Subject): string {
  return [node, pod && `${pod.namespace}/${pod.name}`, port && formatPort(port)].filter(Boolean).join(' ');
}

async function healAndCheck(lane: Lane, failure: Failure, found: Diagnosed, proof: Proof): Promise<void> {
  const before = await identity(lane);
  const report = await lane.heal(found, failure.restart === 'needed');
  for (const { finding, outcome, reason } of report.healed) {
    if (outcome === 'failed') proof.wrong.push(`heal of ${finding.code}: ${reason}`);
  }
  const own = report.healed.filter(({ finding }) => finding.code === failure.code);
  if (failure.severity === 'note') {
    proof.healed = '-';
    return;
  }
  if (own.some(({ outcome }) => outcome === 'left')) {
    proof.healed = 'by hand';
    return;
  }
  if (own.length === 0 || own.some(({ outcome }) => outcome !== 'healed')) {
    proof.wrong.push(`healing it came to ${own.map(({ outcome }) => outcome).join(', ') || 'nothing'}`);
  }
  if (doubts(lane, report.after).length > 0) await untilHealthy(lane);
  const after = await identity(lane);
  proof.healed = own.some(({ steps }) => steps.some(({ step }) => step.on === 'cluster'))
    ? 'restart'
    : 'while it runs';
  proof.restarted =
    after.uid !== before.uid || (before.startedAt !== undefined && after.startedAt !== before.startedAt);
  if (proof.restarted && proof.healed !== 'restart') proof.wrong.push('the pod was recreated');
}

/** What changes when a pod or its container is recreated. */
async function identity(lane: Lane): Promise<{ uid: string | undefined; startedAt: string | undefined }> {
  const { metadata, status } = await lane.pod();
  return { uid: metadata?.uid, startedAt: status?.containerStatuses?.[0]?.state?.running?.startedAt };
}

/** What keeps a lane from being healthy: findings, and cells that do not hold. */
function doubts(lane: Lane, diagnosed: Diagnosed): string[] {
  const findings = lane.findings(diagnosed).filter(({ severity }) => severity !== 'note');
  const cells = lane.paths(diagnosed).flatMap(({ pod, port, stages: cells }) =>
    stages.flatMap((stage) => {
      const { verdict, reason = '' } = cells[stage];
      // What waits for datagrams need not answer one, and silence is no proof of anything then.
      const silent = port.protocol === 'UDP' && stage === 'answered' && verdict === 'unknown';
      return verdict === 'ok' || silent ? [] : [`${pod.name}: ${stage} is ${verdict} (${reason})`];
    }),
  );
  return [...findings.map(({ code, message }) => `${code}: ${message}`), ...cells];
}

/** So many looks find everything: each but the last fixes or undoes what hides something. */
const MAX_LOOKS = 4;

/**
 * Injects two failures at once. Both causes are found, at the latest once the other is fixed; healing fixes what it can, what needs a manual
 * step is undone as a person would do it, and then nothing is wrong. Returns what was different.
 */
export async function provePair(
  lane: Lane,
  pair: readonly [Failure, Failure],
  healthy: Diagnosed,
): Promise<{ wrong: string[]; seen: Findings; healthy: Diagnosed }> {
  const [first, second] = pair;
  const isOfPair = (code: string) => pair.some((failure) => failure.code === code);
  const wrong: string[] = [];
  const target = lane.target(healthy.scene.world);
  const seen = new Set<string>();
  /** What the first look, before any healing, blamed of what was not done. */
  const foreign = new Set<string>();
  try {
    await lane.inject(first, target);
    await lane.inject(second, target);
    for (let look = 1; look <= MAX_LOOKS; look++) {
      await lane.untilSettled();
      const found = await lane.look();
      const codes = lane.findings(found).map(({ code }) => code);
      // Healing uncovers more (a pod that was created before its chain was fixed); the first look shows no more.
      // As long as one of the two is not certain, the finding may be that nothing answers and the cause is unknown: that names no wrong cause.
      if (look === 1) {
        for (const code of codes) if (!isOfPair(code) && code !== 'not-answering') foreign.add(code);
        wrong.push(...[...foreign].map((code) => `found as well: ${code}`));
      }
      const report = await lane.heal(found, false);
      for (const code of codes) seen.add(code);
      for (const { code } of lane.findings(report.after)) seen.add(code);
      for (const { finding, outcome, reason } of report.healed) {
        seen.add(finding.code);
        if (outcome === 'failed') wrong.push(`heal of ${finding.code}: ${reason}`);
      }
      if (pair.every(({ code }) => seen.has(code))) break;
      const left = report.healed.flatMap(({ finding, outcome }) =>
        outcome === 'left' ? [finding.code] : [],
      );
      // What a person is asked to do: taking the cause away. The other cause stays.
      for (const failure of pair) if (left.includes(failure.code)) await lane.restore(failure);
      await lane.untilUp();
    }
    for (const { code } of pair) if (!seen.has(code)) wrong.push(`not found: ${code}`);
  } catch (error) {
    wrong.push(String(error));
  }
  const own = [...seen].filter(isOfPair);
  const findings = compareFindings(
    pair.map(({ code }) => code),
    [...own, ...foreign],
  );
  try {
    await lane.restore(second);
    await lane.restore(first);
    return { wrong, seen: findings, healthy: await untilHealthy(lane) };
  } catch (error) {
    wrong.push(`after undoing both: ${error}`);
    await lane.recreate(target);
    return { wrong, seen: findings, healthy: await untilHealthy(lane) };
  }
}
