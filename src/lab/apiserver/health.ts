import { messageOf } from '../../util/errors.ts';

/** Something that must work, by the name that Kubernetes' API server has for it. */
export interface HealthCheck {
  readonly name: string;
  /** Throws or rejects when it does not work. */
  check(): void | Promise<void>;
  /** Whether only readiness depends on it: a server that is to be left alone for now need not be restarted. */
  readonly readinessOnly?: true;
}

/** What is asked for: `/healthz` and `/livez` are the same. */
const ENDPOINT = /^\/(healthz|livez|readyz)(?:\/(.+))?$/;

export interface HealthAnswer {
  code: number;
  text: string;
}

/** Whether a path is one that anybody may ask; the single checks below it need a right. */
export function isPublicHealthPath(path: string): boolean {
  return ENDPOINT.exec(path)?.[2] === undefined && ENDPOINT.test(path);
}

/**
 * Answers `/healthz`, `/livez`, `/readyz` and the single checks below them; undefined for any other path. `verbose` and `exclude`
 * in the query are obeyed. Source: healthz.handleRootHealth of k8s.io/apiserver. `log` hears why a check failed: the answer, which
 * is for anybody, does not say.
 */
export async function healthOf(
  checks: readonly HealthCheck[],
  path: string,
  query: URLSearchParams,
  log: (line: string) => void,
): Promise<HealthAnswer | undefined> {
  const [, endpoint, single] = ENDPOINT.exec(path) ?? [];
  if (endpoint === undefined) return undefined;
  const asked = checks.filter(({ readinessOnly }) => !readinessOnly || endpoint === 'readyz');
  if (single !== undefined) {
    const check = asked.find(({ name }) => name === single);
    if (check === undefined) return undefined;
    const problem = await problemOf(check);
    return problem === undefined
      ? { code: 200, text: 'ok' }
      : { code: 500, text: `internal server error: ${problem}\n` };
  }
  const excluded = new Set(query.getAll('exclude'));
  const results = await Promise.all(
    asked.map(async (check) => {
      const { name } = check;
      if (excluded.delete(name)) return { failed: false, line: `[+]${name} excluded: ok\n` };
      const problem = await problemOf(check);
      if (problem === undefined) return { failed: false, line: `[+]${name} ok\n` };
      log(`${endpoint}: ${name}: ${problem}`);
      return { failed: true, line: `[-]${name} failed: reason withheld\n` };
    }),
  );
  let lines = results.map(({ line }) => line).join('');
  if (excluded.size > 0) {
    const names = [...excluded].sort().map((name) => JSON.stringify(name));
    lines += `warn: some health checks cannot be excluded: no matches for ${names.join(', ')}\n`;
  }
  if (results.some(({ failed }) => failed)) return { code: 500, text: `${lines}${endpoint} check failed\n` };
  return { code: 200, text: query.has('verbose') ? `${lines}${endpoint} check passed\n` : 'ok' };
}

async function problemOf({ check }: HealthCheck): Promise<string | undefined> {
  try {
    await check();
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}
