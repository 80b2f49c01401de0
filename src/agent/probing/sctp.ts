import type { Probe } from './send.ts';

export const probeSctp: Probe = async () => ({ outcome: 'unknown', detail: 'not asked' });
