import { isIP } from 'node:net';
import { dnsLabelErrors, dnsSubdomainErrors, portNumberErrors } from '../../../kube/names.ts';
import type { Service } from '../../../kube/types.ts';
import { duplicate, type FieldError, forbidden, invalid, required } from './field-error.ts';
import { validateLabels } from './metadata.ts';
import { allInvalid, inRange, oneOf, PROTOCOLS, portReference, requiredOneOf } from './rules.ts';

const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
/** The ports of a node that Services may take; the API server's default range. */
const NODE_PORTS = { low: 30_000, high: 32_767 };

function portErrors(service: Service): FieldError[] {
  const spec = service.spec!;
  const ports = spec.ports ?? [];
  const headless = spec.clusterIP === 'None';
  if (ports.length === 0 && !headless && spec.type !== 'ExternalName') return [required('spec.ports')];
  const errors: FieldError[] = [];
  const names = new Set<string>();
  const numbers = new Set<string>();
  const nodePorts = new Set<string>();
  for (const [index, port] of ports.entries()) {
    const at = `spec.ports[${index}]`;
    if (!port.name) {
      if (ports.length > 1) errors.push(required(`${at}.name`));
    } else {
      errors.push(...allInvalid(`${at}.name`, port.name, dnsLabelErrors(port.name)));
      if (names.has(port.name)) errors.push(duplicate(`${at}.name`, port.name));
      names.add(port.name);
    }
    errors.push(...allInvalid(`${at}.port`, port.port, portNumberErrors(port.port)));
    errors.push(...requiredOneOf(`${at}.protocol`, port.protocol, PROTOCOLS));
    if (port.targetPort !== undefined) errors.push(...portReference(`${at}.targetPort`, port.targetPort));
    const number = `${port.protocol}/${port.port}`;
    if (numbers.has(number)) errors.push(duplicate(at, { protocol: port.protocol, port: port.port }));
    numbers.add(number);
    if (!port.nodePort) continue;
    if (spec.type === 'ClusterIP' || spec.type === 'ExternalName') {
      errors.push(forbidden(`${at}.nodePort`, `may not be used when \`type\` is '${spec.type}'`));
    } else if (port.nodePort < NODE_PORTS.low || port.nodePort > NODE_PORTS.high) {
      errors.push(
        invalid(
          `${at}.nodePort`,
          port.nodePort,
          `provided port is not in the valid range. The range of valid ports is ${NODE_PORTS.low}-${NODE_PORTS.high}`,
        ),
      );
    }
    const nodePort = `${port.protocol}/${port.nodePort}`;
    if (nodePorts.has(nodePort)) errors.push(duplicate(`${at}.nodePort`, port.nodePort));
    nodePorts.add(nodePort);
  }
  return errors;
}

export function validateService(service: Service): FieldError[] {
  const spec = service.spec;
  if (spec === undefined) return [required('spec.ports')];
  const errors = [
    ...portErrors(service),
    ...validateLabels(spec.selector, 'spec.selector'),
    ...requiredOneOf('spec.sessionAffinity', spec.sessionAffinity, ['ClientIP', 'None']),
    ...requiredOneOf('spec.type', spec.type, TYPES),
    ...oneOf('spec.externalTrafficPolicy', spec.externalTrafficPolicy, ['Cluster', 'Local']),
    ...oneOf('spec.internalTrafficPolicy', spec.internalTrafficPolicy, ['Cluster', 'Local']),
    ...oneOf('spec.ipFamilyPolicy', spec.ipFamilyPolicy, [
      'SingleStack',
      'PreferDualStack',
      'RequireDualStack',
    ]),
  ];
  if (spec.sessionAffinity === 'ClientIP') {
    const field = 'spec.sessionAffinityConfig.clientIP.timeoutSeconds';
    errors.push(...inRange(field, spec.sessionAffinityConfig?.clientIP?.timeoutSeconds, 1, 86_400));
  }
  if (spec.type === 'ExternalName') {
    const name = (spec.externalName ?? '').replace(/\.$/, '');
    errors.push(
      ...(name === ''
        ? [required('spec.externalName')]
        : allInvalid('spec.externalName', name, dnsSubdomainErrors(name))),
    );
    if (spec.clusterIP) {
      errors.push(forbidden('spec.clusterIPs', 'may not be set when `type` is ExternalName'));
    }
  } else if (spec.clusterIP && spec.clusterIP !== 'None' && isIP(spec.clusterIP) === 0) {
    errors.push(
      invalid(
        'spec.clusterIPs[0]',
        spec.clusterIP,
        'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
      ),
    );
  }
  if (spec.clusterIP === 'None' && (spec.type === 'NodePort' || spec.type === 'LoadBalancer')) {
    errors.push(invalid('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${spec.type} services`));
  }
  for (const [index, address] of (spec.externalIPs ?? []).entries()) {
    if (isIP(address) === 0) {
      errors.push(
        invalid(
          `spec.externalIPs[${index}]`,
          address,
          'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        ),
      );
    }
  }
  return errors;
}

/** A Service keeps the address it was given, unless it stops having one. */
export function serviceUpdateErrors(service: Service, old: Service): FieldError[] {
  const before = old.spec?.clusterIP;
  const leavesClusterIp = service.spec?.type === 'ExternalName' || old.spec?.type === 'ExternalName';
  if (!before || leavesClusterIp || service.spec?.clusterIP === before) return [];
  return [
    invalid(
      'spec.clusterIPs[0]',
      service.spec?.clusterIPs ?? [service.spec?.clusterIP ?? ''],
      'may not change once set',
    ),
  ];
}
