/** The package `@hostport/cni`: the Container Network Interface for TypeScript, of runtimes and of plugins. docs/cni-library.md */
export { type Clock, realClock } from '../sys/clock.ts';
export { type Exec, ExecError, type ExecOptions, type ExecResult, realExec } from '../sys/exec.ts';
export { type CniArgs, formatCniArgs, parseCniArgs } from './args.ts';
export {
  DEFAULT_CONFIG_DIRECTORY,
  loadFirstNetwork,
  loadNetwork,
  loadNetworkFile,
} from './config-files.ts';
export {
  type ConfigFile,
  configFileOrder,
  type NetworkConfigList,
  type PluginConfigInList,
  parseNetworkConfig,
} from './conflist.ts';
export { type Delegate, delegateTo } from './delegate.ts';
export { CniError, type CniErrorDocument, cniErrorCode } from './errors.ts';
export { findPlugin, invokePlugin, type PluginHost } from './invoke.ts';
export type { Fields, Shape } from './json.ts';
export { isCniName } from './names.ts';
export { type Plugin, type PluginIo, type PluginRequest, runPlugin } from './plugin.ts';
export { convertResult, formatResult, parseResult } from './result.ts';
export {
  type AttachmentKey,
  type CacheEntry,
  DEFAULT_CACHE_DIRECTORY,
  netnsOf,
  networkOf,
  ResultCache,
} from './result-cache.ts';
export {
  type Attachment,
  attachmentOf,
  CniRuntime,
  type ResultDocument,
  type RuntimeOptions,
} from './runtime.ts';
export { isNamespace, isOwnNetns } from './sandbox.ts';
export type {
  Dns,
  Interface,
  IpConfig,
  PluginConfig,
  PortMapping,
  Result,
  Route,
  ValidAttachment,
} from './types.ts';
export { type CniVersion, cniVersions, currentCniVersion, isCniVersion } from './version.ts';
