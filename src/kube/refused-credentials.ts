import { InputError } from '../util/errors.ts';
import { type ApiClient, ApiError } from './client.ts';

/**
 * What the work returns. An answer by which the server does not know who asks (an expired token, a certificate that was revoked) becomes an error that says
 * so: `attempt` is what was attempted (`examine the cluster`).
 * @throws InputError then; everything else is thrown as it is.
 */
export async function withCredentials<T>(
  client: Pick<ApiClient, 'where'>,
  attempt: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof ApiError) || cause.code !== 401) throw cause;
    throw new InputError(
      `cannot ${attempt}: ${client.where} does not accept the credentials (${cause.status.message ?? 'HTTP 401'}); log in again or renew them`,
      { cause },
    );
  }
}
