import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { PortMapping } from '../../cni/types.ts';
import { namesIn } from '../../sys/directories.ts';
import { isNamespace } from '../sandbox.ts';

/** Whether the sandbox of a mapping still lives, as far as this machine can tell. */
export type SandboxState = 'alive' | 'gone' | 'unknown';

export interface Owner {
  networkName: string;
  containerId: string;
}

/** What a mapping takes from everybody else. */
export type HostPort = Pick<PortMapping, 'protocol' | 'hostPort' | 'hostIP'>;

/** What is remembered of an attachment. */
interface AttachmentRecord extends Owner {
  ifName: string;
  netns: string;
  ports: readonly HostPort[];
}

/** What portmap remembers of its attachments, and what it can find out about those of others. */
export interface Attachments {
  /** Remembers an attachment; says whether it is a new one. Called before its rules are made. */
  record(chain: string, attachment: AttachmentRecord): boolean;
  /**
   * The host ports that an attachment may have: no others, but perhaps not all of these, as an ADD may have failed. Undefined when
   * that is not remembered.
   */
  portsOf(chain: string): readonly HostPort[] | undefined;
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

  record(chain: string, attachment: AttachmentRecord): boolean {
    const before = readJson(this.#path(chain));
    const isNew = before === undefined && !existsSync(this.#path(chain));
    // Were we killed now, the ports of an ADD before would still be mapped.
    const known = isNew ? [] : portsIn(before);
    const ports = known === undefined ? undefined : distinct([...known, ...attachment.ports]);
    mkdirSync(this.#recordDir, { recursive: true, mode: 0o700 });
    const temporary = `${this.#recordDir}/.${chain}.${process.pid}`;
    writeFileSync(temporary, JSON.stringify({ ...attachment, ports }), { mode: 0o600 });
    renameSync(temporary, this.#path(chain));
    return isNew;
  }

  portsOf(chain: string): readonly HostPort[] | undefined {
    return portsIn(readJson(this.#path(chain)));
  }

  forget(chain: string): void {
    rmSync(this.#path(chain), { force: true });
  }

  recorded(): Map<string, Owner> {
    const owners = new Map<string, Owner>();
    for (const name of namesIn(this.#recordDir)) {
      const { networkName, containerId } = readJson(`${this.#recordDir}/${name}`) ?? {};
      if (!name.startsWith('.') && typeof networkName === 'string' && typeof containerId === 'string') {
        owners.set(name.replace(/\.json$/, ''), { networkName, containerId });
      }
    }
    return owners;
  }

  tidy(): void {
    for (const name of namesIn(this.#recordDir)) {
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
    const entry = namesIn(`${this.#cacheDir}/results`).find((name) => name.startsWith(prefix));
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

/** The ports in a record; undefined when it has none that can be made out. */
function portsIn(record: Record<string, unknown> | undefined): HostPort[] | undefined {
  const { ports } = record ?? {};
  const isPort = (port: Partial<HostPort> | null) =>
    typeof port?.protocol === 'string' &&
    typeof port.hostPort === 'number' &&
    (port.hostIP === undefined || typeof port.hostIP === 'string');
  return Array.isArray(ports) && ports.every(isPort) ? (ports as HostPort[]) : undefined;
}

function distinct(ports: readonly HostPort[]): HostPort[] {
  const keyed = ports.map(({ protocol, hostPort, hostIP }) => {
    const port = { protocol, hostPort, hostIP };
    return [JSON.stringify(port), port] as const;
  });
  return [...new Map(keyed).values()];
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
