import type {
  ConfigMap,
  EndpointSlice,
  Endpoints,
  Event,
  Lease,
  Namespace,
  Secret,
  Service,
  ServiceAccount,
} from '../../../kube/types.ts';
import { formatEndpoint } from '../../../util/endpoint.ts';
import {
  AGE,
  ageOf,
  column,
  firstThree,
  formatLabels,
  NAME,
  NONE,
  nameOf,
  type Printer,
  since,
  wide,
} from './column.ts';

const namespacePrinter: Printer<Namespace> = {
  columns: [NAME, column('Status', 'Whether the namespace is in use or being deleted'), AGE],
  row: (namespace, now) => [nameOf(namespace), namespace.status?.phase ?? '', ageOf(namespace, now)],
};

const count = (...maps: (Record<string, unknown> | undefined)[]): number =>
  maps.reduce((sum, map) => sum + Object.keys(map ?? {}).length, 0);

const configMapPrinter: Printer<ConfigMap> = {
  columns: [NAME, column('Data', 'Number of keys', 'string'), AGE],
  row: (map, now) => [nameOf(map), count(map.data, map.binaryData), ageOf(map, now)],
};

const secretPrinter: Printer<Secret> = {
  columns: [NAME, column('Type', 'What the secret is for'), column('Data', 'Number of keys'), AGE],
  row: (secret, now) => [nameOf(secret), secret.type ?? '', count(secret.data), ageOf(secret, now)],
};

const serviceAccountPrinter: Printer<ServiceAccount> = {
  columns: [NAME, column('Secrets', 'Number of secrets that pods of the account may use'), AGE],
  row: (account, now) => [nameOf(account), account.secrets?.length ?? 0, ageOf(account, now)],
};

const leasePrinter: Printer<Lease> = {
  columns: [NAME, column('Holder', 'Who holds the lease'), AGE],
  row: (lease, now) => [nameOf(lease), lease.spec?.holderIdentity ?? '', ageOf(lease, now)],
};

function externalAddresses(service: Service): string {
  const spec = service.spec;
  const external = spec?.externalIPs ?? [];
  switch (spec?.type) {
    case 'ExternalName':
      return spec.externalName ?? '';
    case 'LoadBalancer': {
      const ingress = (service.status?.loadBalancer?.ingress ?? []).map(
        (item) => item.ip || item.hostname || '',
      );
      const all = [...ingress.filter((item) => item !== ''), ...external];
      return all.length === 0 ? '<pending>' : all.join(',');
    }
    default:
      return external.length === 0 ? NONE : external.join(',');
  }
}

const servicePrinter: Printer<Service> = {
  columns: [
    NAME,
    column('Type', 'How the service is exposed'),
    column('Cluster-IP', 'Address of the service inside the cluster'),
    column('External-IP', 'Addresses of the service outside the cluster'),
    column('Port(s)', 'Ports, with their node ports, and protocols'),
    AGE,
    wide('Selector', 'Labels of the pods that traffic goes to'),
  ],
  row(service, now) {
    const ports = (service.spec?.ports ?? []).map(
      ({ port, nodePort, protocol }) => `${port}${nodePort ? `:${nodePort}` : ''}/${protocol ?? 'TCP'}`,
    );
    return [
      nameOf(service),
      service.spec?.type ?? '',
      service.spec?.clusterIP || NONE,
      externalAddresses(service),
      ports.length === 0 ? NONE : ports.join(','),
      ageOf(service, now),
      formatLabels(service.spec?.selector),
    ];
  },
};

const endpointsPrinter: Printer<Endpoints> = {
  columns: [NAME, column('Endpoints', 'Addresses and ports that traffic goes to'), AGE],
  row(endpoints, now) {
    const all = (endpoints.subsets ?? []).flatMap(({ addresses, ports }) =>
      (ports ?? []).length === 0
        ? (addresses ?? []).map(({ ip }) => ip)
        : ports!.flatMap(({ port }) =>
            (addresses ?? []).map(({ ip }) => formatEndpoint({ address: ip, port })),
          ),
    );
    return [nameOf(endpoints), firstThree(all, NONE), ageOf(endpoints, now)];
  },
};

const endpointSlicePrinter: Printer<EndpointSlice> = {
  columns: [
    NAME,
    column('AddressType', 'What the addresses are'),
    column('Ports', 'Ports that traffic goes to'),
    column('Endpoints', 'Addresses that traffic goes to'),
    AGE,
  ],
  row: (slice, now) => [
    nameOf(slice),
    slice.addressType,
    firstThree(
      (slice.ports ?? []).map(({ port, name }) => (port === undefined ? (name ?? '*') : String(port))),
      '<unset>',
    ),
    firstThree(
      (slice.endpoints ?? []).flatMap(({ addresses }) => addresses ?? []),
      '<unset>',
    ),
    ageOf(slice, now),
  ],
};

const eventPrinter: Printer<Event> = {
  columns: [
    column('Last Seen', 'Time since it was last seen'),
    column('Type', 'Normal or Warning'),
    column('Reason', 'What happened, in one word'),
    column('Object', 'The object it happened to'),
    wide('Subobject', 'The part of the object it happened to'),
    wide('Source', 'The component that reported it'),
    column('Message', 'What happened'),
    wide('First Seen', 'Time since it was first seen'),
    wide('Count', 'How often it was seen'),
    { ...wide('Name', 'Name of the event'), format: 'name' },
  ],
  row(event, now) {
    const first = since(event.firstTimestamp || event.eventTime, now);
    const { series, involvedObject: object, source } = event;
    const last = series?.lastObservedTime ?? event.lastTimestamp;
    const component = source?.component || event.reportingComponent || '';
    const host = source?.component ? source.host : event.reportingInstance;
    return [
      last ? since(last, now) : first,
      event.type ?? '',
      event.reason ?? '',
      `${(object?.kind ?? '').toLowerCase()}/${object?.name ?? ''}`,
      object?.fieldPath ?? '',
      host ? `${component}, ${host}` : component,
      (event.message ?? '').trim(),
      first,
      series?.count ?? (event.count || 1),
      nameOf(event),
    ];
  },
};

export const CORE_PRINTERS = {
  Namespace: namespacePrinter as Printer,
  ConfigMap: configMapPrinter as Printer,
  Secret: secretPrinter as Printer,
  ServiceAccount: serviceAccountPrinter as Printer,
  Lease: leasePrinter as Printer,
  Service: servicePrinter as Printer,
  Endpoints: endpointsPrinter as Printer,
  EndpointSlice: endpointSlicePrinter as Printer,
  Event: eventPrinter as Printer,
};
