import { AUTHENTICATED, type User } from './identity.ts';

/**
 * Reads a static token file: CSV lines `token,user,uid,"group1,group2"`, the groups being optional. Throws with file and
 * line when one is not of that form. Source: Kubernetes' documentation, "Static token file".
 */
export function parseTokenFile(text: string, path: string): Map<string, User> {
  const users = new Map<string, User>();
  for (const [at, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const fields = csvFields(line.trim());
    const [token = '', name = '', uid = '', groups = ''] = fields ?? [];
    if (fields === undefined || fields.length < 3 || token === '' || name === '') {
      throw new Error(`${path}:${at + 1}: not of the form token,user,uid,"group1,group2"`);
    }
    if (users.has(token)) throw new Error(`${path}:${at + 1}: duplicate token: an earlier line has it`);
    const own = groups.split(',').map((group) => group.trim());
    users.set(token, { name, uid, groups: [...own.filter((group) => group !== ''), AUTHENTICATED] });
  }
  return users;
}

/** The fields of one CSV line (RFC 4180); undefined when a quote is not closed. */
function csvFields(line: string): string[] | undefined {
  const fields: string[] = [];
  const pattern = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y;
  for (;;) {
    const match = pattern.exec(line);
    if (match === null) return undefined;
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2]!.trim());
    if (match[3] === '') return fields;
  }
}
