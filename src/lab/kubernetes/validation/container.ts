import {
  configMapKeyErrors,
  dnsLabelErrors,
  dnsSubdomainErrors,
  envNameErrors,
  portNameErrors,
  portNumberErrors,
  qualifiedNameErrors,
} from '../../../kube/names.ts';
import { isSidecar } from '../../../kube/pods.ts';
import { quantityNanos } from '../../../kube/quantity.ts';
import type { Container, ContainerPort, EnvVar, LifecycleHandler, Probe } from '../../../kube/types.ts';
import { ENV_FIELDS, fieldPathErrors } from './downward.ts';
import { duplicate, type FieldError, forbidden, invalid, notFound, required } from './field-error.ts';
import { allInvalid, inRange, nonNegative, oneOf, PROTOCOLS, portReference, requiredOneOf } from './rules.ts';
import { localPathErrors } from './volume.ts';

/** What the rules of a container depend on in its pod. */
export interface ContainerContext {
  /** Names of the pod's volumes. */
  readonly volumes: ReadonlySet<string>;
  readonly hostNetwork: boolean;
  /** A pod itself, not a template: there defaulting has set every hostPort of a hostNetwork pod. */
  readonly isPod: boolean;
}

const MAX_ID = 2 ** 31 - 1;
const PULL_POLICIES = ['Always', 'IfNotPresent', 'Never'];
const TERMINATION_POLICIES = ['FallbackToLogsOnError', 'File'];
const PROPAGATIONS = ['Bidirectional', 'HostToContainer', 'None'];

function portErrors(
  ports: readonly ContainerPort[] | undefined,
  path: string,
  context: ContainerContext,
): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  for (const [index, port] of (ports ?? []).entries()) {
    const at = `${path}[${index}]`;
    if (port.name) {
      const complaints = portNameErrors(port.name);
      errors.push(...allInvalid(`${at}.name`, port.name, complaints));
      if (complaints.length === 0 && names.has(port.name)) errors.push(duplicate(`${at}.name`, port.name));
      names.add(port.name);
    }
    if (!port.containerPort) errors.push(required(`${at}.containerPort`));
    else
      errors.push(
        ...allInvalid(`${at}.containerPort`, port.containerPort, portNumberErrors(port.containerPort)),
      );
    if (port.hostPort)
      errors.push(...allInvalid(`${at}.hostPort`, port.hostPort, portNumberErrors(port.hostPort)));
    errors.push(...requiredOneOf(`${at}.protocol`, port.protocol, PROTOCOLS));
    const hostPort = port.hostPort ?? 0;
    if (context.hostNetwork && (context.isPod || hostPort !== 0) && hostPort !== port.containerPort) {
      errors.push(
        invalid(`${at}.hostPort`, hostPort, 'must match `containerPort` when `hostNetwork` is true'),
      );
    }
  }
  return errors;
}

