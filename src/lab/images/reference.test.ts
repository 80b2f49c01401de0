import { expect, test } from 'bun:test';
import { formatReference, parseReference } from './reference.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const cases: [text: string, full: string | undefined][] = [
  ['busybox', 'docker.io/library/busybox:latest'],
  ['busybox:1.36', 'docker.io/library/busybox:1.36'],
  ['inanimate/echo-server', 'docker.io/inanimate/echo-server:latest'],
  ['docker.io/busybox', 'docker.io/library/busybox:latest'],
  ['index.docker.io/library/busybox', 'docker.io/library/busybox:latest'],
  ['registry.k8s.io/pause:3.9', 'registry.k8s.io/pause:3.9'],
  ['localhost/a', 'localhost/a:latest'],
  ['localhost:5000/a/b:c', 'localhost:5000/a/b:c'],
  ['172.17.0.1:5000/a', '172.17.0.1:5000/a:latest'],
  [`busybox@${digest}`, `docker.io/library/busybox@${digest}`],
  [`busybox:1@${digest}`, `docker.io/library/busybox@${digest}`],
  ['', undefined],
  ['Upper/case', undefined],
  ['a b', undefined],
  ['a:', undefined],
  ['a@sha256:12', undefined],
  [`a@${digest}@${digest}`, undefined],
  ['../etc', undefined],
  ['a//b', undefined],
];

for (const [text, full] of cases) {
  test(`${JSON.stringify(text)} is ${full ?? 'no image name'}`, () => {
    const reference = parseReference(text);
    expect(reference === undefined ? undefined : formatReference(reference)).toBe(full);
  });
}
