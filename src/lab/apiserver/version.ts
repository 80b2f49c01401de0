import { RELEASE } from '../kubernetes/release.ts';

/**
 * What `/version` answers. The version is that of the Kubernetes API whose habits are followed: clients compare it with
 * their own and warn when they are more than one minor version apart.
 */
export const VERSION = {
  major: RELEASE.major,
  minor: RELEASE.minor,
  gitVersion: `${RELEASE.version}+hostport`,
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: 'bun',
  platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
} as const;
