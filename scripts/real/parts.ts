import { join } from 'node:path';
import { UserError } from '../../src/util/errors.ts';
import { ciliumParts } from './cilium.ts';
import { ciliumImages } from './cilium-images.ts';
import { cniParts } from './cni.ts';
import { containerdParts } from './containerd.ts';
import { debianPart } from './debian.ts';
import { e2eParts } from './e2e.ts';
import { helmPart } from './helm.ts';
import { kubernetesPart } from './kubernetes.ts';
import type { Part } from './part.ts';
import { promtoolPart } from './prometheus.ts';
import { releaseToolParts } from './release-tools.ts';

/** Where the modules are that parts are built from. */
const ROOT = join(import.meta.dir, '../../real');

/** Everything that `make real` builds, in the order in which it does. */
export async function realParts(root = ROOT): Promise<Part[]> {
  const cilium = [...(await ciliumParts(root)), await debianPart()];
  return [
    await kubernetesPart(root),
    ...(await containerdParts(root)),
    ...(await cniParts(root)),
    ...cilium,
    ciliumImages(cilium),
    await helmPart(root),
    await promtoolPart(root),
    ...(await releaseToolParts(root)),
    ...(await e2eParts(root)),
  ];
}

/** A part by its name. */
export async function realPart(name: string): Promise<Part> {
  const parts = await realParts();
  const part = parts.find((each) => each.name === name);
  if (part === undefined) {
    const known = parts.map((each) => each.name).join(', ');
    throw new UserError(`cannot build ${name}: no such part; there are ${known}`);
  }
  return part;
}
