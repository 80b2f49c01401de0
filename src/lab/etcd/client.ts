import { randomInt } from 'node:crypto';
import { GrpcChannel, GrpcError, type GrpcTls } from '../../sys/grpc.ts';
import type { Codec, InputOf, OutputOf } from '../../util/protobuf.ts';
import * as messages from './messages.ts';

export interface EtcdOptions {
  /** `https://host:port`, tried in this order. */
  endpoints: readonly string[];
  tls?: GrpcTls;
  /** Deadline of one request. Default 5000 ms. */
  timeoutMs?: number;
}

export type EtcdWatchResponse = OutputOf<typeof messages.WatchResponse>;

const utf8 = new TextEncoder();

/** etcd's v3 API, as far as an API server needs it. Keys are text, integers are numbers. Rejects with GrpcError. */
export class EtcdClient {
  readonly #channel: GrpcChannel;
  readonly #timeoutMs: number;

  constructor(options: EtcdOptions) {
    this.#channel = new GrpcChannel(options.endpoints, options.tls);
    this.#timeoutMs = options.timeoutMs ?? 5000;
  }

  range(request: InputOf<typeof messages.RangeRequest>) {
    return this.#call('KV/Range', messages.RangeRequest, messages.RangeResponse, request);
  }

  txn(request: InputOf<typeof messages.TxnRequest>) {
    return this.#call('KV/Txn', messages.TxnRequest, messages.TxnResponse, request);
  }

  compact(revision: number) {
    return this.#call('KV/Compact', messages.CompactionRequest, messages.CompactionResponse, { revision });
  }

  leaseGrant(ttl: number) {
    return this.#call('Lease/LeaseGrant', messages.LeaseGrantRequest, messages.LeaseGrantResponse, {
      ttl,
      // Chosen here, because etcd's own choice does not fit a JavaScript number.
      id: randomInt(1, 2 ** 48),
    });
  }

  /** Watches `[key, rangeEnd)` from `startRevision` on. Returns how to stop; `onEnd` is called at most once. */
  watch(
    request: InputOf<typeof messages.WatchCreateRequest>,
    handlers: { onResponse: (response: EtcdWatchResponse) => void; onEnd: (error: Error) => void },
  ): () => void {
    const stream = this.#channel.stream('etcdserverpb.Watch/Watch', {
      onMessage: (bytes) => handlers.onResponse(messages.WatchResponse.decode(bytes)),
      onEnd: (error) => handlers.onEnd(error ?? new GrpcError('Watch', 14, 'the server ended the watch')),
    });
    stream.send(messages.WatchRequest.encode({ create: request }));
    return () => stream.close();
  }

  close(): void {
    this.#channel.close();
  }

  async #call<Q, A>(
    method: string,
    request: Codec<Q, unknown>,
    answer: { decode(bytes: Uint8Array): A },
    value: Q,
  ): Promise<A> {
    const bytes = await this.#channel.unary(`etcdserverpb.${method}`, request.encode(value), {
      timeoutMs: this.#timeoutMs,
    });
    return answer.decode(bytes);
  }
}

/** The end of the range of all keys that start with `prefix`: the prefix with its last byte one higher. */
export function prefixEnd(prefix: string): Uint8Array {
  const end = Uint8Array.from(utf8.encode(prefix));
  for (let at = end.length - 1; at >= 0; at--) {
    if (end[at]! < 0xff) {
      end[at]!++;
      return end.subarray(0, at + 1);
    }
  }
  return Uint8Array.of(0);
}
