import { isIP } from 'node:net';

/**
 * Kubernetes' rules for names, with its own words. Every function returns what is wrong with the value: nothing when it is
 * good. Source: k8s.io/apimachinery/pkg/util/validation and api/validation.
 */

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const LABEL_1035 = '[a-z]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const QUALIFIED = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const LABEL_VALUE = `(${QUALIFIED})?`;
const CONFIG_MAP_KEY = '[-._a-zA-Z0-9]+';
const ENV_NAME = '[-._a-zA-Z][-._a-zA-Z0-9]*';

const matches = (pattern: string, value: string): boolean => new RegExp(`^(?:${pattern})$`).test(value);

/** `message (e.g. 'a',  or 'b', regex used for validation is 'pattern')`: the form of every such complaint, two spaces and all. */
function patternMessage(message: string, pattern: string, ...examples: string[]): string {
  const list = examples.map((example) => `'${example}'`).join(',  or ');
  return examples.length === 0
    ? `${message} (regex used for validation is '${pattern}')`
    : `${message} (e.g. ${list}, regex used for validation is '${pattern}')`;
}

const tooLong = (length: number): string => `must be no more than ${length} bytes`;
const bytes = (value: string): number => Buffer.byteLength(value);

/** RFC 1123 label: names of namespaces, containers, volumes. */
export function dnsLabelErrors(value: string): string[] {
  const errors: string[] = [];
  if (bytes(value) > 63) errors.push(tooLong(63));
  if (!matches(LABEL, value)) {
    errors.push(
      matches(SUBDOMAIN, value)
        ? 'must not contain dots'
        : patternMessage(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            LABEL,
            'my-name',
            '123-abc',
          ),
    );
  }
  return errors;
}

/** RFC 1123 subdomain: names of most objects. */
export function dnsSubdomainErrors(value: string): string[] {
  const errors: string[] = [];
  if (bytes(value) > 253) errors.push(tooLong(253));
  if (!matches(SUBDOMAIN, value)) {
    errors.push(
      patternMessage(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        SUBDOMAIN,
        'example.com',
      ),
    );
  }
  return errors;
}

/** RFC 1035 label: names of custom kinds and of their versions. */
export function dns1035Errors(value: string): string[] {
  const errors: string[] = [];
  if (bytes(value) > 63) errors.push(tooLong(63));
  if (!matches(LABEL_1035, value)) {
    errors.push(
      patternMessage(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
        LABEL_1035,
        'my-name',
        'abc-123',
      ),
    );
  }
  return errors;
}

/** A name that can be a segment of a URL path: names of RBAC objects. */
export function pathSegmentErrors(value: string): string[] {
  if (value === '.' || value === '..') return [`may not be '${value}'`];
  return ['/', '%'].filter((part) => value.includes(part)).map((part) => `may not contain '${part}'`);
}

/** `name` or `prefix/name`: keys of labels, annotations, finalizers, extended resources. */
export function qualifiedNameErrors(value: string): string[] {
  const message =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
  const examples = ['MyName', 'my.name', '123-abc'];
  const parts = value.split('/');
  const errors: string[] = [];
  if (parts.length > 2) {
    return [
      `a qualified name ${patternMessage(message, QUALIFIED, ...examples)} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  }
  const name = parts.at(-1)!;
  if (parts.length === 2) {
    const prefix = parts[0]!;
    if (prefix === '') errors.push('prefix part must be non-empty');
    else errors.push(...dnsSubdomainErrors(prefix).map((error) => `prefix part ${error}`));
  }
  if (name === '') errors.push('name part must be non-empty');
  else if (bytes(name) > 63) errors.push(`name part ${tooLong(63)}`);
  if (!matches(QUALIFIED, name)) {
    errors.push(`name part ${patternMessage(message, QUALIFIED, ...examples)}`);
  }
  return errors;
}

export function labelValueErrors(value: string): string[] {
  const errors: string[] = [];
  if (bytes(value) > 63) errors.push(tooLong(63));
  if (!matches(LABEL_VALUE, value)) {
    errors.push(
      patternMessage(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        LABEL_VALUE,
        'MyValue',
        'my_value',
        '12345',
      ),
    );
  }
  return errors;
}

/** Name of a container port: an IANA service name. */
export function portNameErrors(value: string): string[] {
  const errors: string[] = [];
  if (value.length > 15) errors.push('must be no more than 15 characters');
  if (!/^[-a-z0-9]+$/.test(value))
    errors.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(value)) errors.push('must contain at least one letter (a-z)');
  if (value.includes('--')) errors.push('must not contain consecutive hyphens');
  if (value.startsWith('-') || value.endsWith('-')) errors.push('must not begin or end with a hyphen');
  return errors;
}

export function portNumberErrors(value: number): string[] {
  return value >= 1 && value <= 65535 ? [] : ['must be between 1 and 65535, inclusive'];
}

/** An IP address. A zone is refused: it would name an interface of another machine. */
export function ipErrors(value: string | undefined): string[] {
  return value !== undefined && isIP(value) !== 0 && !value.includes('%')
    ? []
    : ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'];
}

export function envNameErrors(value: string): string[] {
  const errors: string[] = [];
  if (!matches(ENV_NAME, value)) {
    errors.push(
      patternMessage(
        "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit",
        ENV_NAME,
        'my.env-name',
        'MY_ENV.NAME',
        'MyEnvName1',
      ),
    );
  }
  return [...errors, ...fileNameErrors(value)];
}

/** A name may not be `.`, `..` or begin with `..`: it may become a file or a path. */
function fileNameErrors(value: string): string[] {
  if (value === '.') return ["must not be '.'"];
  if (value === '..') return ["must not be '..'"];
  return value.startsWith('..') ? ["must not start with '..'"] : [];
}

/** Key of a ConfigMap or Secret. */
export function configMapKeyErrors(value: string): string[] {
  const errors: string[] = [];
  if (bytes(value) > 253) errors.push(tooLong(253));
  if (!matches(CONFIG_MAP_KEY, value)) {
    errors.push(
      patternMessage(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        CONFIG_MAP_KEY,
        'key.name',
        'KEY_NAME',
        'key-name',
      ),
    );
  }
  return [...errors, ...fileNameErrors(value)];
}
