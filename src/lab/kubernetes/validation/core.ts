import { isIP } from 'node:net';
import {
  configMapKeyErrors,
  dnsLabelErrors,
  dnsSubdomainErrors,
  ipErrors,
  labelValueErrors,
  portNumberErrors,
  qualifiedNameErrors,
} from '../../../kube/names.ts';
import type {
  ConfigMap,
  EndpointSlice,
  Endpoints,
  Event,
  Lease,
  Namespace,
  Node,
  Secret,
  ServiceAccount,
} from '../../../kube/types.ts';
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  notSupported,
  required,
  tooLong,
} from './field-error.ts';
import { canonical } from './pod.ts';
import { allInvalid, oneOf, PROTOCOLS } from './rules.ts';

/** Objects that hold data may not be larger. */
const DATA_LIMIT = 1024 * 1024;
const TAINT_EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];

function keyErrors(map: Record<string, string> | undefined, path: string): FieldError[] {
  return Object.keys(map ?? {}).flatMap((key) => allInvalid(`${path}[${key}]`, key, configMapKeyErrors(key)));
}

export function validateConfigMap(map: ConfigMap): FieldError[] {
  const errors = keyErrors(map.data, 'data');
  for (const key of Object.keys(map.data ?? {})) {
    if (Object.hasOwn(map.binaryData ?? {}, key)) {
      errors.push(invalid(`data[${key}]`, key, 'duplicate of key present in binaryData'));
    }
  }
  errors.push(...keyErrors(map.binaryData, 'binaryData'));
  const size =
    Object.values(map.data ?? {}).reduce((sum, value) => sum + Buffer.byteLength(value), 0) +
    Object.values(map.binaryData ?? {}).reduce((sum, value) => sum + Buffer.byteLength(value, 'base64'), 0);
  return size > DATA_LIMIT ? [...errors, tooLong('', DATA_LIMIT)] : errors;
}

/** Keys that a Secret of a type must have; of the first group one is enough. */
const SECRET_KEYS: Readonly<Record<string, { all?: readonly string[]; any?: readonly string[] }>> = {
  'kubernetes.io/tls': { all: ['tls.crt', 'tls.key'] },
  'kubernetes.io/dockerconfigjson': { all: ['.dockerconfigjson'] },
  'kubernetes.io/dockercfg': { all: ['.dockercfg'] },
  'kubernetes.io/ssh-auth': { all: ['ssh-privatekey'] },
  'kubernetes.io/basic-auth': { any: ['username', 'password'] },
};

export function validateSecret(secret: Secret): FieldError[] {
  const errors = keyErrors(secret.data, 'data');
  const size = Object.values(secret.data ?? {}).reduce(
    (sum, value) => sum + Buffer.byteLength(value, 'base64'),
    0,
  );
  if (size > DATA_LIMIT) errors.push(tooLong('data', DATA_LIMIT));
  const needs = SECRET_KEYS[secret.type ?? ''];
  const has = (key: string): boolean => Object.hasOwn(secret.data ?? {}, key);
  for (const key of needs?.all ?? []) if (!has(key)) errors.push(required(`data[${key}]`));
  if (needs?.any !== undefined && !needs.any.some(has)) {
    errors.push(...needs.any.map((key) => required(`data[${key}]`)));
  }
  if (secret.type === 'kubernetes.io/service-account-token') {
    const key = 'kubernetes.io/service-account.name';
    if (!secret.metadata?.annotations?.[key]) errors.push(required(`metadata.annotations[${key}]`));
  }
  return errors;
}

interface Immutable {
  immutable?: boolean;
  data?: unknown;
  binaryData?: unknown;
}

/** An immutable ConfigMap or Secret keeps its data, and stays so. */
export function immutableDataErrors(object: Immutable, old: Immutable): FieldError[] {
  if (old.immutable !== true) return [];
  const detail = 'field is immutable when `immutable` is set';
  const errors: FieldError[] = [];
  if (object.immutable !== true) errors.push(forbidden('immutable', detail));
  for (const field of ['data', 'binaryData'] as const) {
    if (canonical(object[field]) !== canonical(old[field])) errors.push(forbidden(field, detail));
  }
  return errors;
}

