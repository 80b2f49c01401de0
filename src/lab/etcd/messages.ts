/**
 * The part of etcd's v3 API that an API server needs. Field numbers are those of etcd 3.4's `rpc.proto` and `kv.proto`;
 * protocol buffers never renumber, so they hold for later versions.
 */
import { message } from './protobuf.ts';

export const ResponseHeader = message({ revision: [3, 'int'] });

export const KeyValue = message({
  key: [1, 'string'],
  createRevision: [2, 'int'],
  modRevision: [3, 'int'],
  value: [5, 'bytes'],
});

export const RangeRequest = message({
  key: [1, 'bytes'],
  rangeEnd: [2, 'bytes'],
  limit: [3, 'int'],
  revision: [4, 'int'],
});
export const RangeResponse = message({
  header: [1, ResponseHeader],
  kvs: [2, [KeyValue]],
  more: [3, 'bool'],
  count: [4, 'int'],
});

export const PutRequest = message({ key: [1, 'bytes'], value: [2, 'bytes'], lease: [3, 'int'] });
export const DeleteRangeRequest = message({ key: [1, 'bytes'] });

export const RequestOp = message({
  range: [1, RangeRequest],
  put: [2, PutRequest],
  deleteRange: [3, DeleteRangeRequest],
});
export const ResponseOp = message({ range: [1, RangeResponse] });

/** `result` EQUAL is 0; `target` MOD is 2. */
export const Compare = message({
  result: [1, 'int'],
  target: [2, 'int'],
  key: [3, 'bytes'],
  modRevision: [6, 'int'],
});
export const TxnRequest = message({
  compare: [1, [Compare]],
  success: [2, [RequestOp]],
  failure: [3, [RequestOp]],
});
export const TxnResponse = message({
  header: [1, ResponseHeader],
  succeeded: [2, 'bool'],
  responses: [3, [ResponseOp]],
});

export const CompactionRequest = message({ revision: [1, 'int'] });
export const CompactionResponse = message({ header: [1, ResponseHeader] });

export const LeaseGrantRequest = message({ ttl: [1, 'int'], id: [2, 'int'] });
export const LeaseGrantResponse = message({ header: [1, ResponseHeader], id: [2, 'int'], ttl: [3, 'int'] });

export const WatchCreateRequest = message({
  key: [1, 'bytes'],
  rangeEnd: [2, 'bytes'],
  startRevision: [3, 'int'],
  progressNotify: [4, 'bool'],
  prevKv: [6, 'bool'],
});
export const WatchRequest = message({ create: [1, WatchCreateRequest] });
/** `type` PUT is 0, DELETE is 1. */
export const WatchEvent = message({ type: [1, 'int'], kv: [2, KeyValue], prevKv: [3, KeyValue] });
export const WatchResponse = message({
  header: [1, ResponseHeader],
  created: [3, 'bool'],
  canceled: [4, 'bool'],
  compactRevision: [5, 'int'],
  cancelReason: [6, 'string'],
  events: [11, [WatchEvent]],
});
