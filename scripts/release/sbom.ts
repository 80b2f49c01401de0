import { createHash } from 'node:crypto';
import type { BuildFacts } from '../../src/util/version.ts';
import { bundledPackages, lockedPackage, type NpmPackage } from './npm-packages.ts';
import type { PluginEngine } from './plugin-engine.ts';

/** A file of the release. */
export interface Artefact {
  /** Below the release's directory. */
  name: string;
  sha256: string;
}

/** A component of a CycloneDX document. */
export interface Component {
  type: 'application' | 'library' | 'framework' | 'file';
  'bom-ref': string;
  name: string;
  version?: string;
  purl?: string;
  licenses?: unknown[];
  hashes?: { alg: string; content: string }[];
}

/** CycloneDX 1.6: what is in the program, with licences and hashes. `further` are components of images. */
export function sbom(
  root: string,
  facts: BuildFacts,
  plugins: PluginEngine,
  further: readonly Component[] = [],
): string {
  const bun = lockedPackage(root, 'bun');
  return bill('hostport', facts, [
    {
      type: 'framework',
      'bom-ref': `pkg:npm/bun@${bun.version}`,
      name: 'bun',
      version: bun.version,
      purl: `pkg:npm/bun@${bun.version}`,
      licenses: [{ license: { id: 'MIT' } }],
      hashes: [sha512(bun.integrity)],
    },
    ...bundledPackages(root).map(npmComponent),
    ...engineComponents(plugins),
    ...further,
  ]);
}

/** CycloneDX 1.6: what is in the CNI plugins by themselves. */
export function pluginSbom(facts: BuildFacts, plugins: PluginEngine): string {
  return bill('hostport-cni', facts, engineComponents(plugins));
}

function engineComponents({ engine, compiler }: PluginEngine): Component[] {
  const component = (name: string, purl: string, version: string): Component => ({
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    purl,
    licenses: [{ license: { id: 'MIT' } }],
  });
  return [
    component('quickjs-ng', `pkg:github/quickjs-ng/quickjs@v${engine.version}`, engine.version),
    component('musl, of ziglang', `pkg:pypi/ziglang@${compiler.version}`, compiler.version),
  ];
}

function bill(name: string, facts: BuildFacts, components: readonly Component[]): string {
  const self = `pkg:generic/${name}@${facts.version}`;
  const document = {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      ...(facts.date !== undefined && { timestamp: facts.date }),
      component: {
        type: 'application',
        'bom-ref': self,
        name,
        version: facts.version,
        licenses: [{ license: { id: 'Apache-2.0' } }],
      },
    },
    components,
    dependencies: [{ ref: self, dependsOn: components.map((component) => component['bom-ref']) }],
  };
  // A serial number is to be unique to the document, which it is when it comes from its content.
  const { bomFormat, specVersion, ...rest } = document;
  const serialNumber = `urn:uuid:${uuidOf(JSON.stringify(rest))}`;
  return `${JSON.stringify({ bomFormat, specVersion, serialNumber, ...rest }, null, 2)}\n`;
}

/** What every library's entry begins with. */
export function library(name: string, version: string, purl: string) {
  return { type: 'library', 'bom-ref': purl, name, version, purl } as const;
}

function npmComponent({ name, version, license, integrity }: NpmPackage): Component {
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
  const isExpression = /[() ]/.test(license);
  return {
    ...library(name, version, purl),
    licenses: [isExpression ? { expression: license } : { license: { id: license } }],
    hashes: [sha512(integrity)],
  };
}

function sha512(integrity: string) {
  return { alg: 'SHA-512', content: hexOf(integrity) };
}

/** The hash of `sha512-BASE64` in hexadecimal digits. */
export function hexOf(integrity: string): string {
  const base64 = /^sha512-([A-Za-z0-9+/]{86}==)$/.exec(integrity)?.[1];
  if (base64 === undefined) throw new Error(`not an integrity by SHA-512: ${JSON.stringify(integrity)}`);
  return Buffer.from(base64, 'base64').toString('hex');
}

/** A UUID of version 8 (RFC 9562): the beginning of a hash. */
function uuidOf(content: string): string {
  const bytes = createHash('sha256').update(content).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
