import { hostname } from 'node:os';
import { Option } from 'commander';
import { takeNodeReport, whichProgram } from '../../node/report/take.ts';
import { realExec } from '../../sys/exec.ts';
import { nodeName, oneOf } from '../option-values.ts';
import { renderJson, renderYaml } from '../printer/document.ts';
import { command, examples } from '../verb.ts';

/** `hostport node-report`: the state of this node, as a document for `hostport doctor`. */
export function nodeReportVerb() {
  const verb = command('node-report')
    .description(
      'print a report of this machine as a node\n\nThe report holds CNI files, plugins, the runtime, sandboxes, netfilter rules and settings.\nThe command changes nothing and needs no cluster. What it cannot read (for example, without root) is reported as unknown.',
    )
    .addOption(
      new Option('--node <name>', 'name of the node in the cluster').argParser(nodeName).default(hostname()),
    )
    .option(
      '--runtime-endpoint <socket>',
      'CRI socket of the runtime (default: $CONTAINER_RUNTIME_ENDPOINT, then where runtimes listen)',
    )
    .option('-o, --output <format>', 'json or yaml', oneOf('json', 'yaml'), 'json')
    .action(async (options) => {
      const report = await takeNodeReport(options.node, realExec, whichProgram, options.runtimeEndpoint);
      process.stdout.write(options.output === 'yaml' ? renderYaml(report) : renderJson(report, 2));
    });
  return examples(
    verb,
    'hostport node-report --node worker-1 > worker-1.json',
    'hostport exec kind-worker -- hostport node-report --node kind-worker',
    'hostport node-report -o yaml',
  );
}
