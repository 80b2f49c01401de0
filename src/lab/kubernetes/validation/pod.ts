import { isIP } from 'node:net';
import {
  dnsLabelErrors,
  dnsSubdomainErrors,
  ipErrors,
  labelValueErrors,
  qualifiedNameErrors,
} from '../../../kube/names.ts';
import type { Container, Pod, PodSpec, Toleration } from '../../../kube/types.ts';
import { validateContainers } from './container.ts';
import {
  duplicate,
  type FieldError,
  forbidden,
  invalid,
  notFound,
  notSupported,
  required,
} from './field-error.ts';
import { validateLabels } from './metadata.ts';
import { allInvalid, inRange, oneOf, requiredOneOf } from './rules.ts';
import { validateLabelSelector } from './selector.ts';
import { validateVolumes } from './volume.ts';

const MAX_INT32 = 2 ** 31 - 1;
const RESTART_POLICIES = ['Always', 'OnFailure', 'Never'];
const DNS_POLICIES = ['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'];
const TAINT_EFFECTS = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];

export function validateTolerations(
  tolerations: readonly Toleration[] | undefined,
  path: string,
): FieldError[] {
  return (tolerations ?? []).flatMap((toleration, index) => {
    const at = `${path}[${index}]`;
    const { key, operator, value, effect, tolerationSeconds } = toleration;
    const errors: FieldError[] = key ? allInvalid(`${at}.key`, key, qualifiedNameErrors(key)) : [];
    if (!key && operator !== 'Exists') {
      errors.push(
        invalid(
          `${at}.operator`,
          operator ?? '',
          'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        ),
      );
    }
    if (tolerationSeconds !== undefined && effect !== 'NoExecute') {
      errors.push(
        invalid(`${at}.effect`, effect ?? '', "effect must be 'NoExecute' when `tolerationSeconds` is set"),
      );
    }
    switch (operator) {
      case undefined:
      case '':
      case 'Equal': {
        const complaints = labelValueErrors(value ?? '');
        if (complaints.length > 0) errors.push(invalid(`${at}.operator`, value, complaints.join(';')));
        break;
      }
      case 'Exists':
        if (value)
          errors.push(
            invalid(`${at}.operator`, toleration, "value must be empty when `operator` is 'Exists'"),
          );
        break;
      default:
        errors.push(notSupported(`${at}.operator`, operator, ['Equal', 'Exists']));
    }
    if (effect) errors.push(...oneOf(`${at}.effect`, effect, TAINT_EFFECTS));
    return errors;
  });
}

function dnsErrors(spec: PodSpec, path: string): FieldError[] {
  const errors = requiredOneOf(`${path}.dnsPolicy`, spec.dnsPolicy, DNS_POLICIES);
  const servers = spec.dnsConfig?.nameservers ?? [];
  if (spec.dnsPolicy === 'None') {
    if (spec.dnsConfig === undefined) {
      errors.push(required(`${path}.dnsConfig`, 'must provide `dnsConfig` when `dnsPolicy` is None'));
    } else if (servers.length === 0) {
      errors.push(
        required(
          `${path}.dnsConfig.nameservers`,
          'must provide at least one DNS nameserver when `dnsPolicy` is None',
        ),
      );
    }
  }
  if (servers.length > 3) {
    errors.push(invalid(`${path}.dnsConfig.nameservers`, servers, 'must not have more than 3 nameservers'));
  }
  for (const [index, server] of servers.entries()) {
    errors.push(...allInvalid(`${path}.dnsConfig.nameservers[${index}]`, server, ipErrors(server)));
  }
  return errors;
}

function affinityErrors(spec: PodSpec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const node = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (node !== undefined) {
    const at = `${path}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms`;
    const terms = node.nodeSelectorTerms ?? [];
    if (terms.length === 0) errors.push(required(at, 'must have at least one node selector term'));
    for (const [index, { matchExpressions }] of terms.entries()) {
      for (const [position, { key, operator, values }] of (matchExpressions ?? []).entries()) {
        const field = `${at}[${index}].matchExpressions[${position}]`;
        errors.push(...allInvalid(`${field}.key`, key, qualifiedNameErrors(key)));
        const count = (values ?? []).length;
        if (operator === 'In' || operator === 'NotIn') {
          if (count === 0) {
            errors.push(required(`${field}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
          }
        } else if (operator === 'Exists' || operator === 'DoesNotExist') {
          if (count > 0) {
            errors.push(
              forbidden(
                `${field}.values`,
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
              ),
            );
          }
        } else if (operator === 'Gt' || operator === 'Lt') {
          if (count !== 1) {
            errors.push(
              required(`${field}.values`, "must be specified single value when `operator` is 'Lt' or 'Gt'"),
            );
          }
        } else {
          errors.push(invalid(`${field}.operator`, operator, 'not a valid selector operator'));
        }
      }
    }
  }
  for (const kind of ['podAffinity', 'podAntiAffinity'] as const) {
    const terms = spec.affinity?.[kind]?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
    for (const [index, term] of terms.entries()) {
      const at = `${path}.affinity.${kind}.requiredDuringSchedulingIgnoredDuringExecution[${index}]`;
      errors.push(...validateLabelSelector(term.labelSelector, `${at}.labelSelector`));
      if (!term.topologyKey) {
        errors.push(required(`${at}.topologyKey`, 'can not be empty'));
      } else
        errors.push(
          ...allInvalid(`${at}.topologyKey`, term.topologyKey, qualifiedNameErrors(term.topologyKey)),
        );
    }
  }
  for (const [index, constraint] of (spec.topologySpreadConstraints ?? []).entries()) {
    const at = `${path}.topologySpreadConstraints[${index}]`;
    if (!(constraint.maxSkew > 0)) {
      errors.push(invalid(`${at}.maxSkew`, constraint.maxSkew ?? 0, 'must be greater than zero'));
    }
    if (!constraint.topologyKey) errors.push(required(`${at}.topologyKey`, 'can not be empty'));
    errors.push(
      ...oneOf(`${at}.whenUnsatisfiable`, constraint.whenUnsatisfiable ?? '', [
        'DoNotSchedule',
        'ScheduleAnyway',
      ]),
    );
    errors.push(...validateLabelSelector(constraint.labelSelector, `${at}.labelSelector`));
  }
  return errors;
}

/** What is wrong with a pod's specification; `isPod` for a pod itself, not for a template. */
export function validatePodSpec(spec: PodSpec, path: string, isPod: boolean): FieldError[] {
  const names = new Set((spec.volumes ?? []).map(({ name }) => name));
  const errors = [
    ...validateVolumes(spec.volumes, `${path}.volumes`),
    ...validateContainers(spec.containers, spec.initContainers, path, {
      volumes: names,
      hostNetwork: spec.hostNetwork === true,
      isPod,
    }),
    ...requiredOneOf(`${path}.restartPolicy`, spec.restartPolicy, RESTART_POLICIES),
    ...dnsErrors(spec, path),
    ...validateLabels(spec.nodeSelector, `${path}.nodeSelector`),
    ...validateTolerations(spec.tolerations, `${path}.tolerations`),
    ...affinityErrors(spec, path),
    ...inRange(`${path}.activeDeadlineSeconds`, spec.activeDeadlineSeconds, 1, MAX_INT32),
    ...inRange(`${path}.securityContext.runAsUser`, spec.securityContext?.runAsUser, 0, MAX_INT32),
    ...inRange(`${path}.securityContext.runAsGroup`, spec.securityContext?.runAsGroup, 0, MAX_INT32),
    ...inRange(`${path}.securityContext.fsGroup`, spec.securityContext?.fsGroup, 0, MAX_INT32),
  ];
  for (const [field, rule] of [
    ['serviceAccountName', dnsSubdomainErrors],
    ['nodeName', dnsSubdomainErrors],
    ['hostname', dnsLabelErrors],
    ['subdomain', dnsLabelErrors],
    ['schedulerName', dnsSubdomainErrors],
    ['runtimeClassName', dnsSubdomainErrors],
    ['priorityClassName', dnsSubdomainErrors],
  ] as const) {
    const value = spec[field];
    if (value) errors.push(...allInvalid(`${path}.${field}`, value, rule(value)));
  }
  if (spec.shareProcessNamespace === true && spec.hostPID === true) {
    errors.push(
      invalid(
        `${path}.securityContext.shareProcessNamespace`,
        true,
        'ShareProcessNamespace and HostPID cannot both be enabled',
      ),
    );
  }
  for (const [index, { ip, hostnames }] of (spec.hostAliases ?? []).entries()) {
    const at = `${path}.hostAliases[${index}]`;
    errors.push(...allInvalid(`${at}.ip`, ip ?? '', ipErrors(ip)));
    for (const hostname of hostnames ?? []) {
      errors.push(...allInvalid(`${at}.hostnames`, hostname, dnsSubdomainErrors(hostname)));
    }
  }
  for (const [index, { name }] of (spec.imagePullSecrets ?? []).entries()) {
    if (!name) errors.push(required(`${path}.imagePullSecrets[${index}].name`));
  }
  for (const [index, container] of (spec.ephemeralContainers ?? []).entries()) {
    const target = container.targetContainerName;
    const known = [...(spec.containers ?? []), ...(spec.initContainers ?? [])].some(
      ({ name }) => name === target,
    );
    if (target && !known) {
      errors.push(notFound(`${path}.ephemeralContainers[${index}].targetContainerName`, target));
    }
  }
  return errors;
}

export function validatePod(pod: Pod): FieldError[] {
  if (pod.spec === undefined) return [required('spec.containers')];
  return [...validatePodSpec(pod.spec, 'spec', true), ...podAddressErrors(pod)];
}

/** Addresses that a kubelet says its pod has. */
function podAddressErrors({ status }: Pod): FieldError[] {
  const one = (field: string, ip: string | undefined) =>
    ip ? allInvalid(`status.${field}`, ip, ipErrors(ip)) : [];
  const several = (field: string, entries: readonly { ip?: string }[] = []) => {
    const ips = entries.map(({ ip = '' }) => ip);
    const errors = ips.flatMap((ip, index) => allInvalid(`status.${field}[${index}]`, ip, ipErrors(ip)));
    for (const [index, ip] of ips.entries()) {
      if (ips.indexOf(ip) < index) errors.push(duplicate(`status.${field}[${index}]`, ip));
    }
    if (ips.length > 1 && (ips.length > 2 || isIP(ips[0]!) === isIP(ips[1]!))) {
      errors.push(invalid(`status.${field}`, entries, 'may specify no more than one IP for each IP family'));
    }
    return errors;
  };
  // The one address is the first of the list: a list that does not begin with it is not what the writer knows.
  const { podIP, podIPs } = status ?? {};
  const podIps = podIP && podIPs?.[0]?.ip !== podIP ? [{ ip: podIP }] : podIPs;
  return [
    ...several('podIPs', podIps),
    ...one('hostIP', status?.hostIP),
    ...several('hostIPs', (status as { hostIPs?: { ip?: string }[] } | undefined)?.hostIPs),
  ];
}

const IMMUTABLE_POD =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

/** JSON with sorted keys: equal objects give equal texts. Absent and undefined are the same. */
export function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_key, item: unknown) =>
      typeof item === 'object' && item !== null && !Array.isArray(item)
        ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
        : item,
    ) ?? 'null'
  );
}

/** A specification without what an update may change. */
function fixedPart(spec: PodSpec): Record<string, unknown> {
  const withoutImages = (containers: readonly Container[] | undefined): unknown =>
    containers?.map(({ image: _image, ...rest }) => rest);
  const {
    activeDeadlineSeconds: _deadline,
    tolerations: _tolerations,
    containers,
    initContainers,
    // Has a subresource of its own.
    ephemeralContainers: _ephemeral,
    ...rest
  } = spec;
  return { ...rest, containers: withoutImages(containers), initContainers: withoutImages(initContainers) };
}

/** What an update of a pod may not do. */
export function validatePodUpdate(pod: Pod, old: Pod): FieldError[] {
  const [spec, before] = [pod.spec, old.spec];
  if (spec === undefined || before === undefined) return [];
  const errors: FieldError[] = [];
  for (const list of ['containers', 'initContainers'] as const) {
    if ((spec[list] ?? []).length !== (before[list] ?? []).length) {
      return [forbidden(`spec.${list}`, 'pod updates may not add or remove containers')];
    }
  }
  for (const [index, { image }] of (spec.containers ?? []).entries()) {
    if (!image) errors.push(required(`spec.containers[${index}].image`));
  }
  const [was, now] = [before.activeDeadlineSeconds, spec.activeDeadlineSeconds];
  if (was !== undefined && now === undefined) {
    errors.push(
      invalid('spec.activeDeadlineSeconds', null, 'must not update from a positive integer to nil value'),
    );
  } else if (was !== undefined && now !== undefined && now > was) {
    errors.push(invalid('spec.activeDeadlineSeconds', now, 'must be less than or equal to previous value'));
  }
  const kept = (spec.tolerations ?? []).map(({ tolerationSeconds: _seconds, ...rest }) => canonical(rest));
  for (const { tolerationSeconds: _seconds, ...rest } of before.tolerations ?? []) {
    if (!kept.includes(canonical(rest))) {
      errors.push(
        forbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds'),
      );
      break;
    }
  }
  const [fixed, fixedBefore] = [fixedPart(spec), fixedPart(before)];
  const graceMended =
    (before.terminationGracePeriodSeconds ?? 0) < 0 && spec.terminationGracePeriodSeconds === 1;
  if (graceMended) fixed.terminationGracePeriodSeconds = before.terminationGracePeriodSeconds;
  const changed = [...new Set([...Object.keys(fixed), ...Object.keys(fixedBefore)])].filter(
    (field) => canonical(fixed[field]) !== canonical(fixedBefore[field]),
  );
  if (changed.length > 0) {
    const differences = changed
      .sort()
      .map(
        (field) => `  spec.${field}:\n-   ${canonical(fixedBefore[field])}\n+   ${canonical(fixed[field])}`,
      );
    errors.push(forbidden('spec', `${IMMUTABLE_POD}\n${differences.join('\n')}\n`));
  }
  return errors;
}
