import { describe, expect, test } from 'bun:test';
import type { FlowRecord, TracedFlow } from '../../path/model/flow-trace.ts';
import { waitFor } from '../../sys/wait.ts';
import type { Recording } from './record.ts';
import { Traces } from './traces.ts';

const flow: TracedFlow = {
  ...{ protocol: 'TCP', family: 'ipv4', address: '192.0.2.1', port: 8080, sourcePort: 61_001 },
};
const record: FlowRecord = {
  ...{ events: { value: [] }, isTruncated: false, hooks: {}, drops: { value: [] } },
  ...{ hasLegacyRules: false, silentNeighbours: [] },
};

/** Recordings that know which of them were ended. */
function recordings() {
  const ended: string[] = [];
  let made = 0;
  const start = async (): Promise<Recording> => {
    const name = `recording ${++made}`;
    return {
      stop: async () => {
        ended.push(name);
        return record;
      },
    };
  };
  return { start, ended };
}

describe('the traces of a server', () => {
  test('are ended once, with what was recorded', async () => {
    const { start, ended } = recordings();
    const traces = new Traces(start);
    const id = await traces.start(flow);
    expect(await traces.stop(id)).toEqual(record);
    await expect(traces.stop(id)).rejects.toThrow('cannot end the trace: it has ended');
    expect(ended).toEqual(['recording 1']);
  });

  test('end by themselves when nobody ends them', async () => {
    const { start, ended } = recordings();
    const traces = new Traces(start, 1);
    const id = await traces.start(flow);
    await waitFor('the end', () => ended.length === 1, { timeoutMs: 10_000 });
    await expect(traces.stop(id)).rejects.toThrow('it has ended');
  });

  test('all end with the server, also one that is just being started', async () => {
    const { start, ended } = recordings();
    const gate = Promise.withResolvers<void>();
    let isFirst = true;
    const traces = new Traces(async () => {
      if (!isFirst) await gate.promise;
      isFirst = false;
      return start();
    });
    await traces.start(flow);
    const late = traces.start(flow);
    const closed = traces.close();
    gate.resolve();
    await Promise.all([late, closed]);
    expect(ended).toEqual(['recording 1', 'recording 2']);
  });
});
