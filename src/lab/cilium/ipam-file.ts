import { readIfExists, writeFileAtomic } from '../../sys/files.ts';
import type { IpamState, IpamStore } from './ipam.ts';

/** The state as a JSON file, replaced as a whole. A file that is not such a state is an error: guessing could give an address twice. */
export function ipamFile(path: string): IpamStore {
  return {
    async load() {
      const text = await readIfExists(path);
      if (text === undefined) return undefined;
      let state: IpamState;
      try {
        state = JSON.parse(text) as IpamState;
      } catch (cause) {
        throw new Error(`${path} is not JSON; remove it to have the addresses read from the kernel`, {
          cause,
        });
      }
      if (state.version !== 1 || !Array.isArray(state.allocations) || !Array.isArray(state.released)) {
        throw new Error(`${path} is not an address state of version 1`);
      }
      return state;
    },
    save: (state) => writeFileAtomic(path, `${JSON.stringify(state)}\n`, 0o600),
  };
}
