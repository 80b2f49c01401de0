/** How a client shows who asks. PEM for certificate and key. */
export interface Credentials {
  token?: string;
  basic?: { username: string; password: string };
  cert?: string;
  key?: string;
}

/** Credentials that can change while a client runs. */
export interface CredentialSource {
  /**
   * What to show now; cheap when nothing has changed. Rejects with a UserError that says what is missing, without any
   * secret, and with the signal's reason when that aborts while it waits.
   */
  current(signal?: AbortSignal): Promise<Credentials>;
  /** The server answered 401 to these: the next request needs others. */
  refused(credentials: Credentials): void;
}
