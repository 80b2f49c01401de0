import { describe, expect, test } from 'bun:test';
import { Lab, labMissing, leftovers } from './lab.ts';

const missing = labMissing();

describe.skipIf(missing !== undefined)(`hostport tour${missing ? ` (${missing})` : ''}`, () => {
  for (const portmap of ['ours', 'reference']) {
    test(`meets every expectation of the how-to with portmap of ${portmap}, and leaves nothing behind`, async () => {
      const lab = new Lab(`tour-${portmap}`);
      const ran = await lab.hostport('tour', '--portmap', portmap);
      expect(ran.stdout).toMatch(/^(\d+) of \1 expectations met$/m);
      expect(ran.stdout).not.toContain('✗');
      expect(ran.code).toBe(0);
      expect(leftovers('kind')).toEqual([]);
      await lab.delete();
    });
  }
});