export function secretUpdateErrors(secret: Secret, old: Secret): FieldError[] {
  const errors = immutableDataErrors(secret, old);
  return secret.type === old.type
    ? errors
    : [...errors, invalid('type', secret.type ?? '', 'field is immutable')];
}

export function validateServiceAccount(account: ServiceAccount): FieldError[] {
  return (account.imagePullSecrets ?? []).flatMap(({ name }, index) =>
    name ? [] : [required(`imagePullSecrets[${index}].name`)],
  );
}

export function validateNamespace(namespace: Namespace): FieldError[] {
  return (namespace.spec?.finalizers ?? []).flatMap((finalizer) => {
    const complaints = allInvalid('spec.finalizers', finalizer, qualifiedNameErrors(finalizer));
    if (complaints.length > 0 || finalizer.includes('/') || finalizer === 'kubernetes') return complaints;
    return [
      invalid(
        'spec.finalizers',
        finalizer,
        'name is neither a standard finalizer name nor is it fully qualified',
      ),
    ];
  });
}

export function validateNode(node: Node): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [index, taint] of (node.spec?.taints ?? []).entries()) {
    const at = `spec.taints[${index}]`;
    errors.push(...allInvalid(`${at}.key`, taint.key, qualifiedNameErrors(taint.key)));
    const complaints = labelValueErrors(taint.value ?? '');
    if (complaints.length > 0) errors.push(invalid(`${at}.value`, taint.value, complaints.join(';')));
    if (!taint.effect) errors.push(required(`${at}.effect`));
    else errors.push(...oneOf(`${at}.effect`, taint.effect, TAINT_EFFECTS));
    const key = `${taint.key}:${taint.effect}`;
    if (seen.has(key)) {
      errors.push({
        ...duplicate(at, taint),
        detail: 'taints must be unique by key and effect pair',
        message: `${duplicate(at, taint).message}: taints must be unique by key and effect pair`,
      });
    }
    seen.add(key);
  }
  return [...errors, ...nodeAddressErrors(node)];
}

const IP_TYPES = ['InternalIP', 'ExternalIP'];
const NAME_TYPES = ['Hostname', 'InternalDNS', 'ExternalDNS'];

/**
 * Kubernetes refuses duplicates only, and leaves it to whoever reads an address to find out that it is not valid. Here a
 * kubelet cannot store one: nothing that reads nodes has to expect it.
 */
function nodeAddressErrors({ status }: Node): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [index, entry] of (status?.addresses ?? []).entries()) {
    const at = `status.addresses[${index}]`;
    const { type, address } = entry;
    const key = JSON.stringify([type, address]);
    if (seen.has(key)) errors.push(duplicate(at, entry));
    seen.add(key);
    if (IP_TYPES.includes(type)) errors.push(...allInvalid(`${at}.address`, address, ipErrors(address)));
    if (NAME_TYPES.includes(type))
      errors.push(...allInvalid(`${at}.address`, address, dnsSubdomainErrors(address)));
  }
  return errors;
}

export function nodeUpdateErrors(node: Node, old: Node): FieldError[] {
  const errors: FieldError[] = [];
  if (old.spec?.podCIDR && node.spec?.podCIDR !== old.spec.podCIDR) {
    errors.push(forbidden('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'));
  }
  if (old.spec?.providerID && node.spec?.providerID !== old.spec.providerID) {
    errors.push(
      forbidden('spec.providerID', 'node updates may not change providerID except from "" to valid'),
    );
  }
  return errors;
}

export function validateEvent(event: Event): FieldError[] {
  const involved = event.involvedObject?.namespace ?? '';
  const own = event.metadata?.namespace ?? '';
  // Events about objects without a namespace are kept in the default one.
  const good = involved === own || (involved === '' && (own === 'default' || own === 'kube-system'));
  return good ? [] : [invalid('involvedObject.namespace', involved, 'does not match event.namespace')];
}

