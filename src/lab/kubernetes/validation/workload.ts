import { labelSelectorMatches } from '../../../kube/selectors/index.ts';
import type {
  DaemonSet,
  Deployment,
  LabelSelector,
  PodTemplateSpec,
  ReplicaSet,
  ReplicationController,
} from '../../../kube/types.ts';
import { type FieldError, forbidden, invalid, notSupported, required } from './field-error.ts';
import { validateAnnotations, validateLabels } from './metadata.ts';
import { canonical, validatePodSpec } from './pod.ts';
import { nonNegative, oneOf, requiredOneOf } from './rules.ts';
import { selectorIsEmpty, validateLabelSelector } from './selector.ts';

interface WorkloadSpec {
  selector?: LabelSelector;
  template?: PodTemplateSpec;
  minReadySeconds?: number;
  revisionHistoryLimit?: number;
  replicas?: number;
}

function countErrors(spec: WorkloadSpec): FieldError[] {
  return [
    ...nonNegative('spec.replicas', spec.replicas),
    ...nonNegative('spec.minReadySeconds', spec.minReadySeconds),
    ...nonNegative('spec.revisionHistoryLimit', spec.revisionHistoryLimit),
  ];
}

const NOTHING: LabelSelector = { matchExpressions: [{ key: 'none', operator: 'In', values: [] }] };

/** The rules that Deployments, ReplicaSets and DaemonSets share: counts, selector, template and how these fit. */
function workloadErrors(spec: WorkloadSpec, emptySelector: string, kind: string): FieldError[] {
  const { selector } = spec;
  const errors = countErrors(spec);
  if (selector === undefined) {
    errors.push(required('spec.selector'));
  } else {
    errors.push(...validateLabelSelector(selector, 'spec.selector'));
    if (selectorIsEmpty(selector)) errors.push(invalid('spec.selector', selector, emptySelector));
  }
  const selectorIsGood = errors.every(({ field }) => !field.startsWith('spec.selector'));
  // Nothing is selected without a selector, and what is not there has no labels.
  const selects = selector === undefined ? NOTHING : selectorIsGood ? selector : undefined;
  return [...errors, ...templateErrors(spec.template ?? {}, selects, kind)];
}

/** The rules of a template whose pods `selector` (undefined for one that is wrong itself) must find. */
function templateErrors(
  template: PodTemplateSpec | undefined,
  selector: LabelSelector | undefined,
  kind: string,
): FieldError[] {
  if (template === undefined) return [required('spec.template')];
  const errors: FieldError[] = [];
  const labels = template.metadata?.labels;
  if (selector !== undefined && !labelSelectorMatches(selector, labels)) {
    errors.push(
      invalid('spec.template.metadata.labels', labels ?? null, '`selector` does not match template `labels`'),
    );
  }
  errors.push(...validateLabels(labels, 'spec.template.labels'));
  errors.push(...validateAnnotations(template.metadata?.annotations, 'spec.template.annotations'));
  const pod = template.spec;
  errors.push(
    ...(pod === undefined
      ? [required('spec.template.spec.containers')]
      : validatePodSpec(pod, 'spec.template.spec', false)),
  );
  const restart = pod?.restartPolicy;
  if (restart !== undefined && restart !== 'Always' && ['OnFailure', 'Never'].includes(restart)) {
    errors.push(notSupported('spec.template.spec.restartPolicy', restart, ['Always']));
  }
  if (pod?.activeDeadlineSeconds !== undefined) {
    errors.push(
      forbidden(
        'spec.template.spec.activeDeadlineSeconds',
        `activeDeadlineSeconds in ${kind} is not Supported`,
      ),
    );
  }
  return errors;
}

const PERCENT =
  "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')";

/** A count of pods or a percentage of them. */
function amountErrors(field: string, value: number | string | undefined): FieldError[] {
  if (value === undefined) return [];
  if (typeof value === 'number') return nonNegative(field, value);
  return /^[0-9]+%$/.test(value) ? [] : [invalid(field, value, PERCENT)];
}

function atMostAll(field: string, value: number | string | undefined): FieldError[] {
  return typeof value === 'string' && Number.parseInt(value, 10) > 100
    ? [invalid(field, value, 'must not be greater than 100%')]
    : [];
}

const isZero = (value: number | string | undefined): boolean => value === 0 || value === '0%';

