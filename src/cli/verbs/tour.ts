import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { loadClusterConfig } from '../../lab/config/index.ts';
import { createCluster } from '../../lab/create.ts';
import { deleteCluster } from '../../lab/delete.ts';
import { NODE_NETWORK } from '../../lab/network.ts';
import { clusterPaths, distributionOf } from '../../lab/paths.ts';
import { listClusters } from '../../lab/record.ts';
import { prepareExample, removeExample } from '../../lab/tour/example.ts';
import { Guide, type Stage } from '../../lab/tour/guide.ts';
import { tellStory } from '../../lab/tour/story.ts';
import { realExec } from '../../sys/exec.ts';
import { UserError } from '../../util/errors.ts';
import { interruptible } from '../interruptible.ts';
import { oneOf } from '../option-values.ts';
import { terminalProgress } from '../printer/progress.ts';
import { safeText } from '../printer/safe-text.ts';
import { command, examples, exitWith } from '../verb.ts';

/** `hostport tour`: the how-to, step by step, on a cluster of its own. */
export function tourVerb() {
  const verb = command('tour')
    .description(
      'replay the how-to on a fresh cluster: every command, its output, a tick for each expectation',
    )
    .option(
      '--portmap <which>',
      'portmap plugin of the nodes: ours or reference',
      oneOf('ours', 'reference'),
      'ours',
    )
    .option('--keep', 'leave the cluster running afterwards', false)
    .action(async (options) => {
      exitWith(await interruptible((signal) => tour(options.portmap, options.keep, signal)));
    });
  return examples(verb, 'hostport tour', 'hostport tour --portmap reference --keep');
}

async function tour(portmap: 'ours' | 'reference', keep: boolean, signal: AbortSignal): Promise<number> {
  const distribution = distributionOf();
  const stage = terminalStage(process.stdout);
  stage.heading('Create the cluster: one control plane, three workers');
  if ((await listClusters()).includes('kind')) {
    throw new UserError(
      'tour: a cluster named "kind" is up, and the how-to needs that name; delete it first: hostport delete cluster',
    );
  }
  await prepareExample(distribution.example);
  const { config } = await loadClusterConfig(join(distribution.example, 'kind/config'), {});
  // The context goes to a file of the tour's own: a tour leaves the user's kubectl as it was.
  const kubeconfig = join('/run', `hostport-tour-${process.pid}.kubeconfig`);
  const progress = terminalProgress(process.stderr);
  const record = await createCluster(
    { config, portmap, kubeconfig, retain: false, waitMs: 60_000 },
    { exec: realExec, distribution, progress, signal },
  );
  const guide = new Guide({
    exec: realExec,
    inLab: (argv) => [distribution.program, 'run', '--name', record.name, '--', ...argv],
    stage,
    signal,
  });
  try {
    await tellStory(guide, {
      address: Object.fromEntries(record.nodes.map((node) => [node.name, node.address])),
      gateway: NODE_NETWORK.gateway,
      manifests: join(distribution.example, 'manifests'),
    });
  } finally {
    if (keep)
      progress.note(`The cluster stays; its kubeconfig is ${clusterPaths(record.name).innerKubeconfig}`);
    else {
      await progress.step('Deleting the cluster', async () => {
        await deleteCluster(record.name, realExec, kubeconfig);
        await removeExample();
        await rm(kubeconfig, { force: true });
      });
    }
  }
  const total = guide.met + guide.failed.length;
  process.stdout.write(`\n${guide.met} of ${total} expectations met\n`);
  for (const text of guide.failed) process.stdout.write(`  not met: ${text}\n`);
  return guide.failed.length === 0 ? 0 : 1;
}

function terminalStage(stream: NodeJS.WriteStream): Stage {
  const colour = stream.isTTY && (process.env.NO_COLOR ?? '') === '';
  const paint = (code: number, text: string) => (colour ? `\u001b[${code}m${text}\u001b[0m` : text);
  const indent = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => `  ${safeText(line.replaceAll('\t', '    '))}\n`)
      .join('');
  return {
    heading: (text) => stream.write(`\n${paint(1, `# ${text}`)}\n`),
    command: (shown, output) =>
      stream.write(`${paint(36, `$ ${shown}`)}\n${output.trim() === '' ? '' : indent(output)}`),
    expectation: (text, met, seen) => {
      stream.write(` ${met ? paint(32, '✓') : paint(31, '✗')} ${text}\n`);
      if (!met) stream.write(`   seen: ${safeText(seen.trim().slice(0, 1000))}\n`);
    },
  };
}
