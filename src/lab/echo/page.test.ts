import { expect, test } from 'bun:test';
import { formatTime, renderPage } from './page.ts';

// The page as the how-to prints it; a blank at the end of a line is one there.
const HOW_TO = `Welcome to echo-server!  Here's what I know.
  > Head to /ws for interactive websocket echo!

-> My hostname is: echo-kind-worker

-> Requesting IP: 172.17.0.1:51598

-> Request Headers | 

  HTTP/1.1 GET /

  Host: 172.17.0.4
  Accept: */*
  User-Agent: curl/7.58.0


-> Response Headers | 

  Content-Type: text/plain
  X-Real-Server: echo-server

  > Note that you may also see "Transfer-Encoding" and "Date"!


-> My environment |
  ADD_HEADERS={"X-Real-Server": "echo-server"}
  HOME=/
  HOSTNAME=echo-kind-worker
  KUBERNETES_PORT=tcp://10.96.0.1:443
  KUBERNETES_PORT_443_TCP=tcp://10.96.0.1:443
  KUBERNETES_PORT_443_TCP_ADDR=10.96.0.1
  KUBERNETES_PORT_443_TCP_PORT=443
  KUBERNETES_PORT_443_TCP_PROTO=tcp
  KUBERNETES_SERVICE_HOST=10.96.0.1
  KUBERNETES_SERVICE_PORT=443
  KUBERNETES_SERVICE_PORT_HTTPS=443
  PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  PORT=8080
  SSLPORT=8443


-> Contents of /etc/resolv.conf | 
nameserver 10.96.0.10
search default.svc.cluster.local svc.cluster.local cluster.local
options ndots:5


-> Contents of /etc/hosts | 
# Kubernetes-managed hosts file.
127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::0	ip6-localnet
fe00::0	ip6-mcastprefix
fe00::1	ip6-allnodes
fe00::2	ip6-allrouters
192.168.2.232	echo-kind-worker



-> And that's the way it is 2019-05-01 01:11:09.285173237 +0000 UTC

// Thanks for using echo-server, a project by Mario Loria (InAnimaTe).
// https://github.com/inanimate/echo-server
// https://hub.docker.com/r/inanimate/echo-server
`;

const facts: Parameters<typeof renderPage>[0] = {
  hostname: 'echo-kind-worker',
  remoteAddress: '172.17.0.1:51598',
  method: 'GET',
  target: '/',
  host: '172.17.0.4',
  requestHeaders: [
    ['User-Agent', 'curl/7.58.0'],
    ['Accept', '*/*'],
  ],
  responseHeaders: [
    ['X-Real-Server', 'echo-server'],
    ['Content-Type', 'text/plain'],
  ],
  environment: {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOSTNAME: 'echo-kind-worker',
    SSLPORT: '8443',
    ADD_HEADERS: '{"X-Real-Server": "echo-server"}',
    PORT: '8080',
    KUBERNETES_PORT_443_TCP_PROTO: 'tcp',
    KUBERNETES_PORT_443_TCP_PORT: '443',
    KUBERNETES_PORT_443_TCP_ADDR: '10.96.0.1',
    KUBERNETES_SERVICE_HOST: '10.96.0.1',
    KUBERNETES_SERVICE_PORT: '443',
    KUBERNETES_SERVICE_PORT_HTTPS: '443',
    KUBERNETES_PORT: 'tcp://10.96.0.1:443',
    KUBERNETES_PORT_443_TCP: 'tcp://10.96.0.1:443',
    HOME: '/',
  },
  resolvConf:
    'nameserver 10.96.0.10\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n',
  hosts: `# Kubernetes-managed hosts file.
127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::0	ip6-localnet
fe00::0	ip6-mcastprefix
fe00::1	ip6-allnodes
fe00::2	ip6-allrouters
192.168.2.232	echo-kind-worker
`,
  now: 1556673069285173237n,
};

test('the page is the one of the how-to, byte for byte', () => {
  expect(renderPage(facts)).toBe(HOW_TO);
});

test('a pod that knows its name shows it below its hostname', () => {
  const environment = { POD_NAME: 'echo', POD_NAMESPACE: 'default', POD_IP: '192.168.1.2' };
  expect(renderPage({ ...facts, environment })).toContain(
    '-> My hostname is: echo-kind-worker\n\n-> My Pod Name is: echo\n-> My Pod Namespace is: default\n' +
      '-> My Pod IP is: 192.168.1.2\n\n-> Requesting IP',
  );
  expect(renderPage({ ...facts, environment: { POD_NAME: 'echo', POD_IP: '' } })).toContain(
    '-> My Pod Name is: echo\n\n-> Requesting IP',
  );
});

test('an environment value is shown whole', () => {
  expect(renderPage({ ...facts, environment: { A: 'b=c=d' } })).toContain('\n  A=b=c=d\n');
});

test('times are printed as Go prints them', () => {
  const cases: [bigint, string][] = [
    [1556673069285173237n, '2019-05-01 01:11:09.285173237 +0000 UTC'],
    [1556673069285000000n, '2019-05-01 01:11:09.285 +0000 UTC'],
    [1556673069000000001n, '2019-05-01 01:11:09.000000001 +0000 UTC'],
    [1556673069000000000n, '2019-05-01 01:11:09 +0000 UTC'],
  ];
  for (const [nanoseconds, text] of cases) expect(formatTime(nanoseconds)).toBe(text);
});
