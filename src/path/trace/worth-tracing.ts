import type { Diagnosed } from '../diagnose/diagnose.ts';
import type { ProbeResult, Vantage } from '../model/probe.ts';
import type { Stage } from '../model/stages.ts';
import { failed } from '../view/probe-facts.ts';
import type { PathView } from '../view/scene.ts';

/** Findings that say that a mapping does not answer, and not why. */
const UNEXPLAINED: readonly string[] = ['not-answering', 'off-node-blocked'];
const OF_A_PACKET: readonly Stage[] = ['translated', 'forwarded', 'answered'];
/** Whose packets pass most of the node come first. A probe past the mapping says nothing about it. */
const VANTAGES: readonly Vantage[] = ['outside', 'other-node', 'loopback', 'node', 'pod'];

/** A probe whose way the kernel can be asked about. */
export interface WorthTracing {
  path: PathView;
  probe: ProbeResult;
}

/** The mappings of which reading alone does not say what is wrong, each with the probe to ask the kernel about: one that failed, if one did. */
export function worthTracing({ verdictOf }: Pick<Diagnosed, 'verdictOf'>): WorthTracing[] {
  return [...verdictOf].flatMap(([path, { stages }]): WorthTracing[] => {
    const isUnexplained =
      OF_A_PACKET.some((stage) => stages[stage].verdict === 'unknown') ||
      stages.answered.codes.some((code) => UNEXPLAINED.includes(code));
    if (!isUnexplained) return [];
    const probes = VANTAGES.flatMap((vantage) => path.probes.get(vantage) ?? []);
    const probe = probes.find(failed) ?? probes.find(({ outcome }) => outcome === 'unknown') ?? probes[0];
    return probe === undefined ? [] : [{ path, probe }];
  });
}
