import { fileProblem } from '../sys/file-problem.ts';
import { readIfExists } from '../sys/files.ts';
import { messageOf, UserError } from '../util/errors.ts';
import { bearerToken, NOT_A_TOKEN } from './bearer-token.ts';

/** What reads a bearer token from a file every time: such files are rotated. Rejects with a UserError that names the file. */
export function tokenReader(path: string): () => Promise<string> {
  const fail = (problem: string): never => {
    throw new UserError(`cannot read bearer token ${path}: ${problem}`);
  };
  return async () => {
    const text = await readIfExists(path).catch((cause) => fail(fileProblem(cause) ?? messageOf(cause)));
    if (text === undefined) return fail('no such file');
    return (bearerToken(text) ?? fail(`it ${NOT_A_TOKEN}`)) || fail('the file is empty');
  };
}
