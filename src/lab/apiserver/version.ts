import { RELEASE } from '../kubernetes/release.ts';

/**
 * What `/version` answers. The version is that of the Kubernetes API whose habits are followed: clients compare it with
 * their own and warn when they are more than one minor version apart.
 */
export const VERSION = {
  major: RELEASE.major,
  minor: RELEASE.minor,
  emulationMajor: RELEASE.major,
  emulationMinor: RELEASE.minor,
  minCompatibilityMajor: RELEASE.major,
  minCompatibilityMinor: String(Number(RELEASE.minor) - 1),
  gitVersion: `${RELEASE.version}+hostport`,
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '1970-01-01T00:00:00Z',
  goVersion: '',
  compiler: 'bun',
  platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
} as const;
