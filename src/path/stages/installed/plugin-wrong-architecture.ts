import { machineName } from '../../../util/elf-machine.ts';
import { words } from '../../model/message.ts';
import type { PluginFile } from '../../model/node-report.ts';
import { known } from '../../model/observed.ts';
import type { NodeView } from '../../view/node-view.ts';
import { BROUGHT_ALONG, chainPlugins, installPlugin } from '../../view/plugin-files.ts';
import { nodeEventEvidence } from '../evidence.ts';
import { type Detection, defineFailure } from '../failure.ts';

interface Data {
  node: NodeView;
  file: PluginFile;
}

/** The 32-bit machines that a 64-bit kernel of the same family runs, too: CONFIG_IA32_EMULATION, CONFIG_COMPAT. */
const COMPATIBLE: Readonly<Record<number, number>> = { 62: 3, 183: 40 };

function runsOn(wanted: number, { machine, bits }: { machine: number; bits: number }): boolean {
  return machine === wanted || (bits === 32 && machine === COMPATIBLE[wanted]);
}

export const pluginWrongArchitecture = defineFailure<Data>({
  code: 'plugin-wrong-architecture',
  stage: 'installed',
  severity: 'broken',
  title: 'a plugin of the chain is not an executable for this machine',
  explanation:
    "The plugin's file is for another processor architecture, or is not an executable at all: the wrong image or archive was unpacked, or a " +
    'download was incomplete. The kernel rejects it (`exec format error`) for every new pod.',
  remedy: "Replace it with the one for the node's architecture. The runtime retries by itself.",
  restart: 'no',
  sources: ['projectcalico/cni-plugin#343', 'https://man7.org/linux/man-pages/man5/elf.5.html (e_machine)'],
  mutedBy: ['plugin-not-executable'],

  detect(scene) {
    return chainPlugins(scene.nodes.values()).flatMap(({ node, type, file }): Detection<Data>[] => {
      if (file === undefined) return [];
      const wanted = node.seen!.machine.elfMachine;
      const { format } = file;
      if (format.kind === 'script' || format.kind === 'unreadable') return [];
      if (format.kind === 'elf' && runsOn(wanted, format)) return [];
      // It answered: the kernel has an interpreter for it (binfmt_misc).
      if (known(file.versions) !== undefined) return [];
      const is = format.kind === 'elf' ? `for ${machineName(format.machine)}` : 'not an executable';
      const names = { plugin: type, node: node.name, machine: machineName(wanted) };
      return [
        {
          subject: { node: node.name },
          message:
            format.kind === 'elf'
              ? words('plugin {plugin} of {node} ({machine}) is for {builtFor}', {
                  ...names,
                  builtFor: machineName(format.machine),
                })
              : words('plugin {plugin} of {node} ({machine}) is not an executable', names),
          evidence: [
            { kind: 'file', where: `${file.directory}/${file.name}`, saw: `${is}, ${file.size} bytes` },
            ...nodeEventEvidence(scene, node, /exec format error/),
          ],
          data: { node, file },
        },
      ];
    });
  },

  heal({ data: { node, file } }) {
    if (!BROUGHT_ALONG.includes(file.name)) {
      return {
        by: 'hand',
        why: `${file.name} belongs to the primary CNI: whatever installed that must replace it on ${node.name}`,
      };
    }
    return {
      by: 'steps',
      steps: [
        {
          on: 'node',
          node: node.name,
          why: `replace ${file.name} with the one for this machine`,
          action: installPlugin(node, file.name),
        },
      ],
    };
  },

  page: {
    see: 'Pods stay in ContainerCreating; the event says `exec format error`.',
    why: 'For example, an amd64 archive on an arm64 node, or an interrupted download: the kernel finds no ELF header that it can run.',
    check: {
      run: ['uname -m', 'od -An -tx1 -N20 /opt/cni/bin/portmap'],
      look:
        'Bytes 18 and 19 of the header are the machine: `3e 00` x86-64, `b7 00` arm64, `28 00` ARM. If the file does not start with ' +
        '`7f 45 4c 46`, it is not an executable.',
    },
    fix: "Replace it with the one for the node's architecture.",
  },
});
