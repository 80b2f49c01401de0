import { describe, expect, test } from 'bun:test';
import { CONF_DIR, editActiveList, rememberList } from './conf-dir.ts';
import type { FaultDoor, FaultTarget } from './fault.ts';

const CHAINED = JSON.stringify({ name: 'n', plugins: [{ type: 'bridge' }, { type: 'portmap' }] });

/** A node with these configurations. */
function nodeWith(files: Readonly<Record<string, string>>, { mounted = '', watched = false } = {}) {
  const written: Record<string, string> = { ...files };
  const door = {
    list: async () => Object.keys(files).sort(),
    read: async (_: string, path: string) => written[path.slice(CONF_DIR.length + 1)],
    write: async (_: string, path: string, content: string) => {
      written[path.slice(CONF_DIR.length + 1)] = content;
    },
    run: async () => `1 2 8:1 / ${CONF_DIR}/${mounted} rw - ext4 /dev/sda rw\n`,
    watchesConfDir: async () => watched,
  } as unknown as FaultDoor;
  return { door, written };
}

const target = { node: 'n1' } as FaultTarget;

describe('a fault of the list in use', () => {
  test('remembers all files of the directory', async () => {
    const files = { '05-a.conflist': CHAINED, '10-b.conf': '{}' };
    expect(await rememberList(nodeWith(files).door, target)).toEqual(files);
  });

  test.each<[string, Parameters<typeof nodeWith>, string]>([
    ['none', [{}], `no configuration is in ${CONF_DIR}; choose another node with --node`],
    [
      'one that is no JSON',
      [{ 'a.conflist': CHAINED.slice(0, 20) }],
      'a.conflist, which the runtime uses, is no list that chains portmap; choose another node with --node',
    ],
    [
      'one without portmap',
      [{ 'a.conf': '{"type":"bridge"}', 'b.conflist': CHAINED }],
      'a.conf, which the runtime uses, is no list that chains portmap; choose another node with --node',
    ],
    [
      'one that is mounted',
      [{ 'a.conflist': CHAINED }, { mounted: 'a.conflist' }],
      `${CONF_DIR}/a.conflist is mounted into the node from outside, and cannot be changed there; choose another node with --node`,
    ],
    [
      'one whose directory is watched, before what is in it matters',
      [{ 'a.conflist': '{}' }, { watched: true }],
      `an agent watches ${CONF_DIR} and undoes every change there at once; with Cilium, set its value cni.exclusive=false first`,
    ],
  ])('refuses %s, before anything is changed', async (_, given, said) => {
    await expect(rememberList(nodeWith(...given).door, target)).rejects.toThrow(said);
  });

  test('changes it in place', async () => {
    const { door, written } = nodeWith({ 'a.conflist': CHAINED });
    await editActiveList(door, 'n1', (list) => ({ ...list, cniVersion: '9.9.9' }));
    expect(JSON.parse(written['a.conflist']!)).toEqual({ ...JSON.parse(CHAINED), cniVersion: '9.9.9' });
  });
});
