import { AGENT } from '../collect/reader/agents.ts';
import type { DaemonSet } from '../kube/types.ts';
import { InputError } from '../util/errors.ts';
import {
  AGENT_MODES,
  type AgentMode,
  type AgentSettings,
  MANAGED_BY,
  MODE_LABEL,
  mountNumber,
} from './manifests.ts';

/** What an installation was made of, as far as its DaemonSet has it. */
export type InstalledSettings = Pick<AgentSettings, 'namespace'> & Partial<Omit<AgentSettings, 'version'>>;

/** What somebody asks for of an installation. */
export type AskedSettings = Partial<Omit<AgentSettings, 'version'>>;

/** The name that the first manifests had. Nobody of this project has it in a registry: what is there some day is somebody else's. */
const UNCLAIMED_IMAGE = /^hostport\/agent(?:[:@]|$)/;

/**
 * The settings by which an installation was made. Of one that something else looks after, as Helm, only where and as what it is: it has names and
 * values of its own.
 */
export function installedSettings({ metadata, spec }: DaemonSet): InstalledSettings {
  const { template } = spec ?? {};
  const pod = template?.spec;
  const container = pod?.containers.find(({ name }) => name === AGENT.container);
  const mode = modeOf(template?.metadata?.labels?.[MODE_LABEL], container?.args);
  const place = { namespace: metadata?.namespace ?? '', ...(mode !== undefined && { mode }) };
  const manager = metadata?.labels?.[MANAGED_BY.label] ?? MANAGED_BY.value;
  if (manager !== MANAGED_BY.value || container === undefined) return place;
  const { image, env = [], ports = [] } = container;
  const variable = (wanted: string) => env.find(({ name }) => name === wanted)?.value;
  const host = variable('KUBERNETES_SERVICE_HOST');
  const port = Number(variable('KUBERNETES_SERVICE_PORT'));
  const pathOf = (volume: string) => pod?.volumes?.find(({ name }) => name === volume)?.hostPath?.path;
  const confDir = pathOf('cni-config');
  const binDirs = (pod?.volumes ?? [])
    .flatMap(({ name, hostPath }) => ({ number: mountNumber('cni-bin', name), path: hostPath?.path }))
    .flatMap(({ number, path }) => (number === undefined || path === undefined ? [] : [{ number, path }]))
    .toSorted((a, b) => a.number - b.number)
    .map(({ path }) => path);
  const metricsPort = ports.find(({ name }) => name === 'metrics')?.containerPort;
  return {
    ...place,
    ...(image !== undefined && !UNCLAIMED_IMAGE.test(image) && { image }),
    imagePullSecrets: (pod?.imagePullSecrets ?? []).flatMap(({ name }) => name ?? []),
    ...(host !== undefined && port > 0 && { apiServer: { host, port } }),
    ...(confDir !== undefined && { confDir }),
    ...(binDirs.length > 0 && { binDirs }),
    ...(metricsPort !== undefined && { metricsPort }),
  };
}

/** The first manifests had no label: their agent was `heal --watch`. */
function modeOf(label: string | undefined, args: readonly string[] = []): AgentMode | undefined {
  return AGENT_MODES.find((known) => known === (label ?? args[0]));
}

/**
 * The settings of an installation: what is asked for, else what is installed, else the defaults. The image is that of the defaults' version, from
 * where the installed one is from.
 * @throws InputError when that cannot be said, because the installed one has a digest.
 */
export function mergedSettings(
  asked: AskedSettings,
  installed: InstalledSettings | undefined,
  defaults: AgentSettings,
): AgentSettings {
  const image =
    asked.image ??
    (installed?.image === undefined ? defaults.image : ofVersion(installed.image, defaults.version));
  return { ...defaults, ...installed, ...asked, image };
}

function ofVersion(image: string, version: string): string {
  if (image.includes('@')) {
    throw new InputError(
      `cannot upgrade the agent: its image is installed by digest (${image}), which is that of one version; give this version's with --image`,
    );
  }
  // A colon before the last slash is that of the registry's port.
  return `${image.replace(/:[^:/]*$/, '')}:${version}`;
}
