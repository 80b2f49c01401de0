import { expect, test } from 'bun:test';
import type { Exec } from '../sys/exec.ts';
import { deleteUdpFlows, listUdpFlows } from './conntrack.ts';

const LISTED = `udp      17 29 src=10.78.0.1 dst=10.78.0.2 sport=45678 dport=90 src=10.88.0.10 dst=10.78.0.1 sport=8080 dport=45678 mark=0 use=1
udp      17 12 src=10.78.0.1 dst=10.78.0.2 sport=45679 dport=90 [UNREPLIED] src=10.78.0.2 dst=10.78.0.1 sport=90 dport=45679 mark=0 use=1
`;

test('flows are where they go and who answers', async () => {
  const exec: Exec = { run: async () => ({ code: 0, stdout: LISTED, stderr: '' }) };
  expect(await listUdpFlows(exec, 'ipv4', 90)).toEqual([
    { destination: '10.78.0.2', destinationPort: 90, replySource: '10.88.0.10', replySourcePort: 8080 },
    { destination: '10.78.0.2', destinationPort: 90, replySource: '10.78.0.2', replySourcePort: 90 },
  ]);
});

test('a flow that ended by itself is not an error, any other failure is', async () => {
  const [flow] = [{ destination: 'a', destinationPort: 1, replySource: 'b', replySourcePort: 2 }];
  const failing = (stderr: string): Exec => ({ run: async () => ({ code: 1, stdout: '', stderr }) });
  const none = 'conntrack v1.4.7 (conntrack-tools): 0 flow entries have been deleted.';
  await deleteUdpFlows(failing(none), 'ipv4', flow!);
  await expect(deleteUdpFlows(failing('Operation not permitted'), 'ipv4', flow!)).rejects.toThrow(
    /not permitted/,
  );
});
