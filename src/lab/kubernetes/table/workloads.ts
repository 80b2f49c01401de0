import type {
  DaemonSet,
  Deployment,
  PodTemplateSpec,
  ReplicaSet,
  ReplicationController,
} from '../../../kube/types.ts';
import {
  AGE,
  ageOf,
  column,
  formatLabels,
  formatSelector,
  NAME,
  nameOf,
  type Printer,
  type TableColumn,
  wide,
} from './column.ts';

const TEMPLATE_COLUMNS: readonly TableColumn[] = [
  wide('Containers', 'Names of the containers in the template'),
  wide('Images', 'Images of the containers in the template'),
  wide('Selector', 'Label selector of the pods'),
];

function templateCells(spec: { template?: PodTemplateSpec; selector?: object } | undefined): string[] {
  const containers = spec?.template?.spec?.containers ?? [];
  return [
    containers.map(({ name }) => name).join(','),
    containers.map(({ image }) => image ?? '').join(','),
    formatSelector(spec?.selector),
  ];
}

const deploymentPrinter: Printer<Deployment> = {
  columns: [
    NAME,
    column('Ready', 'The pods that are ready, of the pods wanted'),
    column('Up-to-date', 'The pods of the current template'),
    column('Available', 'The pods that have been ready long enough'),
    AGE,
    ...TEMPLATE_COLUMNS,
  ],
  row: (deployment, now) => [
    nameOf(deployment),
    `${deployment.status?.readyReplicas ?? 0}/${deployment.spec?.replicas ?? 0}`,
    deployment.status?.updatedReplicas ?? 0,
    deployment.status?.availableReplicas ?? 0,
    ageOf(deployment, now),
    ...templateCells(deployment.spec),
  ],
};

const replicaSetPrinter: Printer<ReplicaSet> = {
  columns: [
    NAME,
    column('Desired', 'The pods wanted', 'integer'),
    column('Current', 'The pods there are', 'integer'),
    column('Ready', 'The pods that are ready', 'integer'),
    AGE,
    ...TEMPLATE_COLUMNS,
  ],
  row: (set, now) => [
    nameOf(set),
    set.spec?.replicas ?? 0,
    set.status?.replicas ?? 0,
    set.status?.readyReplicas ?? 0,
    ageOf(set, now),
    ...templateCells(set.spec),
  ],
};

const replicationControllerPrinter: Printer<ReplicationController> = {
  columns: replicaSetPrinter.columns,
  row: ({ metadata, spec = {}, status }, now) => {
    const selector = { matchLabels: spec.selector };
    return replicaSetPrinter.row({ metadata, spec: { ...spec, selector }, status }, now);
  },
};

const daemonSetPrinter: Printer<DaemonSet> = {
  columns: [
    NAME,
    column('Desired', 'The nodes that should run a pod', 'integer'),
    column('Current', 'The nodes that run a pod and should', 'integer'),
    column('Ready', 'The nodes whose pod is ready', 'integer'),
    column('Up-to-date', 'The nodes whose pod is of the current template', 'integer'),
    column('Available', 'The nodes whose pod has been ready long enough', 'integer'),
    column('Node Selector', 'The nodes that the pods are for'),
    AGE,
    ...TEMPLATE_COLUMNS,
  ],
  row: (set, now) => [
    nameOf(set),
    set.status?.desiredNumberScheduled ?? 0,
    set.status?.currentNumberScheduled ?? 0,
    set.status?.numberReady ?? 0,
    set.status?.updatedNumberScheduled ?? 0,
    set.status?.numberAvailable ?? 0,
    formatLabels(set.spec?.template?.spec?.nodeSelector),
    ageOf(set, now),
    ...templateCells(set.spec),
  ],
};

export const WORKLOAD_PRINTERS = {
  Deployment: deploymentPrinter as Printer,
  ReplicaSet: replicaSetPrinter as Printer,
  ReplicationController: replicationControllerPrinter as Printer,
  DaemonSet: daemonSetPrinter as Printer,
};