/** Host ports that one pod asks for twice: the same protocol, address and port. */
function hostPortConflicts(containers: readonly Container[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  for (const [index, { ports }] of containers.entries()) {
    for (const [position, port] of (ports ?? []).entries()) {
      if (!port.hostPort) continue;
      const key = `${port.protocol ?? 'TCP'}/${port.hostIP ?? ''}/${port.hostPort}`;
      if (seen.has(key)) errors.push(duplicate(`${path}[${index}].ports[${position}].hostPort`, key));
      seen.add(key);
    }
  }
  return errors;
}

function keySelectorErrors(ref: { name?: string; key: string }, path: string): FieldError[] {
  const name = ref.name ?? '';
  return [
    ...(name === ''
      ? [required(`${path}.name`)]
      : allInvalid(`${path}.name`, name, dnsSubdomainErrors(name))),
    ...(ref.key
      ? allInvalid(`${path}.key`, ref.key, configMapKeyErrors(ref.key))
      : [required(`${path}.key`)]),
  ];
}

function envErrors(env: readonly EnvVar[] | undefined, path: string): FieldError[] {
  return (env ?? []).flatMap((variable, index) => {
    const at = `${path}[${index}]`;
    const errors = variable.name
      ? allInvalid(`${at}.name`, variable.name, envNameErrors(variable.name))
      : [required(`${at}.name`)];
    const from = variable.valueFrom;
    if (from === undefined || from === null) return errors;
    const { fieldRef, configMapKeyRef, secretKeyRef } = from;
    const sources = Object.values(from).filter((source) => source !== undefined && source !== null).length;
    if (sources === 0) {
      errors.push(
        invalid(
          `${at}.valueFrom`,
          '',
          'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`',
        ),
      );
    } else if (variable.value) {
      errors.push(invalid(`${at}.valueFrom`, '', 'may not be specified when `value` is not empty'));
    } else if (sources > 1) {
      errors.push(invalid(`${at}.valueFrom`, '', 'may not have more than one field specified at a time'));
    }
    if (fieldRef) errors.push(...fieldPathErrors(fieldRef, `${at}.valueFrom.fieldRef`, ENV_FIELDS));
    if (configMapKeyRef)
      errors.push(...keySelectorErrors(configMapKeyRef, `${at}.valueFrom.configMapKeyRef`));
    if (secretKeyRef) errors.push(...keySelectorErrors(secretKeyRef, `${at}.valueFrom.secretKeyRef`));
    return errors;
  });
}

function envFromErrors(container: Container, path: string): FieldError[] {
  return (container.envFrom ?? []).flatMap((source, index) => {
    const at = `${path}[${index}]`;
    const errors = source.prefix
      ? allInvalid(`${at}.prefix`, source.prefix, envNameErrors(source.prefix))
      : [];
    const kinds = (['configMapRef', 'secretRef'] as const).filter((kind) => source[kind] !== undefined);
    if (kinds.length === 0) {
      errors.push(invalid(at, '', 'must specify one of: `configMapRef` or `secretRef`'));
    } else if (kinds.length > 1) {
      errors.push(invalid(at, '', 'may not have more than one field specified at a time'));
    }
    for (const kind of kinds) if (!source[kind]?.name) errors.push(required(`${at}.${kind}.name`));
    return errors;
  });
}

function mountErrors(container: Container, path: string, context: ContainerContext): FieldError[] {
  const errors: FieldError[] = [];
  const mounted = new Set<string>();
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    const at = `${path}[${index}]`;
    if (!mount.name) errors.push(required(`${at}.name`));
    else if (!context.volumes.has(mount.name)) errors.push(notFound(`${at}.name`, mount.name));
    if (!mount.mountPath) errors.push(required(`${at}.mountPath`));
    if (mounted.has(mount.mountPath))
      errors.push(invalid(`${at}.mountPath`, mount.mountPath, 'must be unique'));
    mounted.add(mount.mountPath);
    if (mount.subPath) errors.push(...localPathErrors(`${at}.subPath`, mount.subPath));
    if (mount.subPathExpr) {
      errors.push(...localPathErrors(`${at}.subPathExpr`, mount.subPathExpr));
      if (mount.subPath)
        errors.push(
          invalid(`${at}.subPathExpr`, mount.subPathExpr, 'subPathExpr and subPath are mutually exclusive'),
        );
    }
    errors.push(...oneOf(`${at}.mountPropagation`, mount.mountPropagation, PROPAGATIONS));
    if (mount.mountPropagation === 'Bidirectional' && container.securityContext?.privileged !== true) {
      errors.push(
        forbidden(
          `${at}.mountPropagation`,
          'Bidirectional mount propagation is available only to privileged containers',
        ),
      );
    }
  }
  return errors;
}

