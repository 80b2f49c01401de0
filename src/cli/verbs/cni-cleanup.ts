import { CniError, cniErrorText } from '../../cni/errors.ts';
import { NftUnavailable } from '../../netfilter/nft/nft.ts';
import { type Cleanup, cleanUp, type RemovedMapping } from '../../portmap/cleanup.ts';
import { UserError } from '../../util/errors.ts';
import { oneOf } from '../option-values.ts';
import { renderJson } from '../printer/document.ts';
import { layoutOf } from '../printer/layout.ts';
import { paragraph } from '../printer/wrap.ts';
import { command, examples, type Verb } from '../verb.ts';

/** `hostport cni cleanup`: removes what portmap has on this machine, whether the plugin is still installed or not. */
export function cleanupVerb(): Verb {
  const verb = command('cleanup')
    .description(
      "remove everything of hostport's portmap from this machine\n\n" +
        'Its nftables table, its chains in iptables, route_localnet where it set it, and /run/hostport/portmap. Run it after a change back ' +
        'to the reference plugin: until then the nftables table takes connections before it. Running pods lose the mappings that are ' +
        'removed until they are recreated. Mappings of the reference plugin stay. It needs root, may be repeated, and needs no plugin.',
    )
    .option('--dry-run', 'show what would be removed, and change nothing')
    .option('-o, --output <format>', 'json instead of text', oneOf('json'))
    .addHelpText(
      'after',
      '\nExit status: 0 done, also when nothing was there; 1 something could not be removed.',
    )
    .action(async (options: { dryRun?: boolean; output?: string }) => {
      const isDryRun = options.dryRun ?? false;
      const warn = (text: string) => process.stderr.write(paragraph(text, layoutOf(process.stderr)));
      const found = await cleanUp(isDryRun, warn).catch((cause: unknown) => {
        if (!(cause instanceof CniError || cause instanceof NftUnavailable)) throw cause;
        throw new UserError(`cannot remove what portmap has on this machine: ${cniErrorText(cause)}`, {
          cause,
        });
      });
      process.stdout.write(
        options.output === 'json' ? renderJson(documentOf(found, isDryRun), 2) : render(found, isDryRun),
      );
    });
  return examples(verb, 'hostport cni cleanup --dry-run', 'hostport cni cleanup -o json');
}

function documentOf({ mappings, others, kept }: Cleanup, dryRun: boolean): object {
  return {
    dryRun,
    mappings: mappings.map(({ owner, backend, protocol, hostPort, hostIP, target }) => ({
      backend,
      ...(owner && { network: owner.networkName, container: owner.containerId }),
      ...(owner?.ifName !== undefined && { interface: owner.ifName }),
      ...{ protocol, hostPort },
      ...(hostIP !== undefined && { hostIP }),
      target,
    })),
    others,
    keptOfOthers: kept,
  };
}

function render({ mappings, others, kept }: Cleanup, isDryRun: boolean): string {
  const did = isDryRun ? 'would remove' : 'removed';
  const lines = [
    ...mappings.map((mapping) => `${did} ${inWords(mapping)}`),
    ...others.map((what) => `${did} ${what}`),
  ];
  if (lines.length === 0) lines.push("nothing of hostport's portmap is on this machine");
  if (kept > 0) lines.push(`kept ${kept} of another portmap plugin in CNI-HOSTPORT-DNAT`);
  const layout = layoutOf(process.stdout);
  return lines.map((line) => paragraph(line, layout)).join('');
}

function inWords({ backend, owner, protocol, hostPort, hostIP, target }: RemovedMapping): string {
  const who = owner === undefined ? '' : ` of container ${owner.containerId} of network ${owner.networkName}`;
  return `${hostIP === undefined ? '' : `${hostIP} `}${protocol} ${hostPort} to ${target}${who} (${backend})`;
}
