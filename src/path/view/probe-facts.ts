import { formatEndpoint } from '../../util/endpoint.ts';
import type { Evidence } from '../model/finding.ts';
import type { ProbeResult, Vantage } from '../model/probe.ts';
import type { PathView } from './scene.ts';

/** The vantages on other machines. */
export const AWAY: readonly Vantage[] = ['other-node', 'outside'];

/** The probes of a mapping from some vantages, in that order. */
export function probesFrom({ probes }: PathView, vantages: readonly Vantage[]): ProbeResult[] {
  return vantages.flatMap((vantage) => probes.get(vantage) ?? []);
}

/** Whether a probe was sent and got no connection. Silence over UDP proves nothing. */
export function failed({ outcome }: ProbeResult): boolean {
  return outcome === 'refused' || outcome === 'timeout' || outcome === 'unreachable';
}

/** Whether a probe from there was answered. */
export function answered({ probes }: PathView, vantage: Vantage): boolean {
  return probes.get(vantage)?.outcome === 'answered';
}

/** What probes saw. */
export function probeEvidence(probes: readonly ProbeResult[]): Evidence[] {
  return probes.flatMap((probe): Evidence[] => {
    const { vantage, from, node, target, outcome, detail, answeredBy, trace } = probe;
    const where = `${vantage}${from === undefined ? '' : ` (${from})`} to ${formatEndpoint(target)}`;
    const translated = answeredBy === undefined ? '' : `, translated to ${formatEndpoint(answeredBy)}`;
    const seen: Evidence = { kind: 'probe', where, saw: `${outcome}: ${detail}${translated}` };
    if (trace === undefined) return [seen];
    return [seen, { kind: 'probe', where: `the kernel of ${node}, of ${where}`, saw: trace.message }];
  });
}

/** What the kernel said of a probe of a mapping, where it was asked. */
export function kernelsWord({ probes }: PathView): string | undefined {
  for (const { trace, node } of probes.values()) {
    if (trace !== undefined) return `the kernel of ${node}: ${trace.message}`;
  }
  return undefined;
}
