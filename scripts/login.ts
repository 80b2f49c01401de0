/**
 * `make login REGISTRY=ghcr.io/owner`: puts the credentials in $REGISTRY_USER and $REGISTRY_PASSWORD into docker's configuration, where `make push` and
 * cosign find them; for machines without docker.
 */
import { InputError } from '../src/util/errors.ts';
import { ending } from './ending.ts';
import { dockerLogin } from './release/docker-login.ts';
import { parseRegistry } from './release/registry.ts';

await ending(async () => {
  const { REGISTRY = '', REGISTRY_USER: username, REGISTRY_PASSWORD: password } = process.env;
  const { domain } = parseRegistry(REGISTRY);
  if (!username || !password)
    throw new InputError(
      `cannot log in to ${domain}: REGISTRY_USER and REGISTRY_PASSWORD are not both set; set them in the environment`,
    );
  console.log(`credentials of ${domain} are in ${await dockerLogin(domain, { username, password })}`);
});
