/** Everything that the page shows, gathered by the caller. */
export interface PageFacts {
  hostname: string;
  /** The client: `172.17.0.1:51598`, `[::1]:51598`. */
  remoteAddress: string;
  method: string;
  /** Path and query, as they were sent. */
  target: string;
  host: string;
  /** Request headers without Host, by canonical names. */
  requestHeaders: [name: string, value: string][];
  responseHeaders: [name: string, value: string][];
  environment: Record<string, string | undefined>;
  resolvConf: string;
  hosts: string;
  /** Nanoseconds since the epoch. */
  now: bigint;
}

/** The text page of inanimate/echo-server, blank for blank. */
export function renderPage(facts: PageFacts): string {
  const { environment } = facts;
  const lines = [
    "Welcome to echo-server!  Here's what I know.",
    '  > Head to /ws for interactive websocket echo!',
    '',
    `-> My hostname is: ${facts.hostname}`,
    '',
    ...podLines(environment),
    `-> Requesting IP: ${facts.remoteAddress}`,
    '',
    '-> Request Headers | ',
    '',
    `  HTTP/1.1 ${facts.method} ${facts.target}`,
    '',
    `  Host: ${facts.host}`,
    ...headerLines(facts.requestHeaders),
    '',
    '',
    '-> Response Headers | ',
    '',
    ...headerLines(facts.responseHeaders),
    '',
    '  > Note that you may also see "Transfer-Encoding" and "Date"!',
    '',
    '',
    '-> My environment |',
    ...sorted(Object.entries(environment).map(([name, value]) => `  ${name}=${value}`)),
    '',
    '',
    '-> Contents of /etc/resolv.conf | ',
    facts.resolvConf,
    '',
    '-> Contents of /etc/hosts | ',
    facts.hosts,
    '',
    '',
    `-> And that's the way it is ${formatTime(facts.now)}`,
    '',
    '// Thanks for using echo-server, a project by Mario Loria (InAnimaTe).',
    '// https://github.com/inanimate/echo-server',
    '// https://hub.docker.com/r/inanimate/echo-server',
  ];
  return `${lines.join('\n')}\n`;
}

/** The pod's own lines: there when the pod has its name from the downward API. */
function podLines(environment: PageFacts['environment']): string[] {
  const lines = [
    ['Name', environment.POD_NAME],
    ['Namespace', environment.POD_NAMESPACE],
    ['IP', environment.POD_IP],
  ].flatMap(([what, value]) =>
    value === undefined || value === '' ? [] : [`-> My Pod ${what} is: ${value}`],
  );
  return lines.length === 0 ? [] : [...lines, ''];
}

function headerLines(headers: [string, string][]): string[] {
  return sorted(headers.map(([name, value]) => `  ${name}: ${value}`));
}

/** By code unit, as Go's sort.Strings orders ASCII; not by a language's rules. */
function sorted(lines: string[]): string[] {
  return lines.sort();
}

/** A time as Go prints it: `2019-05-01 01:11:09.285173237 +0000 UTC`, zeros at the end of the fraction left out. */
export function formatTime(nanoseconds: bigint): string {
  const date = new Date(Number(nanoseconds / 1_000_000n)).toISOString();
  const fraction = (nanoseconds % 1_000_000_000n).toString().padStart(9, '0').replace(/0+$/, '');
  return `${date.slice(0, 10)} ${date.slice(11, 19)}${fraction === '' ? '' : `.${fraction}`} +0000 UTC`;
}
