export { type ConfigSources, type LoadedConfig, loadClusterConfig } from './load.ts';
export { NODE_POD_PREFIX, NODE_SUBNET } from './subnets.ts';
export type {
  ClusterConfig,
  ExtraMount,
  MountPropagation,
  MountType,
  NetworkingConfig,
  NodeConfig,
  NodeRole,
  PortMapping,
} from './types.ts';
