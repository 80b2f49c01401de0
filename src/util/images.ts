import { BUILD, VERSION } from './version.ts';

/**
 * Where this project's images are: what the release was made with (`make release REGISTRY=…`). Without one, a name that nobody can register
 * (RFC 2606), so that no node pulls what somebody else has put there; the lab's registry serves it.
 */
export const IMAGE_PREFIX: string = BUILD.registry ?? 'hostport.invalid';

/** Whether the images are in a registry, so that nodes of any cluster can pull them; without one, only clusters of the lab have them. */
export const IS_PUBLISHED: boolean = BUILD.registry !== undefined;

const AGENT = 'hostport-agent';

/** The image of the agent and of the doctor's pods. */
export function agentImage(version: string = VERSION): string {
  return `${IMAGE_PREFIX}/${AGENT}:${version}`;
}

/** Whether a reference is to the agent's image, in whatever registry: it has the program, and no shell. */
export function isAgentImage(reference: string): boolean {
  return (
    reference
      .replace(/(?::[^/:]*)?(?:@.*)?$/, '')
      .split('/')
      .pop() === AGENT
  );
}
