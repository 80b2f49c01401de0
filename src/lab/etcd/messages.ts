/**
 * The part of etcd's v3 API that an API server needs. Field numbers are those of etcd 3.4's `rpc.proto` and `kv.proto`;
 * protocol buffers never renumber, so they hold for later versions.
 */
import { bool, bytes, int, message, nested, repeated, string } from '../../util/protobuf.ts';

export const ResponseHeader = message({ revision: int(3) });

export const KeyValue = message({
  key: string(1),
  createRevision: int(2),
  modRevision: int(3),
  value: bytes(5),
});

export const RangeRequest = message({
  key: bytes(1),
  rangeEnd: bytes(2),
  limit: int(3),
  revision: int(4),
});
export const RangeResponse = message({
  header: nested(1, ResponseHeader),
  kvs: repeated(2, KeyValue),
  more: bool(3),
  count: int(4),
});

export const PutRequest = message({ key: bytes(1), value: bytes(2), lease: int(3) });
export const DeleteRangeRequest = message({ key: bytes(1) });

export const RequestOp = message({
  range: nested(1, RangeRequest),
  put: nested(2, PutRequest),
  deleteRange: nested(3, DeleteRangeRequest),
});
export const ResponseOp = message({ range: nested(1, RangeResponse) });

/** `result` EQUAL is 0; `target` MOD is 2. */
export const Compare = message({
  result: int(1),
  target: int(2),
  key: bytes(3),
  modRevision: int(6),
});
export const TxnRequest = message({
  compare: repeated(1, Compare),
  success: repeated(2, RequestOp),
  failure: repeated(3, RequestOp),
});
export const TxnResponse = message({
  header: nested(1, ResponseHeader),
  succeeded: bool(2),
  responses: repeated(3, ResponseOp),
});

export const CompactionRequest = message({ revision: int(1) });
export const CompactionResponse = message({ header: nested(1, ResponseHeader) });

export const LeaseGrantRequest = message({ ttl: int(1), id: int(2) });
export const LeaseGrantResponse = message({ header: nested(1, ResponseHeader), id: int(2), ttl: int(3) });

export const WatchCreateRequest = message({
  key: bytes(1),
  rangeEnd: bytes(2),
  startRevision: int(3),
  progressNotify: bool(4),
  prevKv: bool(6),
});
export const WatchRequest = message({ create: nested(1, WatchCreateRequest) });
/** `type` PUT is 0, DELETE is 1. */
export const WatchEvent = message({ type: int(1), kv: nested(2, KeyValue), prevKv: nested(3, KeyValue) });
export const WatchResponse = message({
  header: nested(1, ResponseHeader),
  created: bool(3),
  canceled: bool(4),
  compactRevision: int(5),
  cancelReason: string(6),
  events: repeated(11, WatchEvent),
});
