import { cookieOf, isSecret, type Keys } from './keys.ts';
import { ACTION_HEADER, COOKIE } from './protocol.ts';

/** A request, as far as it decides whether it is answered. */
export interface Asked {
  method: string;
  path: string;
  /** The token of the address that was printed. */
  token: string | null;
  headers: Pick<Headers, 'get'>;
}

/** What is answered instead: why, and with which status. */
export interface Refusal {
  status: 401 | 403 | 404 | 405;
  why: string;
}

const OPEN_AGAIN = 'open the address that "hostport ui" printed';

/**
 * Why a request is refused; undefined when it is not. A page of another origin must neither read nor change anything: not by a name of its own that
 * leads to this machine (DNS rebinding), not by a form or a link, not with the cookie that a browser adds by itself.
 */
export function refusalOf(asked: Asked, keys: Keys, port: number): Refusal | undefined {
  const { method, path, token, headers } = asked;
  const host = headers.get('host');
  if (host !== `127.0.0.1:${port}` && host !== `localhost:${port}`)
    return { status: 403, why: `this is 127.0.0.1:${port}, and nothing else` };
  const origin = headers.get('origin');
  if (origin !== null && origin !== `http://${host}`)
    return { status: 403, why: 'only for pages of its own' };
  if (!['GET', 'HEAD', 'POST'].includes(method)) return { status: 405, why: 'only GET, HEAD and POST' };
  const isEntry = path === '/' && method !== 'POST';
  const site = headers.get('sec-fetch-site');
  // Whoever follows the printed address comes from elsewhere; browsers that say so otherwise mean another page.
  const isElsewhere = site !== null && site !== 'same-origin' && site !== 'none';
  if (isElsewhere && !(isEntry && headers.get('sec-fetch-mode') === 'navigate'))
    return { status: 403, why: 'only for pages of its own' };
  if (isEntry) return isSecret(keys.token, token) ? undefined : { status: 401, why: OPEN_AGAIN };
  if (!isSecret(keys.session, cookieOf(headers.get('cookie'), COOKIE)))
    return { status: 401, why: OPEN_AGAIN };
  if (!path.startsWith(keys.base)) return { status: 404, why: 'not found' };
  if (method !== 'POST') return undefined;
  // Browsers say the origin of every request that is not a mere read.
  if (origin === null || !isSecret(keys.action, headers.get(ACTION_HEADER)))
    return { status: 403, why: 'only for its own page' };
  return undefined;
}
