import { beforeEach, expect, test } from 'bun:test';
import { AddressStandIns } from './addresses.ts';
import { NameStandIns } from './names.ts';
import { TextStandIns } from './texts.ts';

let names: NameStandIns;
let addresses: AddressStandIns;
let texts: TextStandIns;
beforeEach(() => {
  names = new NameStandIns();
  addresses = new AddressStandIns(() => true);
  texts = new TextStandIns(addresses, names);
  names.add('node', 'worker-7.corp.internal');
  names.add('node', 'worker-7');
  names.add('namespace', 'payments');
  names.add('namespace', 'cni');
  names.add('pod', 'checkout-5d9f-x2x4z');
  names.add('image', 'registry.corp.internal:5000/shop/checkout:1.2');
  names.keep('cbr0');
  names.add('pod', 'cbr0');
});

test.each<[text: string, anonymous: string]>([
  ['pod payments/checkout-5d9f-x2x4z on worker-7', 'pod namespace-2/pod-2 on node-1'],
  ['pod "checkout-5d9f-x2x4z_payments(6f-1)"', 'pod "pod-2_namespace-2(6f-1)"'],
  ['worker-7.corp.internal: down.', 'node-2: down.'],
  ['https://vault.corp.internal:8200/v1/payments', 'https://host-1:8200/v1/namespace-2'],
  ['https://vault:8200 refused', 'https://host-1:8200 refused'],
  ['lookup db.corp.internal on A: no such host', 'lookup host-1 on A: no such host'],
  [
    'Failed to pull image "registry.corp.internal:5000/shop/checkout:1.2": 404',
    'Failed to pull image "image-1": 404',
  ],
  ['Back-off pulling image "other.example/x@sha256:00ff"', 'Back-off pulling image "image-2"'],
  ['pulled registry.corp.internal:5000/shop/checkout:1.2.', 'pulled image-1.'],
  ['checkout.payments.svc', 'host-1'],
  // What the diagnosis knows messages by, files, settings and public hosts.
  [
    'failed to find plugin "portmap" in path [/opt/cni/bin]: network cbr0',
    'failed to find plugin "portmap" in path [/opt/cni/bin]: network cbr0',
  ],
  ['/etc/cni/net.d/05-cilium.conflist', '/etc/cni/net.d/05-cilium.conflist'],
  ['net.ipv4.conf.all.rp_filter=1', 'net.ipv4.conf.all.rp_filter=1'],
  ['quay.io and registry.k8s.io', 'quay.io and registry.k8s.io'],
  ['2026-01-01T00:00:00Z 80:8080 [0:0] ::', '2026-01-01T00:00:00Z 80:8080 [0:0] ::'],
])('%s', (text, anonymous) => {
  expect(texts.text(text)).toBe(anonymous);
});

test('addresses are replaced however they stand', () => {
  const four = addresses.of('10.1.2.3')!;
  const six = addresses.of('fd00::5')!;
  expect(texts.text('dial tcp 10.1.2.3:80: 10.1.2.3/32 10.1.2.3-10.1.2.3, 10.1.2.3.')).toBe(
    `dial tcp ${four}:80: ${four}/32 ${four}-${four}, ${four}.`,
  );
  expect(texts.text('[fd00::5]:80 fd00::5/128 fd00::5: http://[fd00::5]:80/')).toBe(
    `[${six}]:80 ${six}/128 ${six}: http://[${six}]:80/`,
  );
  expect(texts.text('mac 0A:58:0a:f4:01:05')).toBe('mac 02:00:00:00:00:01');
  expect(texts.text('ff:ff:ff:ff:ff:ff')).toBe('ff:ff:ff:ff:ff:ff');
});
