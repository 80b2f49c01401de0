/** The stages of a hostPort's path, in the order in which a packet's fate is decided. */
export const stages = [
  'declared',
  'scheduled',
  'configured',
  'installed',
  'attached',
  'translated',
  'forwarded',
  'answered',
] as const;

export type Stage = (typeof stages)[number];

/** What each stage asks, for the table's legend and the documentation. */
export const stageQuestions: Readonly<Record<Stage, string>> = {
  declared: 'does the pod spec say something satisfiable?',
  scheduled: 'did the pod get a node?',
  configured: 'does the configuration that the runtime uses chain portmap properly?',
  installed: 'is every plugin of that chain there and able to run?',
  attached: 'did the chain run, portmap included, for this sandbox?',
  translated: 'do netfilter rules send nodeIP:hostPort to this pod, before anything else grabs it?',
  forwarded: 'will the kernel route it there and back?',
  answered: 'does something answer: from the node, from another node, from the pod itself?',
};

/** Negative when `a` comes before `b` on the path. */
export function compareStages(a: Stage, b: Stage): number {
  return stages.indexOf(a) - stages.indexOf(b);
}
