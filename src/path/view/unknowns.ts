import type { Trace } from '../../netfilter/index.ts';

type Unknown = Extract<Trace['verdict'], { known: false }>['because'][number];

/** In words, what was not known of the rules while a packet was followed. */
export function describeUnknown(unknowns: readonly Unknown[]): string {
  return unknowns.map(describeOne).join('; ');
}

function describeOne(unknown: Unknown): string {
  switch (unknown.kind) {
    case 'match': {
      const { table, chain } = unknown.rule.location;
      return `whether a packet matches "${unknown.text}" of ${table} ${chain}`;
    }
    case 'statement': {
      const { table, chain } = unknown.rule.location;
      return `what "${unknown.text}" of ${table} ${chain} does`;
    }
    case 'order': {
      const chains = unknown.chains.map(({ table, name }) => `${table} ${name}`);
      return `which of ${chains.join(' and ')} comes first at ${unknown.hook}`;
    }
    case 'route':
    case 'bound':
      return unknown.reason;
  }
}
