import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isNamespace } from '../sandbox.ts';

/** Whether the sandbox of a mapping still lives, as far as this machine can tell. */
export type SandboxState = 'alive' | 'gone' | 'unknown';

export interface Owner {
  networkName: string;
  containerId: string;
}

/** What portmap remembers of its attachments, and what it can find out about those of others. */
export interface Attachments {
  /** Remembers the network namespace of an attachment; says whether it is a new one. Called before its rules are made. */
  record(chain: string, owner: Owner & { ifName: string; netns: string }): boolean;
  forget(chain: string): void;
  /** Whose attachments are remembered, by the names of their chains. */
  recorded(): Map<string, Owner>;
  /** Removes what calls that were killed left unfinished. Called under the lock that every writer holds. */
  tidy(): void;
  sandboxState(chain: string, owner: Owner): SandboxState;
}

/**
 * Attachments in files: our own records under `recordDir` (on /run, so that they live as long as the rules do), and libcni's
 * result cache for mappings that another plugin made.
 */
export class AttachmentFiles implements Attachments {
  readonly #recordDir: string;
  readonly #cacheDir: string;

  constructor(recordDir = '/run/hostport/portmap', cacheDir = '/var/lib/cni') {
    this.#recordDir = recordDir;
    this.#cacheDir = cacheDir;
  }

  record(chain: string, owner: Owner & { ifName: string; netns: string }): boolean {
    const isNew = !existsSync(this.#path(chain));
    mkdirSync(this.#recordDir, { recursive: true, mode: 0o700 });
    const temporary = `${this.#recordDir}/.${chain}.${process.pid}`;
    writeFileSync(temporary, JSON.stringify(owner), { mode: 0o600 });
    renameSync(temporary, this.#path(chain));
    return isNew;
  }

  forget(chain: string): void {
    rmSync(this.#path(chain), { force: true });
  }

  recorded(): Map<string, Owner> {
    const owners = new Map<string, Owner>();
    for (const name of list(this.#recordDir)) {
      const { networkName, containerId } = readJson(`${this.#recordDir}/${name}`) ?? {};
      if (!name.startsWith('.') && typeof networkName === 'string' && typeof containerId === 'string') {
        owners.set(name.replace(/\.json$/, ''), { networkName, containerId });
      }
    }
    return owners;
  }

  tidy(): void {
    for (const name of list(this.#recordDir)) {
      if (name.startsWith('.')) rmSync(`${this.#recordDir}/${name}`, { force: true });
    }
  }

  sandboxState(chain: string, owner: Owner): SandboxState {
    const own = readJson(this.#path(chain));
    if (typeof own?.netns === 'string') return namespaceState(own.netns);
    return this.#stateByCache(owner);
  }

  /** libcni keeps `results/<network>-<container>-<interface>` from the end of an ADD to the end of its DEL. */
  #stateByCache({ networkName, containerId }: Owner): SandboxState {
    const prefix = `${networkName}-${containerId}-`;
    const entry = list(`${this.#cacheDir}/results`).find((name) => name.startsWith(prefix));
    if (entry === undefined) return 'unknown';
    const result = readJson(`${this.#cacheDir}/results/${entry}`)?.result;
    const interfaces = (result as Record<string, unknown> | undefined)?.interfaces;
    const sandbox = Array.isArray(interfaces)
      ? interfaces.map((entry) => entry?.sandbox).find((path) => typeof path === 'string' && path !== '')
      : undefined;
    return sandbox === undefined ? 'unknown' : namespaceState(sandbox);
  }

  #path(chain: string): string {
    return `${this.#recordDir}/${chain}.json`;
  }
}

function namespaceState(path: string): SandboxState {
  return isNamespace(path) ? 'alive' : 'gone';
}

function readJson(path: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
  } catch {
    // Absent, or cut short by a crash: either way it proves nothing.
    return undefined;
  }
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw cause;
  }
}
