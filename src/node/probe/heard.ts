import type { ProbeResult } from '../../path/model/probe.ts';

/** What a probe of any protocol reports. */
export interface Heard {
  outcome: ProbeResult['outcome'];
  detail: string;
  problem?: NonNullable<ProbeResult['problem']>;
  sourcePort?: number;
}

/** Sends one probe and waits for what comes back, at most `timeoutMs`. `sourcePort`: the port to send it from. */
export type Probe = (address: string, port: number, timeoutMs: number, sourcePort?: number) => Promise<Heard>;
