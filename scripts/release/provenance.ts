import type { BuildFacts } from '../../src/util/version.ts';
import { ARCHITECTURES, type DebianLock } from './images/debian-lock.ts';
import { bundledPackages, lockedPackage } from './npm-packages.ts';
import type { PluginEngine } from './plugin-engine.ts';
import { RUNTIMES } from './runtimes.ts';
import { type Artefact, hexOf } from './sbom.ts';

/** What `make release` was given besides the registry, and the files depend on. */
export interface Given {
  /** Where the files will be: `DOWNLOADS`. */
  downloads?: string;
  /** What the packages of npm are published from: `REPOSITORY`. */
  repository?: string;
}

/**
 * An in-toto statement with SLSA's provenance, version 1: which files come from which commit, packages and runtimes. It is not signed, and
 * names no builder: whoever builds the same commit gets the same statement.
 */
export function provenance(
  root: string,
  facts: BuildFacts,
  artefacts: readonly Artefact[],
  { plugins, debian, given }: { plugins: PluginEngine; debian: DebianLock; given: Given },
): string {
  const commit = facts.commit === undefined ? [] : [{ name: 'source', digest: { gitCommit: facts.commit } }];
  const runtimes = RUNTIMES.map(({ npm }) => ({ name: npm, ...lockedPackage(root, npm) }));
  const packages = [...runtimes, ...bundledPackages(root)].map(({ name, version, integrity }) => ({
    uri: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    digest: { sha512: hexOf(integrity) },
  }));
  // A package of Python has one file for each platform that it is installed on.
  const compilers = plugins.compiler.sha256.map((sha256) => ({
    uri: `pkg:pypi/ziglang@${plugins.compiler.version}`,
    digest: { sha256 },
  }));
  const system = ARCHITECTURES.flatMap((architecture) =>
    debian[architecture].map(({ name, version, sha256 }) => ({
      uri: `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${architecture}`,
      digest: { sha256 },
    })),
  );
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: artefacts.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'urn:hostport:make-release:v1',
        externalParameters: {
          target: 'release',
          version: facts.version,
          ...(facts.registry !== undefined && { registry: facts.registry }),
          ...given,
        },
        resolvedDependencies: [...commit, ...packages, ...compilers, ...system],
      },
      runDetails: { builder: { id: 'urn:hostport:make-release' } },
    },
  };
  return `${JSON.stringify(statement, null, 2)}\n`;
}
