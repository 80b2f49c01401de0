import { InvalidArgumentError, Option } from 'commander';
import { dnsLabelErrors, dnsSubdomainErrors } from '../kube/names.ts';
import { parseLabelSelector, SelectorError } from '../kube/selectors/index.ts';
import type { Pod } from '../kube/types.ts';
import { InputError } from '../util/errors.ts';
import { collect } from './option-values.ts';
import type { Verb } from './verb.ts';

/** The name of a pod, and its namespace. */
interface PodName {
  namespace: string;
  name: string;
}

/** A label selector that was typed. */
interface Selector {
  text: string;
  matches(labels: Readonly<Record<string, string>>): boolean;
}

/** The options that say which pods are judged. */
export interface PodOptions {
  selector?: Selector;
  namespace?: readonly string[];
  allNamespaces?: true;
  pod?: readonly PodName[];
}

/** Which pods are judged. */
export interface PodChoice {
  /** As it was typed, for errors. */
  text: string;
  matches(pod: Pod): boolean;
  /** Each of these must be there. */
  names: readonly PodName[];
}

const GROUP = 'Which pods are judged (default: those of all namespaces):';

const podOptions = () => [
  new Option('-l, --selector <labels>', 'only pods with these labels, as kubectl takes them')
    .argParser(selector)
    // A runtime knows no labels.
    .conflicts('local'),
  new Option('-n, --namespace <name>', 'only pods of this namespace (repeatable)')
    .argParser(collect(namespace))
    .conflicts('allNamespaces'),
  new Option('-A, --all-namespaces', 'pods of all namespaces, which is the default'),
  new Option('--pod <namespace/name>', 'only this pod (repeatable)')
    .argParser(collect(podName))
    .conflicts(['selector', 'namespace', 'allNamespaces']),
];

/** The attributes of these options. */
export const podAttributes = podOptions().map((option) => option.attributeName());

/** Adds the options that say which pods are judged. */
export function addPodOptions(verb: Verb): void {
  for (const option of podOptions()) verb.addOption(option.helpGroup(GROUP));
}

/** The choice that options make; undefined where they make none. */
export function podChoiceOf({ selector, namespace = [], pod = [] }: PodOptions): PodChoice | undefined {
  if (selector === undefined && namespace.length === 0 && pod.length === 0) return undefined;
  const names = new Set(pod.map(keyOf));
  return {
    text: [
      ...pod.map((one) => `--pod ${keyOf(one)}`),
      ...namespace.map((one) => `--namespace ${one}`),
      ...(selector === undefined ? [] : [`--selector ${selector.text}`]),
    ].join(' '),
    matches: ({ metadata }) => {
      const { namespace: space = '', name = '', labels = {} } = metadata ?? {};
      return (
        (names.size === 0 || names.has(keyOf({ namespace: space, name }))) &&
        (namespace.length === 0 || namespace.includes(space)) &&
        (selector?.matches(labels) ?? true)
      );
    },
    names: pod,
  };
}

/**
 * Those of some pods that were chosen.
 * @throws InputError when there is none, or when one that was named is missing: "no problems found" would read as good news.
 */
export function chosenPods(choice: PodChoice, pods: readonly Pod[]): Pod[] {
  const found = pods.filter((pod) => choice.matches(pod));
  const there = new Set(found.map(({ metadata }) => keyOf(metadata ?? {})));
  const missing = choice.names.find((name) => !there.has(keyOf(name)));
  if (missing !== undefined) {
    const same = pods.find(({ metadata }) => metadata?.name === missing.name);
    const advice =
      same === undefined
        ? 'kubectl get pods -A lists them'
        : `there is one of this name in namespace ${same.metadata?.namespace}`;
    throw new InputError(`cannot examine pod ${keyOf(missing)}: not found; ${advice}`);
  }
  if (found.length > 0) return found;
  throw new InputError(
    `cannot examine pods: none of ${pods.length} matches ${choice.text}; kubectl get pods -A --show-labels lists them`,
  );
}

function keyOf({ namespace = '', name = '' }: Partial<PodName>): string {
  return `${namespace}/${name}`;
}

function selector(text: string): Selector {
  try {
    return { text, matches: parseLabelSelector(text) };
  } catch (cause) {
    if (!(cause instanceof SelectorError)) throw cause;
    throw new InvalidArgumentError(`want labels like app=web,tier!=cache: ${cause.message}.`);
  }
}

function namespace(text: string): string {
  if (dnsLabelErrors(text).length === 0) return text;
  throw new InvalidArgumentError('want the name of a namespace: lower case letters, digits and "-".');
}

function podName(text: string): PodName {
  const [space = '', name = '', ...more] = text.split('/');
  const isName = dnsLabelErrors(space).length === 0 && dnsSubdomainErrors(name).length === 0;
  if (isName && more.length === 0) return { namespace: space, name };
  throw new InvalidArgumentError('want NAMESPACE/NAME of a pod.');
}
