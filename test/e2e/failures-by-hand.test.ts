import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { applyObjects, createCatalogueCluster, ECHO, echoPod } from './catalogue/cluster.ts';
import { Lab, labMissing, ROOT } from './lab.ts';

const missing = labMissing();
const PAGES = join(ROOT, 'docs/failures');

/** The commands by which the pages tell a failure by hand, each once. */
const commands = [
  ...new Set(
    readdirSync(PAGES).flatMap((name) =>
      [...readFileSync(join(PAGES, name), 'utf8').matchAll(/^```sh\n(.*?)^```$/gms)].flatMap((block) =>
        block[1]!.trim().split('\n'),
      ),
    ),
  ),
].sort();

/** What fails where nothing is broken, or because the lab has no such thing: the words by which one sees that it is just that. */
const EXPECTED: readonly { command: RegExp; said: RegExp; why: string }[] = [
  {
    command: /^grep /,
    said: /^(grep: \S+: No such file or directory\n)*$/,
    why: 'nothing is found, which is good',
  },
  {
    command: /^iptables .* CNI-HOSTPORT-/,
    said: /does not exist|No chain/,
    why: 'no pod has a hostPort here',
  },
  {
    command: /^nft list table inet hostport$/,
    said: /No such file or directory/,
    why: 'the backend is iptables',
  },
  {
    command: /^ip route get /,
    said: /^RTNETLINK answers: No route to host/,
    why: 'the address is an example',
  },
  { command: /^curl /, said: /^curl: \((7|28)\)/, why: 'the address is an example' },
  {
    command: /configmap cilium-config/,
    said: /not found/,
    why: "Cilium's stand-in has no such configuration",
  },
  { command: / networkpolicy /, said: /doesn't have a resource type/, why: "the lab's API has no policies" },
];

describe.skipIf(missing !== undefined)(
  `commands that tell a failure by hand${missing ? ` (${missing})` : ''}`,
  () => {
    const lab = new Lab('byhand');
    let node = '';
    beforeAll(async () => {
      [node = ''] = await createCatalogueCluster(lab, 1);
      await applyObjects(lab, [echoPod('default', node)]);
      const ready = await lab.kubectl(['wait', '--for=condition=Ready', `pod/${ECHO}`, '--timeout=60s']);
      expect(ready.stderr).toBe('');
    });
    afterAll(() => lab.delete());

    test('there are many', () => expect(commands.length).toBeGreaterThan(40));

    test.each(commands)('%s', async (command) => {
      const ran = command.startsWith('kubectl ')
        ? await lab.command(['sh', '-c', command])
        : await lab.inNode(node, 'sh', '-c', command);
      if (ran.code === 0) return;
      const said = EXPECTED.find((entry) => entry.command.test(command))?.said;
      expect(ran.stderr).toMatch(said ?? /^it runs$/);
    });
  },
);
