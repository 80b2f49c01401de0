import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { unlessMissing } from '../../src/sys/errno.ts';
import { writeFileAtomic } from '../../src/sys/files.ts';
import { InputError } from '../../src/util/errors.ts';

/** Docker's own registry by the name that its configuration has. */
const HUB = 'https://index.docker.io/v1/';

/** Where docker, and what is like it, keeps credentials. */
export function dockerConfig(env: Readonly<Record<string, string | undefined>>): string {
  return join(env.DOCKER_CONFIG || join(env.HOME || homedir(), '.docker'), 'config.json');
}

/** How docker's configuration may name a registry. */
export function namesOf(domain: string): string[] {
  return domain === 'docker.io' ? [HUB] : [domain, `https://${domain}`, `https://${domain}/`];
}

/** Adds a name with a password to docker's configuration, which only its owner can read; what else is in it stays. */
export async function dockerLogin(
  domain: string,
  { username, password }: { username: string; password: string },
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<string> {
  const path = dockerConfig(env);
  const text = unlessMissing(() => readFileSync(path, 'utf8')) ?? '{}';
  let config: { auths?: Record<string, unknown> };
  try {
    config = JSON.parse(text);
  } catch {
    throw new InputError(`cannot add credentials to ${path}: it is not JSON; correct or remove it`);
  }
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  const auths = { ...config.auths, [namesOf(domain)[0]!]: { auth } };
  await writeFileAtomic(path, `${JSON.stringify({ ...config, auths }, null, 2)}\n`, 0o600);
  return path;
}
