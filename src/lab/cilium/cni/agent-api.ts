import { CniError, cniErrorCode } from '../../../cni/errors.ts';

/** Where Cilium's agent, and ours in its place, listens on a node. The variable CILIUM_SOCK names another place. */
export const AGENT_SOCKET = '/var/run/cilium/cilium.sock';

/** What an attachment is to the agent. */
export interface AddressRequest {
  /** The host's end of the pair, which will be made after the answer. Derived from the attachment, so it names it. */
  link: string;
  containerId: string;
  ifName: string;
}

/** What the agent gives: the pod's address, the node's router address, and the largest packet. */
export interface AddressGrant {
  address: string;
  router: string;
  mtu: number;
}

/** The agent as the plugin needs it. */
export interface AgentApi {
  /** Gives an address; the same one again to the same attachment. */
  allocate(request: AddressRequest): Promise<AddressGrant>;
  /** Gives an address back; one that is not given is fine. */
  release(link: string): Promise<void>;
  /** Resolves when the agent is there and has its pod CIDR. */
  healthy(): Promise<void>;
}

/** How long an ADD waits for the agent, in milliseconds. It answers from memory and one small file. */
const TIMEOUT_MS = 10_000;

/**
 * The agent over its socket. No agent, or one that is not ready, is error 11 (try again later): a runtime retries the
 * sandbox, and an agent that is being replaced is back soon.
 */
export function agentOverSocket(socket: string): AgentApi {
  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    let response: Response;
    try {
      response = await fetch(`http://cilium${path}`, {
        method,
        unix: socket,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch (cause) {
      throw new CniError(
        cniErrorCode.tryAgainLater,
        `cilium agent is not there: ${socket}: ${(cause as { code?: string }).code ?? (cause as Error).message}`,
        '',
        { cause },
      );
    }
    const text = await response.text();
    if (!response.ok) {
      const code = response.status === 503 ? cniErrorCode.tryAgainLater : cniErrorCode.internal;
      throw new CniError(code, `cilium agent: ${method} ${path}: ${text || `HTTP ${response.status}`}`);
    }
    return text === '' ? undefined : JSON.parse(text);
  };
  return {
    allocate: (request) => call('POST', '/v1/ipam', request) as Promise<AddressGrant>,
    release: async (link) => {
      await call('DELETE', `/v1/ipam/${link}`);
    },
    healthy: async () => {
      await call('GET', '/v1/healthz');
    },
  };
}
