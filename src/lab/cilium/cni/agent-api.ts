import { CniError, cniErrorCode } from '../../../cni/errors.ts';
import { type Clock, realClock } from '../../../sys/clock.ts';

/** Where Cilium's agent, and ours in its place, listens on a node. The variable CILIUM_SOCK names another place. */
export const AGENT_SOCKET = '/var/run/cilium/cilium.sock';

/** How long ADD, CHECK and STATUS wait for the agent, in milliseconds. Source: Cilium 1.20, `ClientConnectTimeout`. */
export const CONNECT_TIMEOUT_MS = 30_000;

/** Milliseconds between attempts. Source: Cilium 1.20, `NewDefaultClientWithTimeout`. */
const RETRY_MS = 500;

/** How long one request may take, in milliseconds. The agent answers from memory, one small file and one command of `tc`. */
const REQUEST_TIMEOUT_MS = 10_000;

/** What an attachment is to the agent. */
export interface AddressRequest {
  /** The host's end of the pair, which will be made after the answer. Derived from the attachment, so it names it. */
  link: string;
  containerId: string;
  ifName: string;
}

/** What the agent gives: the pod's address and MAC, the node's router address, and the largest packet. */
export interface AddressGrant {
  address: string;
  mac: string;
  router: string;
  mtu: number;
}

/** The agent as the plugin needs it. Every method but `connect` takes an agent that is there. */
export interface AgentApi {
  /** Resolves when the agent answers; rejects with what the last attempt saw when it does not within `timeoutMs`. */
  connect(timeoutMs: number): Promise<void>;
  /** Gives an address; the same one again to the same attachment. */
  allocate(request: AddressRequest): Promise<AddressGrant>;
  /** Has the node deliver packets for the address of an attachment by its link, which is there now. */
  createEndpoint(link: string): Promise<void>;
  /** Ends that and takes the address back; one that is not there is fine. */
  deleteEndpoint(link: string): Promise<void>;
  /** Resolves when the agent says that it is healthy. */
  healthy(): Promise<void>;
}

/** The agent gave no answer at all: it does not run, or hangs. */
export class AgentDown extends Error {
  override name = 'AgentDown';
}

/** The agent over its socket. */
export function agentOverSocket(socket: string, clock: Clock = realClock): AgentApi {
  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    let response: Response;
    try {
      response = await fetch(`http://localhost/v1${path}`, {
        method,
        unix: socket,
        // A redirect would be followed away from the socket.
        redirect: 'manual',
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
    } catch (cause) {
      const seen = (cause as { code?: string }).code ?? (cause as Error).message;
      throw new AgentDown(`${method} "http://localhost/v1${path}": dial unix ${socket}: ${seen}`, { cause });
    }
    const text = await response.text();
    if (!response.ok) {
      // 503 asks to try again: no address is free at the moment.
      const code = response.status === 503 ? cniErrorCode.tryAgainLater : cniErrorCode.internal;
      throw new CniError(code, `cilium agent: ${method} ${path}: ${text || `HTTP ${response.status}`}`);
    }
    return text === '' ? undefined : JSON.parse(text);
  };
  return {
    async connect(timeoutMs) {
      const deadline = clock.monotonic() + timeoutMs;
      for (;;) {
        try {
          await call('GET', '/config');
          return;
        } catch (cause) {
          if (clock.monotonic() + RETRY_MS > deadline) {
            throw new AgentDown(
              `failed to create cilium agent client after ${(timeoutMs / 1000).toFixed(6)} seconds timeout: ${(cause as Error).message}\nIs the agent running?`,
              { cause },
            );
          }
        }
        await clock.sleep(RETRY_MS);
      }
    },
    allocate: (request) => call('POST', '/ipam', request) as Promise<AddressGrant>,
    createEndpoint: async (link) => {
      await call('PUT', `/endpoint/${link}`);
    },
    deleteEndpoint: async (link) => {
      await call('DELETE', `/endpoint/${link}`);
    },
    healthy: async () => {
      await call('GET', '/healthz');
    },
  };
}
