import { changesDocument, layoutDocument } from './document.ts';
import {
  chainFault,
  hookNumbers,
  type InstalledChain,
  type NftChain,
  type NftChange,
  type NftElement,
  type NftLayout,
  type NftOutcome,
  type NftRuleset,
  type NftTable,
  ruleComment,
} from './nft.ts';

interface State {
  maps: Map<string, Map<string, NftElement>>;
  chains: Map<string, InstalledChain>;
}

/**
 * A table in memory. It applies a transaction whole or not at all, with the kernel's reasons to refuse: a key that is there,
 * an element, map or chain that is not, a chain that a verdict still leads to. It admits its differences: a rule is its comment,
 * so what a rule says is not looked at, and no value is checked against the type of its map.
 */
export class FakeNft implements NftTable {
  /** Undefined: no table. */
  state: State | undefined;
  /** Transactions given so far, applied or not, and calls that read. */
  readonly applied: (readonly NftChange[])[] = [];
  reads = 0;
  /** What others have ahead of the table. */
  others: NftRuleset | undefined;
  /** Runs before a transaction is looked at: what another program does meanwhile. */
  before: ((state: State | undefined) => void) | undefined;

  async apply(changes: readonly NftChange[]): Promise<NftOutcome> {
    // Renders it, too: what cannot be said to nft must fail here as it does there.
    changesDocument('fake', changes);
    this.applied.push(changes);
    this.before?.(this.state);
    if (changes.length === 0) return { applied: true };
    if (this.state === undefined) return { applied: false, why: 'missing', reason: 'no such table' };
    const next = structuredClone(this.state);
    for (const change of changes) {
      const why = step(next, change);
      if (why !== undefined) return { applied: false, why, reason: `${why}: ${JSON.stringify(change)}` };
    }
    this.state = next;
    return { applied: true };
  }

  async look(keys: readonly { map: string; key: string }[]): Promise<(NftElement | undefined)[]> {
    this.reads += keys.length;
    return keys.map(({ map, key }) => this.state?.maps.get(map)?.get(key));
  }

  async list(map: string, mark?: string): Promise<NftElement[]> {
    this.reads++;
    const elements = [...(this.state?.maps.get(map)?.values() ?? [])];
    return mark === undefined ? elements : elements.filter(({ comment }) => comment?.includes(mark));
  }

  async fault(layout: NftLayout): Promise<string | undefined> {
    const { state } = this;
    if (state === undefined) return 'table is missing';
    const missing = layout.maps.find(({ name }) => !state.maps.has(name));
    if (missing !== undefined) return `map ${missing.name} is missing`;
    for (const chain of layout.chains) {
      const fault = chainFault(chain, state.chains.get(chain.name));
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  async exists(): Promise<boolean> {
    return this.state !== undefined;
  }

  async destroy(): Promise<boolean> {
    const was = this.state !== undefined;
    this.state = undefined;
    return was;
  }

  async install(layout: NftLayout): Promise<void> {
    layoutDocument('fake', layout, new Set(layout.chains.map(({ name }) => name)));
    this.state ??= { maps: new Map(), chains: new Map() };
    for (const { name } of layout.maps) {
      if (!this.state.maps.has(name)) this.state.maps.set(name, new Map());
    }
    for (const chain of layout.chains) {
      const installed = this.state.chains.get(chain.name);
      if (chainFault(chain, installed) === undefined) continue;
      const made = installedChain(chain);
      if (chain.shared && installed !== undefined) made.comments.unshift(...installed.comments);
      this.state.chains.set(chain.name, made);
    }
  }

  async ahead(): Promise<NftRuleset | undefined> {
    return this.others;
  }

  async probe(): Promise<void> {}
}

function installedChain({ hook, rules }: NftChain): InstalledChain {
  return {
    hook: hook === undefined ? undefined : { number: hookNumbers[hook.name], priority: hook.priority },
    comments: rules.map(ruleComment),
  };
}

/** Applies one change; says why when it cannot be. */
function step({ maps, chains }: State, change: NftChange): 'exists' | 'missing' | undefined {
  switch (change.verb) {
    case 'put-chain':
      chains.set(change.chain.name, installedChain(change.chain));
      return undefined;
    case 'delete-chain': {
      if (!chains.has(change.name)) return 'missing';
      const led = [...maps.values()].some((map) =>
        [...map.values()].some(({ value }) => value?.replace(/^(jump|goto) /, '') === change.name),
      );
      if (led) return 'exists';
      chains.delete(change.name);
      return undefined;
    }
    case 'delete':
      return maps.get(change.map)?.delete(change.key) ? undefined : 'missing';
    default: {
      const { verb, ...element } = change;
      const map = maps.get(element.map);
      const target = /^(?:jump|goto) (.*)$/.exec(element.value ?? '')?.[1];
      if (map === undefined || (target !== undefined && !chains.has(target))) return 'missing';
      const there = map.get(element.key);
      if (there === undefined) map.set(element.key, element);
      else if (verb === 'create' || there.value !== element.value) return 'exists';
      return undefined;
    }
  }
}
