import { InputError } from '../../../src/util/errors.ts';

/** The field `repository` of a package: npm's registry takes a package of a workflow only when it names the workflow's repository. */
export interface PackageRepository {
  type: 'git';
  url: string;
}

/** Reads `REPOSITORY`, the address of a repository's page: `https://github.com/owner/name`. */
export function parseRepository(text: string): PackageRepository {
  if (!/^https:\/\/[a-z0-9.-]+(?::\d+)?(?:\/[\w.-]+)+$/i.test(text) || text.endsWith('.git'))
    throw new InputError(
      `cannot use the repository ${JSON.stringify(text)}: not the address of one; write it as https://github.com/owner/name`,
    );
  return { type: 'git', url: `git+${text}.git` };
}
