import { type FieldError, invalidMessage } from '../kubernetes/validation/index.ts';

/** Why a request was refused, in one of the parts that `details.causes` lists. */
export interface Cause {
  reason: string;
  message: string;
  field?: string;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  /** The plural resource name, or the kind for Invalid, as Kubernetes has it. */
  kind?: string;
  uid?: string;
  causes?: Cause[];
  retryAfterSeconds?: number;
}

/** An answer other than success: becomes a `v1` Status with this HTTP code. */
export class StatusError extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: StatusDetails | undefined;
  /** ListMeta of the Status: a `continue` token that can still be used. */
  readonly metadata: { continue?: string; resourceVersion?: string };

  constructor(
    code: number,
    reason: string,
    message: string,
    details?: StatusDetails,
    metadata: { continue?: string; resourceVersion?: string } = {},
  ) {
    super(message);
    this.name = 'StatusError';
    this.code = code;
    this.reason = reason;
    this.details = details;
    this.metadata = metadata;
  }

  /** The `v1` Status to answer with. */
  toStatus(): Record<string, unknown> {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: this.metadata,
      status: 'Failure',
      message: this.message,
      ...(this.reason === '' ? {} : { reason: this.reason }),
      ...(this.details === undefined ? {} : { details: withoutEmpty(this.details) }),
      code: this.code,
    };
  }
}

/** Names that are not there are not written, as with every string of these types. */
function withoutEmpty(details: StatusDetails): object {
  return Object.fromEntries(Object.entries(details).filter(([, value]) => value !== ''));
}

/** What an error is about: the resource as it is in URLs. */
export interface Target {
  group: string;
  plural: string;
}

/** `deployments.apps`, `pods`: a group resource as Kubernetes prints it. */
export function qualified(target: Target): string {
  return target.group === '' ? target.plural : `${target.plural}.${target.group}`;
}

function detailsOf(target: Target, name: string): StatusDetails {
  return { name, ...(target.group === '' ? {} : { group: target.group }), kind: target.plural };
}

export function badRequest(message: string): StatusError {
  return new StatusError(400, 'BadRequest', message);
}

export function unauthorized(): StatusError {
  return new StatusError(401, 'Unauthorized', 'Unauthorized');
}

export function notFound(target: Target, name: string): StatusError {
  return new StatusError(
    404,
    'NotFound',
    `${qualified(target)} ${JSON.stringify(name)} not found`,
    detailsOf(target, name),
  );
}

/** A path that is served by nothing. */
export function unknownResource(): StatusError {
  return new StatusError(404, 'NotFound', 'the server could not find the requested resource', {});
}

export function methodNotAllowed(): StatusError {
  return new StatusError(
    405,
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
    {},
  );
}

export function alreadyExists(target: Target, name: string): StatusError {
  return new StatusError(
    409,
    'AlreadyExists',
    `${qualified(target)} ${JSON.stringify(name)} already exists`,
    detailsOf(target, name),
  );
}

export function conflict(target: Target, name: string, why: string): StatusError {
  return new StatusError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualified(target)} ${JSON.stringify(name)}: ${why}`,
    detailsOf(target, name),
  );
}

/** The conflict of a write that was based on an old resourceVersion. */
export function modified(target: Target, name: string): StatusError {
  return conflict(
    target,
    name,
    'the object has been modified; please apply your changes to the latest version and try again',
  );
}

export function forbidden(target: Target, name: string, why: string, causes?: Cause[]): StatusError {
  const subject = name === '' ? qualified(target) : `${qualified(target)} ${JSON.stringify(name)}`;
  return new StatusError(403, 'Forbidden', `${subject} is forbidden: ${why}`, {
    ...detailsOf(target, name),
    ...(name === '' ? { name: undefined } : {}),
    ...(causes === undefined ? {} : { causes }),
  });
}

export function invalid(
  kind: { group: string; kind: string },
  name: string,
  errors: readonly FieldError[],
): StatusError {
  return new StatusError(422, 'Invalid', invalidMessage(kind.kind, kind.group, name, errors), {
    ...(name === '' ? {} : { name }),
    ...(kind.group === '' ? {} : { group: kind.group }),
    kind: kind.kind,
    causes: errors.map(({ type, message, field }) => ({ reason: type, message, field })),
  });
}

/** 410: a resourceVersion or continue token from before the last compaction. */
export function expired(message: string, continueToken?: string): StatusError {
  return new StatusError(
    410,
    'Expired',
    message,
    undefined,
    continueToken === undefined ? {} : { continue: continueToken },
  );
}

export function internalError(message: string): StatusError {
  return new StatusError(500, 'InternalError', `Internal error occurred: ${message}`, {
    causes: [{ reason: '', message }],
  });
}

export function serviceUnavailable(message: string): StatusError {
  return new StatusError(503, 'ServiceUnavailable', message, { retryAfterSeconds: 1 });
}