/** The actions of a probe or a lifecycle hook: exactly one, and a good one. */
function handlerErrors(handler: LifecycleHandler & Pick<Probe, 'grpc'>, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const kinds = (['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep'] as const).filter(
    (kind) => handler[kind] !== undefined && handler[kind] !== null,
  );
  if (kinds.length === 0) return [required(path, 'must specify a handler type')];
  for (const kind of kinds.slice(1)) {
    errors.push(forbidden(`${path}.${kind}`, 'may not specify more than 1 handler type'));
  }
  const { exec, httpGet, tcpSocket, grpc } = handler;
  if (exec && (exec.command ?? []).length === 0) errors.push(required(`${path}.exec.command`));
  if (httpGet) {
    if (!httpGet.path) errors.push(required(`${path}.httpGet.path`));
    errors.push(...portReference(`${path}.httpGet.port`, httpGet.port));
    errors.push(...oneOf(`${path}.httpGet.scheme`, httpGet.scheme, ['HTTP', 'HTTPS']));
    for (const [index, header] of (httpGet.httpHeaders ?? []).entries()) {
      if (!/^[-A-Za-z0-9]+$/.test(header.name)) {
        errors.push(
          invalid(
            `${path}.httpGet.httpHeaders[${index}]`,
            header.name,
            "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
          ),
        );
      }
    }
  }
  if (tcpSocket) errors.push(...portReference(`${path}.tcpSocket.port`, tcpSocket.port));
  if (grpc) errors.push(...portReference(`${path}.grpc.port`, grpc.port));
  return errors;
}

function probeErrors(probe: Probe | undefined, kind: string, path: string): FieldError[] {
  if (probe === undefined || probe === null) return [];
  const errors = handlerErrors(probe, path);
  for (const field of [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ] as const) {
    errors.push(...nonNegative(`${path}.${field}`, probe[field]));
  }
  const grace = probe.terminationGracePeriodSeconds;
  if (kind === 'readinessProbe') {
    if (grace !== undefined) {
      errors.push(
        invalid(`${path}.terminationGracePeriodSeconds`, grace, 'must not be set for readinessProbes'),
      );
    }
  } else {
    if (grace !== undefined && grace <= 0) {
      errors.push(invalid(`${path}.terminationGracePeriodSeconds`, grace, 'must be greater than 0'));
    }
    if (probe.successThreshold !== undefined && probe.successThreshold !== 1) {
      errors.push(invalid(`${path}.successThreshold`, probe.successThreshold, 'must be 1'));
    }
  }
  return errors;
}

const STANDARD_RESOURCES = new Set(['cpu', 'memory', 'ephemeral-storage']);

function resourceNameErrors(name: string, path: string): FieldError[] {
  const errors = allInvalid(path, name, qualifiedNameErrors(name));
  if (
    errors.length > 0 ||
    name.includes('/') ||
    name.startsWith('hugepages-') ||
    STANDARD_RESOURCES.has(name)
  ) {
    return errors;
  }
  return [
    invalid(path, name, 'must be a standard resource type or fully qualified'),
    invalid(path, name, 'must be a standard resource for containers'),
  ];
}

function resourceErrors(container: Container, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { limits = {}, requests = {} } = container.resources ?? {};
  const amounts = { limits, requests };
  for (const [kind, list] of Object.entries(amounts)) {
    for (const [name, quantity] of Object.entries(list)) {
      errors.push(...resourceNameErrors(name, `${path}.${kind}`));
      if (quantityNanos(quantity) < 0n) {
        errors.push(invalid(`${path}.${kind}[${name}]`, quantity, 'must be greater than or equal to 0'));
      }
    }
  }
  for (const [name, request] of Object.entries(requests)) {
    const limit = Object.hasOwn(limits, name) ? limits[name] : undefined;
    if (limit !== undefined && quantityNanos(request) > quantityNanos(limit)) {
      errors.push(
        invalid(`${path}.requests`, request, `must be less than or equal to ${name} limit of ${limit}`),
      );
    }
  }
  return errors;
}

