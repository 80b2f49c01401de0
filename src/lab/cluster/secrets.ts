import { randomBytes } from 'node:crypto';
import { type KubeconfigEntry, kubeconfigDocument } from '../../kube/kubeconfig-document.ts';
import { createAuthority, createServiceAccountKeys, issueCertificate } from '../../kube/pki.ts';
import { nthAddress } from '../../util/cidr.ts';
import { formatEndpoint } from '../../util/endpoint.ts';
import type { ClusterConfig } from './config/types.ts';
import { NODE_NETWORK } from './network.ts';
import {
  API_PORT,
  CONTROL_PLANE_ALIAS,
  type ControlPlaneSecrets,
  type NodeSecrets,
  type PlacedNode,
} from './node-files.ts';

/** Whom daemons on every node use the API as, and the file on the node that says so: a kubeconfig with a token. */
export interface DaemonUser {
  /** Absolute path of the kubeconfig in the node. */
  conf: string;
  user: string;
  groups: readonly string[];
}

/** Every credential of a new cluster. */
export interface ClusterSecrets {
  controlPlane: ControlPlaneSecrets;
  /** By node name. */
  nodes: Map<string, NodeSecrets>;
  /** Server side of the lab's registry. */
  registry: { ca: string; cert: string; key: string };
  /** The administrator's kubeconfig entry, named `kind-NAME`, for a server address. */
  admin(server: string): KubeconfigEntry;
}

/**
 * Makes the authorities, certificates and tokens of a cluster, whose daemons are those of every cluster and `users`. Three authorities, so that a credential is good for one
 * thing only: the cluster's own, etcd's, and the registry's.
 */
export async function createSecrets(
  config: ClusterConfig,
  nodes: readonly PlacedNode[],
  users: readonly DaemonUser[],
): Promise<ClusterSecrets> {
  const [ca, etcdCa, registryCa, serviceAccount] = await Promise.all([
    createAuthority('kubernetes'),
    createAuthority('etcd-ca'),
    createAuthority('registry-ca'),
    createServiceAccountKeys(),
  ]);
  const controlPlane = nodes.find((node) => node.role === 'control-plane')!;
  const local = { dnsNames: ['localhost', controlPlane.name], ipAddresses: ['127.0.0.1', '::1'] };
  const [apiserver, kubeletClient, etcdServer, etcdPeer, etcdClient, registry, registryClient] =
    await Promise.all([
      issueCertificate(ca, {
        commonName: 'kube-apiserver',
        usage: 'server',
        dnsNames: [
          'kubernetes',
          'kubernetes.default',
          'kubernetes.default.svc',
          'kubernetes.default.svc.cluster.local',
          'localhost',
          controlPlane.name,
          CONTROL_PLANE_ALIAS,
        ],
        ipAddresses: [
          '127.0.0.1',
          controlPlane.address,
          config.networking.apiServerAddress,
          nthAddress(config.networking.serviceSubnet, 1),
        ],
      }),
      issueCertificate(ca, {
        commonName: 'kube-apiserver-kubelet-client',
        organizations: ['system:masters'],
        usage: 'client',
      }),
      issueCertificate(etcdCa, { commonName: 'etcd-server', usage: 'both', ...local }),
      issueCertificate(etcdCa, { commonName: 'etcd-peer', usage: 'both', ...local }),
      issueCertificate(etcdCa, { commonName: 'kube-apiserver-etcd-client', usage: 'client' }),
      issueCertificate(registryCa, {
        commonName: 'registry',
        usage: 'server',
        ipAddresses: [NODE_NETWORK.gateway],
      }),
      issueCertificate(registryCa, { commonName: 'containerd', usage: 'client' }),
    ]);

  const tokens: string[] = [];
  const grant = (user: string, ...groups: string[]): string => {
    const token = randomBytes(32).toString('hex');
    tokens.push(`${token},${user},${user},"${groups.join(',')}"`);
    return token;
  };
  const inner = `https://${formatEndpoint({ address: controlPlane.address, port: API_PORT })}`;
  const entry = (server: string, token: string): KubeconfigEntry => ({
    name: `kind-${config.name}`,
    server,
    caPem: ca.certPem,
    credentials: { token },
  });
  const adminToken = grant('kubernetes-admin', 'system:masters');
  const admin = (server: string) => entry(server, adminToken);
  const component = (user: string, ...groups: string[]) =>
    kubeconfigDocument(entry(inner, grant(user, ...groups)));

  const daemons = users.map(({ conf, user, groups }) => ({
    path: conf,
    content: component(user, ...groups),
  }));
  const perNode = await Promise.all(
    nodes.map(async (node): Promise<[string, NodeSecrets]> => {
      const serving = await issueCertificate(ca, {
        commonName: `system:node:${node.name}`,
        organizations: ['system:nodes'],
        usage: 'server',
        dnsNames: [node.name],
        ipAddresses: [node.address],
      });
      return [
        node.name,
        {
          ca: ca.certPem,
          kubeletConf: component(`system:node:${node.name}`, 'system:nodes'),
          kubeletCert: serving.certPem,
          kubeletKey: serving.keyPem,
          registryCa: registryCa.certPem,
          registryClientCert: registryClient.certPem,
          registryClientKey: registryClient.keyPem,
          daemons,
        },
      ];
    }),
  );
  const controllerManagerConf = component('system:kube-controller-manager');
  const schedulerConf = component('system:kube-scheduler');
  return {
    nodes: new Map(perNode),
    registry: { ca: registryCa.certPem, cert: registry.certPem, key: registry.keyPem },
    admin,
    controlPlane: {
      caKey: ca.keyPem,
      apiserverCert: apiserver.certPem,
      apiserverKey: apiserver.keyPem,
      kubeletClientCert: kubeletClient.certPem,
      kubeletClientKey: kubeletClient.keyPem,
      serviceAccountKey: serviceAccount.privatePem,
      serviceAccountPublicKey: serviceAccount.publicPem,
      etcdCa: etcdCa.certPem,
      etcdServerCert: etcdServer.certPem,
      etcdServerKey: etcdServer.keyPem,
      etcdPeerCert: etcdPeer.certPem,
      etcdPeerKey: etcdPeer.keyPem,
      etcdClientCert: etcdClient.certPem,
      etcdClientKey: etcdClient.keyPem,
      adminConf: kubeconfigDocument(admin(inner)),
      controllerManagerConf,
      schedulerConf,
      tokens: `${tokens.join('\n')}\n`,
    },
  };
}
