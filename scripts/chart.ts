/**
 * The templates of the Helm chart are written from src/agent/manifests.ts and deploy/monitoring.yaml: `bun scripts/chart.ts` writes them to
 * deploy/chart/templates. A test holds the files to what is written here, and another what Helm renders of them to the manifests.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AGENT_MODES, type AgentMode, agentObjects } from '../src/agent/manifests.ts';
import { renderYaml } from '../src/cli/printer/document.ts';
import type { DaemonSet, KubeObject } from '../src/kube/types.ts';
import { defaultSettings } from './agent-manifests.ts';

const root = join(import.meta.dir, '..');
const WRITTEN = '{{- /* Written by scripts/chart.ts. */ -}}\n';

/** What the objects are made with in the places that values fill; numbers and paths that nothing else has. */
const PLACE = {
  namespace: 'place-of-namespace',
  image: 'place-of-image',
  version: 'place-of-version',
  confDir: '/place-of-conf-dir',
  binDir: '/place-of-bin-dir',
  port: 65_001,
} as const;

/** The expression for each place, in the place of a whole scalar. */
const EXPRESSIONS: readonly (readonly [place: string, expression: string])[] = [
  [`"${PLACE.port}"`, '{{ int .Values.metrics.port | quote }}'],
  [String(PLACE.port), '{{ int .Values.metrics.port }}'],
  [PLACE.namespace, '{{ .Release.Namespace }}'],
  [PLACE.image, '{{ include "hostport.image" . | quote }}'],
  [PLACE.version, '{{ .Chart.AppVersion | quote }}'],
  [PLACE.confDir, '{{ .Values.cni.confDir | quote }}'],
  [PLACE.binDir, '{{ .Values.cni.binDir | quote }}'],
];

/** Fields whose values come whole from values.yaml, by the path of the value. */
const WHOLE: Readonly<Record<string, string>> = {
  resources: 'resources',
  tolerations: 'tolerations',
  nodeSelector: 'nodeSelector',
};

/** Fields that are there where a value is. */
const OPTIONAL = ['affinity', 'imagePullSecrets'];

/** The templates, by their paths. */
export function chartFiles(): Map<string, string> {
  const [heal, observe] = (['heal', 'observe'] as const).map(objectsOf) as [KubeObject[], KubeObject[]];
  const shared = heal.slice(0, -1);
  return new Map(
    Object.entries({
      'access.yaml': shared.map(template).join('---\n'),
      'daemonset.yaml': `{{- if eq .Values.mode "heal" }}\n${daemonSet(heal)}{{- else }}\n${daemonSet(observe)}{{- end }}\n`,
      ...monitoring(),
    }).map(([name, text]) => [`deploy/chart/templates/${name}`, `${WRITTEN}${text}`]),
  );
}

function objectsOf(mode: AgentMode): KubeObject[] {
  const { namespace, image, version, confDir, binDir, port } = PLACE;
  const settings = {
    ...defaultSettings(mode),
    namespace,
    image,
    version,
    confDir,
    binDirs: [binDir],
    metricsPort: port,
  };
  return agentObjects(settings).map(({ object }) => object);
}

function template(object: unknown): string {
  return EXPRESSIONS.reduce(
    (text, [place, expression]) => text.replaceAll(place, expression),
    renderYaml(object),
  );
}

function daemonSet(objects: readonly KubeObject[]): string {
  const object = structuredClone(objects.at(-1)) as DaemonSet;
  const pod = object.spec!.template.spec! as unknown as Record<string, unknown>;
  const [container] = object.spec!.template.spec!.containers as unknown as Record<string, unknown>[];
  for (const name of Object.keys(WHOLE)) {
    const holder = name in pod ? pod : container!;
    if (!(name in holder)) throw new Error(`the agent has no ${name}`);
    holder[name] = `whole-${name}`;
  }
  const text = template(object).replaceAll(
    /^( *)(- )?(\w+): whole-(\w+)$/gm,
    (_, indent: string, _dash: string | undefined, name: string) => {
      const deeper = indent.length + 2;
      return `${indent}${name}:\n${indent}  {{- toYaml .Values.${WHOLE[name]} | nindent ${deeper} }}`;
    },
  );
  return withApiServer(withOptional(text));
}

/** Before the pod's containers. */
function withOptional(text: string): string {
  return text.replace(/^( *)containers:$/m, (line, indent: string) =>
    [
      ...OPTIONAL.map(
        (name) =>
          `${indent}{{- with .Values.${name} }}\n${indent}${name}:\n${indent}  {{- toYaml . | nindent ${indent.length + 2} }}\n${indent}{{- end }}`,
      ),
      line,
    ].join('\n'),
  );
}

function withApiServer(text: string): string {
  return text.replace(/^( *)env:\n( *)- /m, (whole, indent: string, inner: string) =>
    [
      `${indent}env:`,
      `${inner}{{- with .Values.apiServer.host }}`,
      `${inner}- name: KUBERNETES_SERVICE_HOST`,
      `${inner}  value: {{ . | quote }}`,
      `${inner}- name: KUBERNETES_SERVICE_PORT`,
      `${inner}  value: {{ int $.Values.apiServer.port | quote }}`,
      `${inner}{{- end }}`,
      whole.slice(whole.indexOf('\n') + 1),
    ].join('\n'),
  );
}

/** By which value each object of deploy/monitoring.yaml is there. */
const MONITORING: Readonly<Record<string, string>> = {
  Service: 'serviceMonitor',
  ClusterRole: 'serviceMonitor',
  ServiceMonitor: 'serviceMonitor',
  PrometheusRule: 'prometheusRule',
};

function monitoring(): Record<string, string> {
  const documents = readFileSync(join(root, 'deploy/monitoring.yaml'), 'utf8').split(/^---\n/m);
  const files: Record<string, string> = {};
  for (const document of documents) {
    const kind = /^kind: (\w+)$/m.exec(document)?.[1] ?? '';
    const value = MONITORING[kind];
    if (value === undefined) throw new Error(`deploy/monitoring.yaml has a ${kind}, which the chart has not`);
    const text = document
      .replaceAll(/^#.*\n/gm, '')
      // Expressions of Prometheus are not Helm's.
      .replaceAll(/\{\{.*?\}\}/g, (expression) => `{{ ${JSON.stringify(expression)} }}`)
      .replace(/^ {2}namespace: kube-system$/m, '  namespace: {{ .Release.Namespace }}')
      .replaceAll(/: 9797$/gm, ': {{ int .Values.metrics.port }}')
      .replace(
        /^ {2}labels:$/m,
        `$&\n    {{- with .Values.${value}.labels }}\n    {{- toYaml . | nindent 4 }}\n    {{- end }}`,
      );
    const name = `${value.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}.yaml`;
    const before = files[name] === undefined ? '' : `${files[name]}---\n`;
    files[name] = `${before}{{- if .Values.${value}.enabled }}\n${text.trimEnd()}\n{{- end }}\n`;
  }
  return files;
}

if (import.meta.main) {
  if (AGENT_MODES.length !== 2) throw new Error('the chart knows two modes');
  for (const [path, text] of chartFiles()) writeFileSync(join(root, path), text);
}
