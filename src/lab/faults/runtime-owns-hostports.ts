import { type Fault, UnsuitableTarget } from '../inject/fault.ts';

const WHY = 'it takes CRI-O as the runtime, and nodes of the lab have containerd';
const refuse = () => Promise.reject(new UnsuitableTarget(`cannot inject runtime-owns-hostports: ${WHY}`));

export const fault: Fault = {
  does: 'refuses: nodes of the lab have containerd, and this takes CRI-O',
  impossible: WHY,
  // First of all, so that nothing is noted as injected.
  remember: refuse,
  inject: refuse,
  restore: async () => {},
};
