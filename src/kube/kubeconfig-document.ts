import { Document } from 'yaml';

/** One cluster, one user and the context that joins them, all three under the same name, as kind writes them. */
export interface KubeconfigEntry {
  /** `kind-<cluster>` for a cluster of the lab. */
  name: string;
  /** `https://host:port`. */
  server: string;
  caPem: string;
  /** How the user shows who they are: a bearer token, or a client certificate. */
  credentials: { token: string } | { certPem: string; keyPem: string };
}

/** What the three lists of a kubeconfig hold for `entry`, in kubectl's order of fields. */
export function kubeconfigStanzas(entry: KubeconfigEntry): {
  clusters: Record<string, unknown>;
  contexts: Record<string, unknown>;
  users: Record<string, unknown>;
} {
  const { name, server, caPem, credentials } = entry;
  const user =
    'token' in credentials
      ? { token: credentials.token }
      : {
          'client-certificate-data': base64(credentials.certPem),
          'client-key-data': base64(credentials.keyPem),
        };
  return {
    clusters: { cluster: { 'certificate-authority-data': base64(caPem), server }, name },
    contexts: { context: { cluster: name, user: name }, name },
    users: { name, user },
  };
}

/** A whole kubeconfig file for one user of one cluster, as YAML. It holds a secret: write it with mode 0600. */
export function kubeconfigDocument(entry: KubeconfigEntry): string {
  const { clusters, contexts, users } = kubeconfigStanzas(entry);
  const document = new Document({
    apiVersion: 'v1',
    kind: 'Config',
    preferences: {},
    clusters: [clusters],
    contexts: [contexts],
    'current-context': entry.name,
    users: [users],
  });
  return document.toString({ lineWidth: 0, indentSeq: false });
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}
