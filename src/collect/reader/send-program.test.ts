import { expect, test } from 'bun:test';
import { parseMountinfo } from '../../sys/mounts.ts';
import { pathOnNode } from './send-program.ts';

const VOLUME = '/pods/u/volumes/kubernetes.io~empty-dir/program';

test.each([
  [
    'on the disk of the root directory',
    ['8:1 / /host ro', `8:1 /var/lib/kubelet${VOLUME} /hostport rw`],
    `/var/lib/kubelet${VOLUME}/hostport`,
  ],
  [
    'on a disk of its own',
    ['8:1 / /host ro', '8:2 / /host/var ro', `8:2 /lib/kubelet${VOLUME} /hostport rw`],
    `/var/lib/kubelet${VOLUME}/hostport`,
  ],
  [
    'in a directory that is mounted elsewhere',
    [
      '8:1 /image /host ro',
      '8:1 /data/kubelet /host/var/lib/kubelet ro',
      `8:1 /data/kubelet${VOLUME} /hostport rw`,
    ],
    `/var/lib/kubelet${VOLUME}/hostport`,
  ],
  ['on a disk that the node does not show', ['8:1 / /host ro', `8:2 ${VOLUME} /hostport rw`], undefined],
  ['nowhere', ['8:1 / /host ro'], undefined],
])('the place of a sent program on its node: %s', (_, lines, expected) => {
  const text = lines.map((line, i) => {
    const [device, root, point, options] = line.split(' ');
    return `${i + 10} 1 ${device} ${root} ${point} ${options} - ext4 /dev/x rw`;
  });
  expect(pathOnNode('/hostport/hostport', [...parseMountinfo(text.join('\n')).values()])).toBe(expected);
});
