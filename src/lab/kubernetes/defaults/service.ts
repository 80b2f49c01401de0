import type { Service } from '../../../kube/types.ts';

const THREE_HOURS = 10_800;

/** Defaults of a Service that do not depend on the cluster's address ranges. */
export function defaultService(service: Service): void {
  const spec = service.spec;
  // The published types have a service's status for reading only; defaulting is what first writes it.
  const writable: { status?: { loadBalancer?: object } } = service;
  writable.status ??= {};
  writable.status.loadBalancer ??= {};
  if (spec === undefined) return;
  spec.sessionAffinity ||= 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === 'ClientIP') {
    spec.sessionAffinityConfig ??= {};
    spec.sessionAffinityConfig.clientIP ??= {};
    spec.sessionAffinityConfig.clientIP.timeoutSeconds ??= THREE_HOURS;
  }
  spec.type ||= 'ClusterIP';
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP';
    if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === '')
      port.targetPort = port.port;
  }
  if (spec.type === 'ExternalName') return;
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') spec.externalTrafficPolicy ||= 'Cluster';
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
  spec.internalTrafficPolicy ??= 'Cluster';
  const external = (spec.externalIPs ?? []).length > 0;
  if (external) spec.externalTrafficPolicy ||= 'Cluster';
  // The cluster has one family of addresses.
  if (spec.clusterIP !== 'None' || spec.selector !== undefined) {
    spec.ipFamilies ??= ['IPv4'];
    spec.ipFamilyPolicy ??= 'SingleStack';
  } else {
    spec.ipFamilies ??= ['IPv4', 'IPv6'];
    spec.ipFamilyPolicy ??= 'RequireDualStack';
  }
}
