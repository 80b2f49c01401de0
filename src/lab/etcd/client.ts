import { randomInt } from 'node:crypto';
import { GrpcChannel, GrpcError, type GrpcTls } from '../../sys/grpc.ts';
import * as messages from './messages.ts';
import { type Decoded, decode, type Encoded, encode, type Fields, type Message } from './protobuf.ts';

export interface EtcdOptions {
  /** `https://host:port`, tried in this order. */
  endpoints: readonly string[];
  tls?: GrpcTls;
  /** Deadline of one request. Default 5000 ms. */
  timeoutMs?: number;
}

export type EtcdWatchResponse = Decoded<typeof messages.WatchResponse.fields>;

const utf8 = new TextEncoder();

/** etcd's v3 API, as far as an API server needs it. Keys are text, integers are numbers. Rejects with GrpcError. */
export class EtcdClient {
  readonly #channel: GrpcChannel;
  readonly #timeoutMs: number;

  constructor(options: EtcdOptions) {
    this.#channel = new GrpcChannel(options.endpoints, options.tls);
    this.#timeoutMs = options.timeoutMs ?? 5000;
  }

  range(request: Encoded<typeof messages.RangeRequest.fields>) {
    return this.#call('KV/Range', messages.RangeRequest, messages.RangeResponse, request);
  }

  txn(request: Encoded<typeof messages.TxnRequest.fields>) {
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
    request: Encoded<typeof messages.WatchCreateRequest.fields>,
    handlers: { onResponse: (response: EtcdWatchResponse) => void; onEnd: (error: Error) => void },
  ): () => void {
    const stream = this.#channel.stream('etcdserverpb.Watch/Watch', {
      onMessage: (bytes) => handlers.onResponse(decode(messages.WatchResponse, bytes)),
      onEnd: (error) => handlers.onEnd(error ?? new GrpcError('Watch', 14, 'the server ended the watch')),
    });
    stream.send(encode(messages.WatchRequest, { create: request }));
    return () => stream.close();
  }

  close(): void {
    this.#channel.close();
  }

  async #call<Q extends Fields, A extends Fields>(
    method: string,
    request: Message<Q>,
    answer: Message<A>,
    value: Encoded<Q>,
  ): Promise<Decoded<A>> {
    const bytes = await this.#channel.unary(`etcdserverpb.${method}`, encode(request, value), {
      timeoutMs: this.#timeoutMs,
    });
    return decode(answer, bytes);
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