export function validateDeployment({ spec }: Deployment): FieldError[] {
  if (spec === undefined) return [required('spec.selector'), required('spec.template')];
  const errors = workloadErrors(spec, 'empty selector is invalid for deployment', 'ReplicaSet');
  const path = 'spec.strategy';
  const strategy = spec.strategy ?? {};
  errors.push(...requiredOneOf(`${path}.type`, strategy.type, ['Recreate', 'RollingUpdate']));
  const rolling = strategy.rollingUpdate;
  if (strategy.type === 'Recreate' && rolling !== undefined && rolling !== null) {
    errors.push(
      forbidden(`${path}.rollingUpdate`, "may not be specified when strategy `type` is 'Recreate'"),
    );
  } else if (strategy.type === 'RollingUpdate') {
    if (rolling === undefined || rolling === null) {
      errors.push(required(`${path}.rollingUpdate`, 'this should be defaulted and never be nil'));
    } else {
      const { maxUnavailable, maxSurge } = rolling;
      errors.push(...amountErrors(`${path}.rollingUpdate.maxUnavailable`, maxUnavailable));
      errors.push(...amountErrors(`${path}.rollingUpdate.maxSurge`, maxSurge));
      if (isZero(maxUnavailable) && isZero(maxSurge)) {
        errors.push(
          invalid(
            `${path}.rollingUpdate.maxUnavailable`,
            maxUnavailable,
            'may not be 0 when `maxSurge` is 0',
          ),
        );
      }
      errors.push(...atMostAll(`${path}.rollingUpdate.maxUnavailable`, maxUnavailable));
    }
  }
  const deadline = spec.progressDeadlineSeconds;
  errors.push(...nonNegative('spec.progressDeadlineSeconds', deadline));
  if (deadline !== undefined && deadline <= (spec.minReadySeconds ?? 0)) {
    errors.push(invalid('spec.progressDeadlineSeconds', deadline, 'must be greater than minReadySeconds'));
  }
  return errors;
}

export function validateReplicaSet({ spec }: ReplicaSet): FieldError[] {
  if (spec === undefined) return [required('spec.selector'), required('spec.template')];
  // The words are Kubernetes' own for this kind, too.
  return workloadErrors(spec, 'empty selector is invalid for deployment', 'ReplicaSet');
}

export function validateReplicationController({ spec }: ReplicationController): FieldError[] {
  const { selector, ...counted } = spec ?? {};
  const isEmpty = Object.keys(selector ?? {}).length === 0;
  return [
    ...countErrors(counted),
    ...(isEmpty ? [required('spec.selector')] : []),
    ...templateErrors(
      counted.template,
      isEmpty ? undefined : { matchLabels: selector },
      'ReplicationController',
    ),
  ];
}

export function validateDaemonSet({ spec }: DaemonSet): FieldError[] {
  if (spec === undefined) return [required('spec.selector'), required('spec.template')];
  const errors = workloadErrors(spec, 'empty selector is invalid for daemonset', 'DaemonSet');
  const path = 'spec.updateStrategy';
  const { type, rollingUpdate } = spec.updateStrategy ?? {};
  errors.push(...oneOf(`${path}.type`, type ?? '', ['RollingUpdate', 'OnDelete']));
  if (type !== 'RollingUpdate') return errors;
  if (rollingUpdate === undefined || rollingUpdate === null)
    return [...errors, required(`${path}.rollingUpdate`)];
  const { maxUnavailable, maxSurge } = rollingUpdate;
  errors.push(...amountErrors(`${path}.rollingUpdate.maxUnavailable`, maxUnavailable));
  errors.push(...amountErrors(`${path}.rollingUpdate.maxSurge`, maxSurge));
  errors.push(...atMostAll(`${path}.rollingUpdate.maxUnavailable`, maxUnavailable));
  errors.push(...atMostAll(`${path}.rollingUpdate.maxSurge`, maxSurge));
  if (isZero(maxUnavailable) && isZero(maxSurge ?? 0)) {
    errors.push(required(`${path}.rollingUpdate.maxUnavailable`, 'cannot be 0 when maxSurge is 0'));
  } else if (!isZero(maxUnavailable) && !isZero(maxSurge ?? 0)) {
    errors.push(
      invalid(`${path}.rollingUpdate.maxSurge`, maxSurge, 'may not be set when maxUnavailable is non-zero'),
    );
  }
  return errors;
}

/** A workload's selector is the identity of its pods. */
export function selectorUpdateErrors(
  object: { spec?: { selector?: LabelSelector } },
  old: { spec?: { selector?: LabelSelector } },
): FieldError[] {
  return canonical(object.spec?.selector) === canonical(old.spec?.selector)
    ? []
    : [invalid('spec.selector', object.spec?.selector ?? null, 'field is immutable')];
}
