import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { Kubectl, kubectls } from './kubectls.ts';
import { Lab, labMissing } from './lab.ts';

const missing = labMissing();

/** A pod whose only container is given in YAML's flow style, with more of its spec behind. */
const pod = (container: string, spec = '') =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: bad}\nspec:\n  containers: [${container}]\n${spec && `  ${spec}\n`}`;
const port = (fields: string) => pod(`{name: a, image: b, ports: [{${fields}}]}`);
const deployment = (spec: string, labels = '{a: b}', template = '') =>
  `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad}\nspec:\n  ${spec}\n  template:\n    metadata: {labels: ${labels}}\n    spec: {containers: [{name: a, image: b}]${template}}\n`;
const service = (spec: string) => `apiVersion: v1\nkind: Service\nmetadata: {name: bad}\nspec: ${spec}\n`;
const named = (metadata: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: ${metadata}\ndata: {}\n`;

const SUBDOMAIN =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_VALUE =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

const invalid = (kind: string, problem: string) => `The ${kind} "bad" is invalid: ${problem}`;
const refused = (kind: string, version: string, problem: string) =>
  `Error from server (BadRequest): error when creating "STDIN": ${kind} in version "${version}" cannot be handled as a ${kind}: ${problem}`;

/** What is wrong, the manifest, and all that kubectl prints of it. The words are those of Kubernetes, structures as JSON. */
const CASES: [string, string, string][] = [
  [
    'a host port out of range',
    port('containerPort: 8080, hostPort: 70000'),
    invalid(
      'Pod',
      'spec.containers[0].ports[0].hostPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
    ),
  ],
  [
    'a negative host port',
    port('containerPort: 8080, hostPort: -1'),
    invalid(
      'Pod',
      'spec.containers[0].ports[0].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive',
    ),
  ],
  [
    'a host port without a container port',
    port('hostPort: 80'),
    invalid('Pod', 'spec.containers[0].ports[0].containerPort: Required value'),
  ],
  [
    'a host port that is a word',
    port('containerPort: 8080, hostPort: eighty'),
    refused(
      'Pod',
      'v1',
      'json: cannot unmarshal string into Go struct field ContainerPort.spec.containers.ports.hostPort of type int32',
    ),
  ],
  [
    'a host port twice',
    pod(
      '{name: a, image: b, ports: [{containerPort: 1, hostPort: 80}]}, {name: c, image: b, ports: [{containerPort: 2, hostPort: 80}]}',
    ),
    invalid('Pod', 'spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80"'),
  ],
  [
    'an invalid protocol',
    port('containerPort: 1, hostPort: 80, protocol: ICMP'),
    invalid(
      'Pod',
      'spec.containers[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"',
    ),
  ],
  [
    'another host port on the host network',
    pod('{name: a, image: b, ports: [{containerPort: 8080, hostPort: 80}]}', 'hostNetwork: true'),
    invalid(
      'Pod',
      'spec.containers[0].ports[0].hostPort: Invalid value: 80: must match `containerPort` when `hostNetwork` is true',
    ),
  ],
  [
    'a misspelt field',
    port('containerPort: 1, hostport: 80'),
    refused('Pod', 'v1', 'strict decoding error: unknown field "spec.containers[0].ports[0].hostport"'),
  ],
  [
    'a port name with an underscore',
    port('containerPort: 1, name: http_port'),
    invalid(
      'Pod',
      `spec.containers[0].ports[0].name: Invalid value: "http_port": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)`,
    ),
  ],
  [
    'a name with capitals',
    named('{name: Bad_Name}'),
    `The ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": ${SUBDOMAIN}`,
  ],
  [
    'a label with a blank',
    named('{name: bad, labels: {a: "b c"}}'),
    invalid('ConfigMap', `metadata.labels: Invalid value: "b c": ${LABEL_VALUE}`),
  ],
  [
    'no name',
    named('{labels: {a: b}}'),
    'error: error when retrieving current configuration of:\nResource: "/v1, Resource=configmaps", GroupVersionKind: "/v1, Kind=ConfigMap"\nName: "", Namespace: "default"\nfrom server for: "STDIN": resource name may not be empty',
  ],
  [
    'a namespace that is not there',
    named('{name: bad, namespace: nowhere}'),
    'Error from server (NotFound): error when creating "STDIN": namespaces "nowhere" not found',
  ],
  [
    'a key that is not a file name',
    `${named('{name: bad}').replace('data: {}', 'data: {"a b": c}')}`,
    invalid(
      'ConfigMap',
      `data[a b]: Invalid value: "a b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`,
    ),
  ],
  [
    'a kind that is not served',
    'apiVersion: v1\nkind: Gadget\nmetadata: {name: bad}\n',
    'error: resource mapping not found for name: "bad" namespace: "" from "STDIN": no matches for kind "Gadget" in version "v1"\nensure CRDs are installed first',
  ],
  [
    'a version that is not served',
    'apiVersion: apps/v9\nkind: Deployment\nmetadata: {name: bad}\n',
    'error: resource mapping not found for name: "bad" namespace: "" from "STDIN": no matches for kind "Deployment" in version "apps/v9"\nensure CRDs are installed first',
  ],
  [
    'no kind',
    'apiVersion: v1\nmetadata: {name: bad}\n',
    'error: error validating "STDIN": error validating data: kind not set; if you choose to ignore these errors, turn validation off with --validate=false',
  ],
  [
    'invalid YAML',
    'apiVersion: v1\nkind: Pod\nmetadata: {name: bad\n',
    "error: error parsing STDIN: error converting YAML to JSON: yaml: line 3: did not find expected ',' or '}'",
  ],
  ['a pod without containers', pod(''), invalid('Pod', 'spec.containers: Required value')],
  [
    'a container without an image',
    pod('{name: a}'),
    invalid('Pod', 'spec.containers[0].image: Required value'),
  ],
  [
    'two containers of one name',
    pod('{name: a, image: b}, {name: a, image: b}'),
    invalid('Pod', 'spec.containers[1].name: Duplicate value: "a"'),
  ],
  [
    'a mount of no volume',
    pod('{name: a, image: b, volumeMounts: [{name: data, mountPath: /data}]}'),
    invalid('Pod', 'spec.containers[0].volumeMounts[0].name: Not found: "data"'),
  ],
  [
    'a volume of two kinds',
    pod('{name: a, image: b}', 'volumes: [{name: data, emptyDir: {}, hostPath: {path: /data}}]'),
    invalid('Pod', 'spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type'),
  ],
  [
    'an invalid quantity',
    pod('{name: a, image: b, resources: {limits: {memory: 1 GiB}}}'),
    refused(
      'Pod',
      'v1',
      `quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`,
    ),
  ],
  [
    'a request above its limit',
    pod('{name: a, image: b, resources: {requests: {cpu: 2}, limits: {cpu: 1}}}'),
    invalid(
      'Pod',
      'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ),
  ],
  [
    'an environment variable with a blank',
    pod('{name: a, image: b, env: [{name: "A B", value: c}]}'),
    invalid(
      'Pod',
      `spec.containers[0].env[0].name: Invalid value: "A B": a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')`,
    ),
  ],
  [
    'a probe of nothing',
    pod('{name: a, image: b, livenessProbe: {periodSeconds: 1}}'),
    invalid('Pod', 'spec.containers[0].livenessProbe: Required value: must specify a handler type'),
  ],
  [
    'an invalid restart policy',
    pod('{name: a, image: b}', 'restartPolicy: Sometimes'),
    invalid(
      'Pod',
      'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
    ),
  ],
  [
    'a toleration of an unknown kind',
    pod('{name: a, image: b}', 'tolerations: [{key: a, operator: Sometimes, value: b}]'),
    invalid(
      'Pod',
      'spec.tolerations[0].operator: Unsupported value: "Sometimes": supported values: "Equal", "Exists"',
    ),
  ],
  [
    'a service account that is not there',
    pod('{name: a, image: b}', 'serviceAccountName: nobody'),
    'Error from server (Forbidden): error when creating "STDIN": pods "bad" is forbidden: error looking up service account default/nobody: serviceaccount "nobody" not found',
  ],
  [
    'a Deployment whose selector selects others',
    deployment('selector: {matchLabels: {a: c}}'),
    invalid(
      'Deployment',
      'spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`',
    ),
  ],
  [
    'fewer than no replicas',
    deployment('selector: {matchLabels: {a: b}}\n  replicas: -1'),
    invalid('Deployment', 'spec.replicas: Invalid value: -1: must be greater than or equal to 0'),
  ],
  [
    'a Deployment of pods that end',
    deployment('selector: {matchLabels: {a: b}}', '{a: b}', ', restartPolicy: Never'),
    invalid(
      'Deployment',
      'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
    ),
  ],
  [
    'a rollout that cannot move',
    deployment(
      'selector: {matchLabels: {a: b}}\n  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}',
    ),
    invalid(
      'Deployment',
      'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0',
    ),
  ],
  [
    'a Service without a port',
    service('{selector: {a: b}}'),
    invalid('Service', 'spec.ports: Required value'),
  ],
  [
    'two nameless ports of a Service',
    service('{ports: [{port: 80}, {port: 81, name: b}]}'),
    invalid('Service', 'spec.ports[0].name: Required value'),
  ],
  [
    'a node port out of range',
    service('{type: NodePort, ports: [{port: 80, nodePort: 80}]}'),
    invalid(
      'Service',
      'spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767',
    ),
  ],
  [
    'a Secret that is not base64',
    'apiVersion: v1\nkind: Secret\nmetadata: {name: bad}\ndata: {a: "?"}\n',
    refused('Secret', 'v1', 'illegal base64 data at input byte 0'),
  ],
  [
    'a RoleBinding to nothing that has rules',
    'apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: bad}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Group, name: a}\n',
    invalid(
      'RoleBinding',
      'roleRef.kind: Unsupported value: "Group": supported values: "Role", "ClusterRole"',
    ),
  ],
];

describe.skipIf(missing !== undefined)(`broken manifests${missing ? ` (${missing})` : ''}`, () => {
  const lab = new Lab('broken');
  const kubectl = new Kubectl(lab, kubectls().at(-1)!);
  const kinds = 'configmaps,secrets,services,pods,deployments,replicasets,rolebindings';
  let before: string;
  beforeAll(async () => {
    await lab.must('create', 'cluster', '--name', lab.name);
    before = await kubectl.must(`get ${kinds} -o name`);
  });
  afterAll(() => lab.delete());

  test.concurrent.each(CASES)('%s', async (_, manifest, message) => {
    const ran = await kubectl.run('apply -f -', { stdin: manifest });
    expect(ran.stderr.trimEnd()).toBe(message);
    expect(ran.stdout).toBe('');
    expect(ran.code).toBe(1);
  });

  test('nothing was made of them', async () => {
    expect(await kubectl.must(`get ${kinds} -o name`)).toBe(before);
  });

  test('a good object is not changed by a bad one', async () => {
    const good = deployment('selector: {matchLabels: {a: b}}').replaceAll('name: bad', 'name: good');
    await kubectl.must('apply -f -', good);
    const stored = await kubectl.must('get deployment good -o jsonpath={.spec}');
    const other = await kubectl.run('apply -f -', { stdin: good.replaceAll('a: b}', 'a: c}') });
    expect(other.code).toBe(1);
    expect(other.stderr).toContain(
      'The Deployment "good" is invalid: spec.selector: Invalid value: {"matchLabels":{"a":"c"}}: field is immutable',
    );
    expect(await kubectl.must('get deployment good -o jsonpath={.spec}')).toBe(stored);
    await kubectl.must('delete deployment good');
  });
});