function securityErrors(container: Container, path: string): FieldError[] {
  const context = container.securityContext;
  if (context === undefined || context === null) return [];
  const errors = [
    ...inRange(`${path}.runAsUser`, context.runAsUser, 0, MAX_ID),
    ...inRange(`${path}.runAsGroup`, context.runAsGroup, 0, MAX_ID),
    ...oneOf(`${path}.procMount`, context.procMount, ['Default', 'Unmasked']),
  ];
  if (context.allowPrivilegeEscalation === false) {
    if (context.privileged === true) {
      errors.push(
        invalid(path, context, 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true'),
      );
    }
    if ((context.capabilities?.add ?? []).includes('CAP_SYS_ADMIN')) {
      errors.push(
        invalid(
          path,
          context,
          'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN',
        ),
      );
    }
  }
  return errors;
}

/** The rules that every container of a pod is held to, whatever its list. */
function commonErrors(container: Container, path: string, context: ContainerContext): FieldError[] {
  const errors: FieldError[] = [];
  if (!container.name) errors.push(required(`${path}.name`));
  else errors.push(...allInvalid(`${path}.name`, container.name, dnsLabelErrors(container.name)));
  const image = container.image ?? '';
  if (image === '') {
    errors.push(required(`${path}.image`));
  } else if (image.trim() !== image && context.isPod) {
    errors.push(invalid(`${path}.image`, image, 'must not have leading or trailing whitespace'));
  }
  errors.push(
    ...requiredOneOf(
      `${path}.terminationMessagePolicy`,
      container.terminationMessagePolicy,
      TERMINATION_POLICIES,
    ),
  );
  errors.push(...portErrors(container.ports, `${path}.ports`, context));
  errors.push(...envErrors(container.env, `${path}.env`));
  errors.push(...envFromErrors(container, `${path}.envFrom`));
  errors.push(...mountErrors(container, `${path}.volumeMounts`, context));
  errors.push(...requiredOneOf(`${path}.imagePullPolicy`, container.imagePullPolicy, PULL_POLICIES));
  errors.push(...resourceErrors(container, `${path}.resources`));
  errors.push(...securityErrors(container, `${path}.securityContext`));
  return errors;
}

const PROBES = ['livenessProbe', 'readinessProbe', 'startupProbe'] as const;

function lifecycleErrors(container: Container, path: string): FieldError[] {
  const { postStart, preStop } = container.lifecycle ?? {};
  return [
    ...(postStart ? handlerErrors(postStart, `${path}.lifecycle.postStart`) : []),
    ...(preStop ? handlerErrors(preStop, `${path}.lifecycle.preStop`) : []),
    ...PROBES.flatMap((kind) => probeErrors(container[kind], kind, `${path}.${kind}`)),
  ];
}

/** The containers of a pod's specification: regular ones, init containers and sidecars among these. */
export function validateContainers(
  containers: readonly Container[] | undefined,
  initContainers: readonly Container[] | undefined,
  path: string,
  context: ContainerContext,
): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  const checkName = (name: string, at: string): void => {
    if (name && names.has(name)) errors.push(duplicate(`${at}.name`, name));
    names.add(name);
  };
  const regular = containers ?? [];
  if (regular.length === 0) errors.push(required(`${path}.containers`));
  for (const [index, container] of regular.entries()) {
    const at = `${path}.containers[${index}]`;
    errors.push(...commonErrors(container, at, context));
    checkName(container.name, at);
    errors.push(...lifecycleErrors(container, at));
    if (container.restartPolicy !== undefined) {
      errors.push(forbidden(`${at}.restartPolicy`, 'may not be set for non-init containers'));
    }
  }
  errors.push(...hostPortConflicts(regular, `${path}.containers`));

  for (const [index, container] of (initContainers ?? []).entries()) {
    const at = `${path}.initContainers[${index}]`;
    errors.push(...commonErrors(container, at, context));
    checkName(container.name, at);
    errors.push(...oneOf(`${at}.restartPolicy`, container.restartPolicy, ['Always']));
    // Each init container runs alone, so only its own ports can meet.
    for (const error of hostPortConflicts([container], at)) {
      errors.push({ ...error, field: error.field.replace(`${at}[0]`, at) });
    }
    if (isSidecar(container)) {
      errors.push(...lifecycleErrors(container, at));
      continue;
    }
    for (const field of ['lifecycle', ...PROBES] as const) {
      if (container[field] !== undefined && container[field] !== null) {
        errors.push(
          forbidden(`${at}.${field}`, 'may not be set for init containers without restartPolicy=Always'),
        );
      }
    }
  }
  return errors;
}
