import { describe, expect, test } from 'bun:test';
import { UserError } from './errors.ts';
import { explained } from './system-error.ts';

/** An error as the runtime raises it. */
function raised(code: string, syscall: string, paths: { path?: string; dest?: string }): Error {
  return Object.assign(new Error(`${code}: words of the system, ${syscall}`), { code, syscall, ...paths });
}

describe('an error of the system says what was tried on what, and what to do', () => {
  test.each<[string, unknown, string]>([
    [
      'a full disk',
      raised('ENOSPC', 'write', { path: '/var/x' }),
      'cannot write /var/x: the disk is full; free space on its file system, then try again',
    ],
    [
      'a read-only file system',
      raised('EROFS', 'mkdir', { path: '/var/x' }),
      'cannot create /var/x: the file system is read-only; mount it for writing, then try again',
    ],
    [
      'a copy: where it goes',
      raised('ENOSPC', 'copyfile', { path: '/from', dest: '/to' }),
      'cannot write /to: the disk is full; free space on its file system, then try again',
    ],
    [
      'a cause',
      new UserError('cannot save', { cause: raised('ENOENT', 'open', { path: '/x' }) }),
      'cannot save: cannot open /x: no such file or directory',
    ],
    [
      'several',
      new AggregateError([new Error('first'), raised('EROFS', 'rm', { path: '/x' })]),
      'first; and then: cannot remove /x: the file system is read-only; mount it for writing, then try again',
    ],
    [
      'a cause that is in its words already',
      new UserError('cannot save: ENOENT: words of the system, open', {
        cause: raised('ENOENT', 'open', { path: '/x' }),
      }),
      'cannot save: ENOENT: words of the system, open',
    ],
    [
      'a cause that it puts into words itself',
      new UserError('cannot save /x: the disk is full', { cause: raised('ENOSPC', 'write', {}) }),
      'cannot save /x: the disk is full',
    ],
    ['no path', raised('ENOSPC', 'write', {}), 'ENOSPC: words of the system, write'],
    ['a code without words here', raised('EIO', 'read', { path: '/x' }), 'EIO: words of the system, read'],
    ['words of its own', Object.assign(raised('ENOENT', 'open', {}), { message: 'mine' }), 'mine'],
    ['no error at all', 'text', 'text'],
  ])('%s', (_, thrown, want) => {
    expect(explained(thrown)).toBe(want);
  });
});
