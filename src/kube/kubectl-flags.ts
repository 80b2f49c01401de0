/**
 * What a command line says of the cluster that is meant, by kubectl's names of these flags; the rest is the kubeconfig's. Flags for
 * credentials are not among them: everybody on the machine can read a command line.
 */
export interface KubectlFlags {
  /** File; default: those of $KUBECONFIG, or ~/.kube/config. */
  kubeconfig?: string;
  context?: string;
  cluster?: string;
  user?: string;
  server?: string;
  tlsServerName?: string;
  /** File, relative to where the command runs. */
  certificateAuthority?: string;
  insecureSkipTlsVerify?: boolean;
  as?: string;
  asUid?: string;
  asGroup?: readonly string[];
  /** Milliseconds; 0 for none. */
  requestTimeout?: number;
}
