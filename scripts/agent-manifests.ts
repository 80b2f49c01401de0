/**
 * What is written from src/agent/manifests.ts: `bun scripts/agent-manifests.ts` writes deploy/agent.yaml, deploy/agent-observe.yaml, and the
 * tables of docs/agent.md and docs/security.md. A test holds the files to what is written here.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import packageJson from '../package.json';
import {
  AGENT_CAPABILITIES,
  AGENT_MODES,
  AGENT_RIGHTS_OF_API,
  type AgentMode,
  type AgentSettings,
  agentMounts,
  agentObjects,
  DEFAULT_BIN_DIRS,
  DEFAULT_CONF_DIR,
  DEFAULT_NAMESPACE,
  METRICS_PORT,
} from '../src/agent/manifests.ts';
import { renderYaml } from '../src/cli/printer/document.ts';
import { agentImage } from '../src/util/images.ts';

const root = join(import.meta.dir, '..');

/** Manifests of the agent, as `hostport agent install --dry-run=client` prints them where nothing else is asked for. */
export function defaultSettings(mode: AgentMode, version: string = packageJson.version): AgentSettings {
  return {
    mode,
    namespace: DEFAULT_NAMESPACE,
    image: agentImage(version),
    imagePullSecrets: [],
    version,
    confDir: DEFAULT_CONF_DIR,
    binDirs: DEFAULT_BIN_DIRS,
    metricsPort: METRICS_PORT,
  };
}

const HEADER: Readonly<Record<AgentMode, string>> = {
  observe:
    '# The agent that watches hostPorts, on every node, and changes nothing there: docs/agent.md, docs/security.md.\n',
  heal: '# The agent that keeps hostPorts working, on every node: docs/agent.md, docs/security.md.\n',
};

/** The files with manifests, by path. */
function manifests(): [path: string, text: string][] {
  const paths = { observe: 'deploy/agent-observe.yaml', heal: 'deploy/agent.yaml' };
  return AGENT_MODES.map((mode) => {
    const documents = agentObjects(defaultSettings(mode)).map(({ object }) => renderYaml(object));
    const written =
      '# Written by scripts/agent-manifests.ts, and by "hostport agent install --dry-run=client".\n';
    return [paths[mode], `${HEADER[mode]}${written}${documents.join('---\n')}`];
  });
}

const cell = (text: string) => text.replaceAll('|', '\\|');
const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`;
const table = (columns: readonly string[], rows: readonly (readonly string[])[]) =>
  [line(columns), `|${columns.map(() => '---|').join('')}`, ...rows.map(line)].join('\n');

/** The tables of the documentation, by the name between their marks. */
export const TABLES: Readonly<Record<string, () => string>> = {
  'rights of the agent': () =>
    table(
      ['right', 'on', 'what for'],
      AGENT_RIGHTS_OF_API.map(({ group, resource, verb, why }) => [
        `\`${verb}\``,
        group === '' ? resource : `${resource}.${group}`,
        why,
      ]),
    ),
  'capabilities of the agent': () =>
    table(
      ['capability', '`--observe`', '`--heal`', 'what for'],
      AGENT_CAPABILITIES.map(({ name, modes, why }) => [
        `\`${name}\``,
        modes.includes('observe') ? 'yes' : '',
        modes.includes('heal') ? 'yes' : '',
        why,
      ]),
    ),
  'mounts of the agent': () =>
    table(
      ['of the node', '`--observe`', '`--heal`', 'what for'],
      agentMounts({ confDir: DEFAULT_CONF_DIR, binDirs: DEFAULT_BIN_DIRS }).map(
        ({ hostPath, mountPath, modes, isWritten, why }) => [
          mountPath === undefined ? `\`${hostPath}\`` : `\`${hostPath}\`, as \`${mountPath}\``,
          modes.includes('observe') ? 'read-only' : '',
          isWritten ? 'writable' : 'read-only',
          why,
        ],
      ),
    ),
};

/** Files with tables between marks. */
const PAGES = ['docs/agent.md', 'docs/security.md'];

/** A page with its tables as they are now. @throws for a mark of a table that there is not. */
export function withTables(page: string): string {
  return page.replaceAll(
    /(<!-- Table: ([\w ]+), written by scripts\/agent-manifests\.ts -->\n)[\s\S]*?(<!-- End of the table -->)/g,
    (_, begin: string, name: string, end: string) => {
      if (!Object.hasOwn(TABLES, name)) throw new Error(`no table "${name}"`);
      return `${begin}${TABLES[name]!()}\n\n${end}`;
    },
  );
}

/** All that is written, by path from the root of the project. */
export function agentFiles(): Map<string, string> {
  return new Map([
    ...manifests(),
    ...PAGES.map((path) => [path, withTables(readFileSync(join(root, path), 'utf8'))] as const),
  ]);
}

if (import.meta.main) {
  for (const [path, text] of agentFiles()) writeFileSync(join(root, path), text);
}