export function validateLease(lease: Lease): FieldError[] {
  const { leaseDurationSeconds: duration, leaseTransitions: transitions } = lease.spec ?? {};
  const errors: FieldError[] = [];
  if (duration !== undefined && duration <= 0) {
    errors.push(invalid('spec.leaseDurationSeconds', duration, 'must be greater than 0'));
  }
  if (transitions !== undefined && transitions < 0) {
    errors.push(invalid('spec.leaseTransitions', transitions, 'must be greater than or equal to 0'));
  }
  return errors;
}

/** Addresses at which nothing but the node itself can be reached. */
function endpointAddressErrors(ip: string, field: string): FieldError[] {
  const version = isIP(ip);
  if (version === 0) return allInvalid(field, ip, ipErrors(ip));
  if (ip === '0.0.0.0' || ip === '::') return [invalid(field, ip, `may not be unspecified (${ip})`)];
  if (version === 4 && ip.startsWith('127.')) {
    return [invalid(field, ip, 'may not be in the loopback range (127.0.0.0/8, ::1/128)')];
  }
  if (version === 6 && ip === '::1') {
    return [invalid(field, ip, 'may not be in the loopback range (127.0.0.0/8, ::1/128)')];
  }
  if (ip.startsWith('169.254.')) {
    return [invalid(field, ip, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)')];
  }
  return [];
}

interface EndpointPort {
  name?: string;
  port?: number;
  protocol?: string;
}

function endpointPortErrors(ports: readonly EndpointPort[] | undefined, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  for (const [index, { name = '', port, protocol }] of (ports ?? []).entries()) {
    const at = `${path}[${index}]`;
    if (name === '' && (ports ?? []).length > 1 && path.startsWith('subsets'))
      errors.push(required(`${at}.name`));
    else if (name !== '') errors.push(...allInvalid(`${at}.name`, name, dnsLabelErrors(name)));
    if (path === 'ports' && names.has(name)) errors.push(duplicate(`${at}.name`, name));
    names.add(name);
    if (port !== undefined) errors.push(...allInvalid(`${at}.port`, port, portNumberErrors(port)));
    errors.push(...oneOf(`${at}.protocol`, protocol, PROTOCOLS));
  }
  return errors;
}

export function validateEndpoints(endpoints: Endpoints): FieldError[] {
  return (endpoints.subsets ?? []).flatMap((subset, index) => {
    const at = `subsets[${index}]`;
    const errors: FieldError[] = [];
    if ((subset.addresses ?? []).length + (subset.notReadyAddresses ?? []).length === 0) {
      errors.push(required(at, 'must specify `addresses` or `notReadyAddresses`'));
    }
    for (const list of ['addresses', 'notReadyAddresses'] as const) {
      for (const [position, { ip }] of (subset[list] ?? []).entries()) {
        errors.push(...endpointAddressErrors(ip, `${at}.${list}[${position}].ip`));
      }
    }
    return [...errors, ...endpointPortErrors(subset.ports, `${at}.ports`)];
  });
}

export function validateEndpointSlice(slice: EndpointSlice): FieldError[] {
  const types = ['FQDN', 'IPv4', 'IPv6'];
  if (!slice.addressType) return [required('addressType')];
  const isKnown = types.includes(slice.addressType);
  const errors = isKnown ? [] : [notSupported('addressType', slice.addressType, types)];
  for (const [index, { addresses }] of (slice.endpoints ?? []).entries()) {
    const at = `endpoints[${index}].addresses`;
    if ((addresses ?? []).length === 0) errors.push(required(at, 'must contain at least 1 address'));
    for (const [position, address] of (addresses ?? []).entries()) {
      if (!isKnown || slice.addressType === 'FQDN') continue;
      const family = slice.addressType === 'IPv4' ? 4 : 6;
      const field = `${at}[${position}]`;
      if (isIP(address) !== family) {
        errors.push(invalid(field, address, `must be a valid ${slice.addressType} address`));
      } else errors.push(...endpointAddressErrors(address, field));
    }
  }
  return [...errors, ...endpointPortErrors(slice.ports, 'ports')];
}

export function endpointSliceUpdateErrors(slice: EndpointSlice, old: EndpointSlice): FieldError[] {
  return slice.addressType === old.addressType
    ? []
    : [invalid('addressType', slice.addressType, 'field is immutable')];
}
