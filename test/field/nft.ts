/** Parts of what `nft -j list ruleset` prints. */

/** A table of nftables with these items, each under its kind. */
export const nft = (family: string, table: string, items: readonly object[]) => [
  { table: { family, name: table, handle: 9 } },
  ...items.map((item) => {
    const [[kind, body]] = Object.entries(item) as [[string, object]];
    return { [kind]: { family, table, ...body } };
  }),
];

/** A base chain. */
export const base = (
  name: string,
  hook: string,
  more: { type?: 'filter' | 'nat'; prio?: number; policy?: 'accept' | 'drop' } = {},
) => ({ chain: { name, handle: 1, type: 'filter', hook, prio: 0, policy: 'accept', ...more } });

/** A chain that others lead to. */
export const chain = (name: string) => ({ chain: { name, handle: 1 } });

export const rule = (chainName: string, ...expr: readonly object[]) => ({
  rule: { chain: chainName, handle: 2, expr },
});

export const meta = (key: string, right: unknown) => ({
  match: { op: '==', left: { meta: { key } }, right },
});
export const payload = (protocol: string, field: string, right: unknown, op = '==') => ({
  match: { op, left: { payload: { protocol, field } }, right },
});
export const state = (...states: string[]) => ({
  match: { op: 'in', left: { ct: { key: 'state' } }, right: states },
});
export const accept = { accept: null };
export const jump = (target: string) => ({ jump: { target } });
