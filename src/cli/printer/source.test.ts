import { describe, expect, test } from 'bun:test';
import type { PlannedPatch } from '../../agent/source.ts';
import type { ChangeAtSource } from '../../path/source/at-source.ts';
import { CNIS } from '../../path/source/cnis.ts';
import type { Patched } from '../../path/source/patch.ts';
import { plain } from './colour.ts';
import { renderDurability } from './source.ts';

const cilium = CNIS.find(({ name }) => name === 'Cilium')!;
const change: ChangeAtSource = {
  codes: ['conflist-renamed'],
  nodes: ['w1', 'w2'],
  cni: {
    cni: cilium,
    version: '1.16.0',
    installer: 'other',
    evidence: ['05-cilium.conflist begins with cilium-cni'],
  },
  change: cilium.changes.find(({ codes, since }) => codes.includes('conflist-renamed') && since)!,
};
const OFFER = 'hostport heal --at-source';
const WIDTH = { width: Number.POSITIVE_INFINITY, isUnfolded: false, paint: plain };

function rendered(patched?: Patched): string {
  const target = {
    group: '',
    version: 'v1',
    plural: 'configmaps',
    kind: 'ConfigMap',
    namespace: 'kube-system',
    name: 'cilium-config',
  };
  const planned: PlannedPatch[] | undefined = patched && [{ change, target, patched }];
  return renderDurability({ changes: [change], temporary: [] }, planned, OFFER, WIDTH);
}

const TITLE =
  '\nat the source: conflist-renamed on w1, w2\n  let Cilium leave other configurations alone (Cilium 1.16.0: 05-cilium.conflist begins with cilium-cni)\n';
const HELM =
  '      helm upgrade cilium cilium/cilium --namespace kube-system --reuse-values --set cni.exclusive=false\n';
const RESTART = '      kubectl -n kube-system rollout restart daemonset/cilium\n';

describe('a change at the source', () => {
  test.each<[string, Patched | undefined, string]>([
    ['is shown as commands', undefined, `${HELM}      # hostport heal --at-source changes it\n${RESTART}`],
    [
      'is shown as the patch that is made, and what is left to do',
      { is: 'patch', body: {}, shown: '{"data":{"cni-exclusive":"false"}}' },
      `      kubectl -n kube-system patch configmap cilium-config --type=merge -p '{"data":{"cni-exclusive":"false"}}'\n      # done by --at-source; it takes effect with, which is left to you:\n${RESTART}`,
    ],
    ['is there already', { is: 'done' }, '      # ConfigMap kube-system/cilium-config has it already\n'],
    ['is refused', { is: 'refused', why: 'so' }, `      # not changed by --at-source: so\n${HELM}`],
  ])('%s', (_, patched, expected) => expect(rendered(patched)).toBe(`${TITLE}${expected}`));
});

test('what does not last is said, and nothing where all does', () => {
  const temporary = [{ codes: ['x'], nodes: ['w1'], why: 'so\u001b[2J' }];
  expect(renderDurability({ changes: [], temporary }, undefined, OFFER, WIDTH)).toBe(
    '\ntemporary: x on w1\n  so\\x1b[2J\n',
  );
  expect(renderDurability({ changes: [], temporary: [] }, undefined, OFFER, WIDTH)).toBe('');
});
