import type { Fault } from '../inject/fault.ts';

const WHY = 'it takes CRI-O as the runtime, and nodes of the lab have containerd';

export const fault: Fault = {
  does: 'refuses: nodes of the lab have containerd, and this takes CRI-O',
  impossible: WHY,
  inject: () => Promise.reject(new Error(`no lab can have it: ${WHY}`)),
  restore: async () => {},
};
