/** One request to an API server, ready to be sent. */
export interface ApiRequest {
  method: string;
  url: URL;
  /** In order; a name may occur several times. */
  headers: readonly (readonly [name: string, value: string])[];
  body?: string;
  signal?: AbortSignal;
  tls: ServerTls;
  /** Undefined: none. */
  proxy?: URL;
}

/** How the server shows who it is, and we who we are. PEM. */
export interface ServerTls {
  ca?: string;
  cert?: string;
  key?: string;
  /** The name that the server's certificate must have, and that is asked for (SNI); the URL's host when undefined. */
  serverName?: string;
  /** False: any certificate will do. */
  rejectUnauthorized?: boolean;
}
