import { hasReadableUser, userOf } from '../util/url-user.ts';
import type { ApiClientOptions } from './client.ts';
import type { CredentialSource, Credentials } from './credentials.ts';
import { impersonation } from './impersonation.ts';
import type { SelectedContext } from './kubeconfig-context.ts';
import { isProxy, UNREADABLE_USER } from './proxy.ts';
import { StanzaFields } from './stanza-fields.ts';
import { tokenReader } from './token-file.ts';

/** How a client reaches a server, without how it shows who asks. */
type Server = Pick<
  ApiClientOptions,
  'server' | 'ca' | 'tlsServerName' | 'insecureSkipTlsVerify' | 'proxy' | 'disableCompression'
>;
type Identity = Pick<ApiClientOptions, 'token' | 'basic' | 'cert' | 'key' | 'credentials'>;

/**
 * What a client needs for a context of a kubeconfig. Files are read once to see whether they can be read; those of a user again for every
 * request, because they are rotated. A plugin runs only when a request needs it.
 * @throws UserError naming the file and the field when something is missing or wrong.
 */
export async function accessTo({ name, context, cluster, user }: SelectedContext): Promise<ApiClientOptions> {
  const clusterFields = new StanzaFields(cluster.stanza, `cluster ${JSON.stringify(cluster.name)}`);
  const { basic, ...server } = await serverOf(clusterFields);
  const origin = originOf({ name, context, cluster });
  const access = { ...server, userAgent: 'hostport', origin };
  const ofUrl = basic === undefined ? {} : { basic };
  if (user === undefined) return { ...access, ...ofUrl };
  const userFields = new StanzaFields(user.stanza, `user ${JSON.stringify(user.name)}`);
  const headers = impersonation(userFields);
  // As kubectl: a server without TLS sees none of the user's credentials.
  const isTls = server.server.startsWith('https:');
  const identity = isTls ? await identityOf(userFields, clusterFields, server) : {};
  return {
    ...access,
    ...(identity.token === undefined && identity.credentials === undefined ? ofUrl : {}),
    ...identity,
    ...(headers.length > 0 && { headers }),
  };
}

/** Where the access is from, for errors and for people. */
function originOf({ name, context, cluster }: Pick<SelectedContext, 'name' | 'context' | 'cluster'>): string {
  if (name !== '') return `context ${JSON.stringify(name)} of ${context.file}`;
  return cluster.name === ''
    ? 'as --server says'
    : `cluster ${JSON.stringify(cluster.name)} of ${context.file}`;
}

async function serverOf(cluster: StanzaFields): Promise<Server & Pick<Credentials, 'basic'>> {
  const url = serverUrl(cluster);
  const basic = userOf(url);
  const insecure = cluster.flag('insecure-skip-tls-verify');
  const ca = await cluster.pem('certificate-authority')?.read();
  if (insecure && ca !== undefined) {
    cluster.fail(': insecure-skip-tls-verify and a certificate-authority exclude each other');
  }
  const tlsServerName = cluster.text('tls-server-name');
  const proxy = cluster.text('proxy-url');
  if (proxy !== undefined) {
    const parsed = URL.parse(proxy);
    if (parsed === null || !isProxy(parsed)) cluster.fail(': proxy-url is not an http, https or socks5 URL');
    if (!hasReadableUser(parsed)) cluster.fail(`: proxy-url ${UNREADABLE_USER}`);
  }
  return {
    server: url.origin + url.pathname.replace(/\/+$/, ''),
    ...(basic !== undefined && { basic }),
    ...(ca !== undefined && { ca }),
    ...(tlsServerName !== undefined && { tlsServerName }),
    ...(insecure && { insecureSkipTlsVerify: true }),
    ...(proxy !== undefined && { proxy }),
    ...(cluster.flag('disable-compression') && { disableCompression: true }),
  };
}

/**
 * The server's URL. One without a scheme is http, whatever authority, certificate or insecure-skip-tls-verify stands beside it: kubectl, too,
 * chooses the scheme before it reads these, and then leaves them out with the other credentials. Source: client-go's
 * DirectClientConfig.ClientConfig, which asks IsConfigTransportTLS of a configuration that has only a host yet.
 */
function serverUrl(cluster: StanzaFields): URL {
  const text = cluster.text('server') ?? cluster.fail(' has no server');
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  const url = URL.parse(hasScheme ? text : `http://${text}`);
  if (url === null || !/^https?:$/.test(url.protocol) || (!hasScheme && url.pathname !== '/')) {
    return cluster.fail(': server is not an http or https URL');
  }
  if (!hasReadableUser(url)) cluster.fail(`: server ${UNREADABLE_USER}`);
  return url;
}

async function identityOf(user: StanzaFields, cluster: StanzaFields, server: Server): Promise<Identity> {
  const token = await tokenOf(user);
  const basic = basicOf(user);
  if (token !== undefined && basic !== undefined) {
    user.fail(': token and username are both given, only one is allowed');
  }
  const certificate = await certificateOf(user);
  const plugin = user.mapping('exec');
  const provider = user.mapping('auth-provider');
  if (plugin !== undefined && provider !== undefined) {
    user.fail(': exec and auth-provider are both given, only one is allowed');
  }
  const isKnown = token !== undefined || basic !== undefined || certificate !== undefined;
  if (plugin !== undefined) {
    // Also when it is not needed: a mistake in it is one.
    const { execPlugin, execSource } = await import('./exec-plugin.ts');
    const parsed = execPlugin(plugin);
    if (!isKnown) return { credentials: execSource(parsed, cluster, server) };
  }
  if (provider !== undefined) {
    const { authProvider } = await import('./auth-provider.ts');
    const idToken = authProvider(provider);
    if (token === undefined && basic === undefined) {
      return { credentials: source(async () => ({ token: idToken(), ...(await certificate?.read()) })) };
    }
  }
  if (certificate === undefined || certificate.isFixed) {
    return {
      ...(token !== undefined && { token }),
      ...(basic !== undefined && { basic }),
      ...(await certificate?.read()),
    };
  }
  return {
    credentials: source(async () => ({
      token: typeof token === 'function' ? await token() : token,
      basic,
      ...(await certificate.read()),
    })),
  };
}

/** Credentials that are read every time, so there is nothing to do when they are refused. */
function source(current: () => Promise<Credentials>): CredentialSource {
  return { current, refused: () => {} };
}

/** A token file that can be read comes before a token, as in client-go. */
async function tokenOf(user: StanzaFields): Promise<string | (() => Promise<string>) | undefined> {
  const token = user.token('token');
  const file = user.path('tokenFile');
  if (file === undefined) return token;
  const read = tokenReader(file);
  if (token !== undefined) return () => read().catch(() => token);
  await read();
  return read;
}

function basicOf(user: StanzaFields): Credentials['basic'] {
  const [username, password] = [user.text('username'), user.text('password')];
  if (username === undefined && password === undefined) return undefined;
  return { username: username ?? '', password: password ?? '' };
}

/** What reads the client certificate and its key, which have been read once; undefined when there is none. */
async function certificateOf(
  user: StanzaFields,
): Promise<{ isFixed: boolean; read(): Promise<{ cert: string; key: string }> } | undefined> {
  const [cert, key] = [user.pem('client-certificate'), user.pem('client-key')];
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    return user.fail(': a client certificate needs both client-certificate and client-key');
  }
  const read = async () => ({ cert: await cert.read(), key: await key.read() });
  await read();
  return { isFixed: cert.isFixed && key.isFixed, read };
}
