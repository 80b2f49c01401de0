import type { AttachmentKey } from '../../cni/result-cache.ts';
import type { Attachments, HostPort, PodConditions, Recorded, SandboxState } from '../attachments.ts';
import type { Owner } from '../layout.ts';
import type { Device } from '../route-localnet.ts';
import { StateUnusable } from '../state.ts';

interface Remembered extends AttachmentKey {
  ports: readonly HostPort[];
  devices: readonly Device[];
  conditions?: PodConditions;
}

/** Attachments in memory. It admits its differences: sandboxes are as the test says, by their container, and nothing is cached. */
export class FakeAttachments implements Attachments {
  readonly records = new Map<string, Remembered>();
  /** The state of the sandbox of each container; those that are not named are unknown. */
  readonly sandboxes: Record<string, SandboxState>;
  /** The addresses of each container's other interfaces. */
  readonly others: Record<string, string[]> = {};
  tidied = 0;
  /** Whether nothing can be written. */
  isReadOnly = false;

  constructor(sandboxes: Record<string, SandboxState> = {}) {
    this.sandboxes = sandboxes;
  }

  record(chain: string, attachment: Remembered): boolean {
    this.#change('record');
    const before = this.records.get(chain);
    this.records.set(chain, {
      ...attachment,
      ports: [...(before?.ports ?? []), ...attachment.ports],
      devices: [...(before?.devices ?? []), ...attachment.devices],
    });
    return before === undefined;
  }

  keepDevices(chain: string, devices: readonly Device[]): void {
    this.records.set(chain, { ...this.records.get(chain)!, devices });
  }

  portsOf(chain: string): readonly HostPort[] | undefined {
    return this.records.get(chain)?.ports;
  }

  conditionsOf(chain: string): readonly PodConditions[] | undefined {
    const { conditions } = this.records.get(chain) ?? {};
    return conditions && [conditions];
  }

  interfaceOf(chain: string): string | undefined {
    return this.records.get(chain)?.ifName;
  }

  devicesOf(chain: string): readonly Device[] {
    return this.records.get(chain)?.devices ?? [];
  }

  hasRecord(chain: string): boolean {
    return this.records.has(chain);
  }

  forget(chain: string): void {
    if (this.records.has(chain)) this.#change('forget');
    this.records.delete(chain);
  }

  recorded(): Map<string, Recorded> {
    return new Map(this.records);
  }

  tidy(): void {
    this.#change('tidy');
    this.tidied++;
  }

  probe(): void {
    this.#change('probe');
  }

  #change(what: string): void {
    if (this.isReadOnly) throw new StateUnusable(`cannot write to memory (${what}): it is read-only`);
  }

  sandboxState(chain: string, owner: Owner): SandboxState {
    // A long name is a hash in nftables.
    return this.stateOf(this.records.get(chain)?.containerId ?? owner.containerId);
  }

  stateOf(containerId: string): SandboxState {
    // A container may be called `toString`.
    return Object.hasOwn(this.sandboxes, containerId) ? this.sandboxes[containerId]! : 'unknown';
  }

  addressesOfOthers(key: AttachmentKey): ReadonlySet<string> {
    return new Set(Object.hasOwn(this.others, key.containerId) ? this.others[key.containerId] : []);
  }
}
