import { describe, expect, test } from 'bun:test';
import type { ApiClient } from '../../kube/client.ts';
import type { Pod, PodStatus } from '../../kube/types.ts';
import { realClock } from '../../sys/clock.ts';
import { StatusPublisher } from './status-publisher.ts';

const ready = (status: 'True' | 'False'): PodStatus => ({
  phase: 'Running',
  conditions: [{ type: 'Ready', status }],
});

/** A publisher whose API gives every patch the next version, and what it was sent. */
function publisher(firstVersion: number) {
  const sent: unknown[] = [];
  let version = firstVersion;
  const client = {
    async patch(...[, , , , patch]: Parameters<ApiClient['patch']>) {
      sent.push((patch as { status: PodStatus }).status.conditions?.[0]?.status);
      return { metadata: { resourceVersion: String(++version) } };
    },
  } as unknown as ApiClient;
  const errors: unknown[] = [];
  return { sent, errors, it: new StatusPublisher(client, realClock, (error) => errors.push(error)) };
}

const pod = (resourceVersion: string, status?: PodStatus): Pod => ({
  metadata: { name: 'p', namespace: 'default', uid: 'u', resourceVersion },
  spec: { containers: [] },
  ...(status && { status }),
});

describe('what the API gets', () => {
  test.each<[string, Pod, ('True' | 'False')[]]>([
    ['nothing, when it has what was sent', pod('8', ready('True')), ['True']],
    ['nothing, when the object that is looked at is from before', pod('7'), ['True']],
    ['once more, when somebody has written otherwise since', pod('9', ready('False')), ['True', 'True']],
    ['nothing, when somebody has written something else since', pod('10', ready('True')), ['True']],
  ])('%s', async (_, seen, expected) => {
    const { it, sent, errors } = publisher(7);
    it.publish(pod('7'), ready('True'));
    await it.settled();
    it.publish(seen, ready('True'));
    await it.settled();
    expect(sent).toEqual(expected);
    expect(errors).toEqual([]);
  });
});
