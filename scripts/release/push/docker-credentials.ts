import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { unlessMissing } from '../../../src/sys/errno.ts';
import type { Exec } from '../../../src/sys/exec.ts';
import { InputError, messageOf } from '../../../src/util/errors.ts';
import { dockerConfig, namesOf } from '../docker-login.ts';

/** How to show a registry who pushes: a name with a password, or a token that others are given for. */
export type Credentials = { username: string; password: string } | { identityToken: string };

const configSchema = z.object({
  auths: z
    .record(z.string(), z.object({ auth: z.string().optional(), identitytoken: z.string().optional() }))
    .optional(),
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
});
const helperSchema = z.object({ Username: z.string(), Secret: z.string() });

/** A helper's user name for a token. */
const TOKEN = '<token>';
const HELPER_MS = 30_000;
const HELPER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/**
 * The credentials for a registry from docker's configuration, where `docker login`, podman and skopeo keep them: in the file, or by the helper that
 * it names. Undefined when it has none. Source: docker's documentation, "Credential helpers".
 */
export async function dockerCredentials(
  domain: string,
  exec: Exec,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<Credentials | undefined> {
  const path = dockerConfig(env);
  const text = unlessMissing(() => readFileSync(path, 'utf8'), ['ENOTDIR']);
  if (text === undefined) return undefined;
  const config = parse(path, text);
  for (const name of namesOf(domain)) {
    const helper = config.credHelpers?.[name] ?? config.credsStore;
    const own = config.auths?.[name];
    const found =
      (own?.identitytoken ? { identityToken: own.identitytoken } : undefined) ??
      (own?.auth ? plain(path, name, own.auth) : undefined) ??
      (helper === undefined ? undefined : await helped(helper, name, path, exec));
    if (found !== undefined) return found;
  }
  return undefined;
}

function parse(path: string, text: string): z.infer<typeof configSchema> {
  try {
    return configSchema.parse(JSON.parse(text));
  } catch (cause) {
    // Not what is in it, which is secret.
    const what = cause instanceof SyntaxError ? 'it is not JSON' : 'it has not the fields that docker writes';
    throw new InputError(
      `cannot read credentials from ${path}: ${what}; run "docker login", or name another directory in DOCKER_CONFIG`,
      { cause: undefined },
    );
  }
}

function plain(path: string, name: string, auth: string): Credentials {
  const text = Buffer.from(auth, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon > 0) return { username: text.slice(0, colon), password: text.slice(colon + 1) };
  throw new InputError(
    `cannot read credentials from ${path}: "auth" of ${name} is not a name with a password; run "docker login ${name}"`,
  );
}

async function helped(
  helper: string,
  name: string,
  path: string,
  exec: Exec,
): Promise<Credentials | undefined> {
  if (!HELPER_NAME.test(helper))
    throw new InputError(`cannot read credentials from ${path}: ${JSON.stringify(helper)} is not a helper`);
  const program = `docker-credential-${helper}`;
  const result = await exec
    .run([program, 'get'], { stdin: name, timeoutMs: HELPER_MS })
    .catch((cause: unknown) => {
      throw new InputError(
        `cannot get credentials of ${name}: ${program}, which ${path} names: ${messageOf(cause)}`,
      );
    });
  // It exits with 1 for a registry that nobody has logged in to.
  if (result.code !== 0) return undefined;
  const parsed = helperSchema.safeParse(parseJson(result.stdout));
  if (!parsed.success)
    throw new InputError(`cannot get credentials of ${name}: ${program} prints something else`);
  const { Username: username, Secret } = parsed.data;
  return username === TOKEN ? { identityToken: Secret } : { username, password: Secret };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
