import type { KindInfo } from '../../../kube/kinds.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { isCustom } from '../custom/custom-kind.ts';
import { customPrinter } from '../custom/printer.ts';
import type { Printer, TableColumn } from './column.ts';
import { CORE_PRINTERS } from './core.ts';
import { nodePrinter } from './node.ts';
import { podPrinter } from './pod.ts';
import { RBAC_PRINTERS } from './rbac.ts';
import { WORKLOAD_PRINTERS } from './workloads.ts';

export type { TableColumn } from './column.ts';

const PRINTERS: Readonly<Record<string, Printer>> = {
  Pod: podPrinter as Printer,
  Node: nodePrinter as Printer,
  ...CORE_PRINTERS,
  ...WORKLOAD_PRINTERS,
  ...RBAC_PRINTERS,
};

/** Printer of kinds that have none of their own. */
const plain: Printer = {
  columns: [
    { name: 'Name', type: 'string', format: 'name', description: 'Name of the object', priority: 0 },
    { name: 'Created At', type: 'date', format: '', description: 'When the object was created', priority: 0 },
  ],
  row: (object) => [object.metadata?.name ?? '', object.metadata?.creationTimestamp ?? null],
};

const customPrinters = new WeakMap<KindInfo, Printer>();

function printerOf(info: KindInfo): Printer {
  if (!isCustom(info)) return PRINTERS[info.kind] ?? plain;
  const known = customPrinters.get(info) ?? customPrinter(info);
  customPrinters.set(info, known);
  return known;
}

/** Column definitions of a kind's Table; those of priority 1 are shown by `kubectl get -o wide` only. */
export function tableColumns(info: KindInfo): TableColumn[] {
  return [...printerOf(info).columns];
}

/**
 * The cells of one object, one for every column. Ages are relative to `now` (milliseconds since the epoch). The texts are
 * those of Kubernetes' own printers.
 */
export function tableRow(info: KindInfo, object: KubeObject, now: number): unknown[] {
  return printerOf(info).row(object, now);
}
