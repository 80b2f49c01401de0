import { afterAll, describe, expect, test } from 'bun:test';
import { Lab, labMissing, leftovers } from './lab.ts';

const missing = labMissing();

/** What the root network namespace shows of itself, in a form that two moments can be compared by. */
async function rootNamespace(lab: Lab): Promise<Record<string, string>> {
  const look = async (...argv: string[]) => {
    const { code, stdout, stderr } = await lab.command(argv);
    if (code !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
    return stdout;
  };
  return {
    links: await look('ip', '-br', 'link'),
    addresses: await look('ip', '-br', 'address'),
    routes: await look('ip', 'route', 'show', 'table', 'all'),
    rules: await look('ip', 'rule'),
    nft: await look('nft', 'list', 'ruleset'),
    forwarding: await look('sysctl', '-n', 'net.ipv4.ip_forward'),
  };
}

async function listeners(lab: Lab): Promise<string[]> {
  const { stdout } = await lab.command(['ss', '-Hltnu']);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(/\s+/)[4]!)
    .sort();
}

describe.skipIf(missing !== undefined)(`the root network namespace${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('rootns');
  afterAll(() => lab.delete());

  test('has one listener more on 127.0.0.1 while a cluster is up, and is otherwise as before; afterwards as before', async () => {
    const before = await rootNamespace(lab);
    const listening = await listeners(lab);
    await lab.must('create', 'cluster', '--name', lab.name);
    expect(await rootNamespace(lab)).toEqual(before);
    const added = (await listeners(lab)).filter((listener) => !listening.includes(listener));
    const port = /:(\d+)\s*$/m.exec(
      (await lab.must('get', 'kubeconfig', '--name', lab.name)).match(/server: (\S+)/)![1]!,
    )![1];
    expect(added).toEqual([`127.0.0.1:${port}`]);
    await lab.must('delete', 'cluster', '--name', lab.name);
    expect(await rootNamespace(lab)).toEqual(before);
    expect((await listeners(lab)).filter((listener) => !listening.includes(listener))).toEqual([]);
    expect(leftovers(lab.name)).toEqual([]);
  });
});
