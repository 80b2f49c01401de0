import { labelValueErrors, qualifiedNameErrors } from '../names.ts';
import type { LabelSelector } from '../types.ts';
import { hasLabels, isInteger, type Labels, meets, type Requirement } from './requirement.ts';

/** A selector that cannot be understood; the message is Kubernetes'. */
export class SelectorError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SelectorError';
  }
}

type Operator = 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';

/** The operators of `matchExpressions`. */
const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'];

/** A requirement as it is written, validated. */
function requirement(key: string, operator: Operator, values: string[]): Requirement {
  const invalid = (field: string, value: string, errors: string[]): SelectorError =>
    new SelectorError(
      `unable to parse requirement: ${field}: Invalid value: ${JSON.stringify(value)}: ${errors.join('; ')}`,
    );
  const keyErrors = qualifiedNameErrors(key);
  if (keyErrors.length > 0) throw invalid('<nil>', key, keyErrors);
  for (const [index, value] of values.entries()) {
    if (operator === 'Gt' || operator === 'Lt') {
      if (isInteger(value)) continue;
      throw invalid(`values[${index}]`, value, ["for 'Gt', 'Lt' operators, the value must be an integer"]);
    }
    const errors = labelValueErrors(value);
    if (errors.length > 0) throw invalid(`values[${index}][${key}]`, value, errors);
  }
  return { key, operator, values };
}

type Token = { text: string; word: boolean };

const SYMBOLS = ['==', '!=', '=', '!', '(', ')', ',', '>', '<'];

/** Splits into symbols and words; a word ends at white space or a symbol. */
function tokens(text: string): Token[] {
  const found: Token[] = [];
  let position = 0;
  while (position < text.length) {
    if (/\s/.test(text[position]!)) {
      position++;
      continue;
    }
    const symbol = SYMBOLS.find((candidate) => text.startsWith(candidate, position));
    if (symbol !== undefined) {
      found.push({ text: symbol, word: false });
      position += symbol.length;
      continue;
    }
    const word = /^[^\s=!(),><]+/.exec(text.slice(position))![0];
    found.push({ text: word, word: true });
    position += word.length;
  }
  return found;
}

/** A recursive-descent reader of the grammar in k8s.io/apimachinery/pkg/labels. */
class LabelSelectorParser {
  readonly #tokens: Token[];
  #next = 0;

  constructor(text: string) {
    this.#tokens = tokens(text);
  }

  parse(): Requirement[] {
    const requirements: Requirement[] = [];
    if (this.#peek() === undefined) return requirements;
    for (;;) {
      requirements.push(this.#requirement());
      const token = this.#take();
      if (token === undefined) return requirements;
      if (token.word || token.text !== ',') throw this.#unexpected(token, "',' or 'end of string'");
      const after = this.#peek();
      if (after === undefined || !(after.word || after.text === '!')) {
        throw this.#unexpected(after, "identifier after ','");
      }
    }
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#next];
  }

  #take(): Token | undefined {
    return this.#tokens[this.#next++];
  }

  #unexpected(token: Token | undefined, expected: string): SelectorError {
    return new SelectorError(
      `unable to parse requirement: found '${token?.text ?? ''}', expected: ${expected}`,
    );
  }

  #isSymbol(text: string): boolean {
    const token = this.#peek();
    return token !== undefined && !token.word && token.text === text;
  }

  #requirement(): Requirement {
    const negated = this.#isSymbol('!');
    if (negated) this.#take();
    const key = this.#take();
    if (key === undefined || !key.word) {
      throw new SelectorError(`found '${key?.text ?? ''}', expected: !, identifier, or 'end of string'`);
    }
    const after = this.#peek();
    if (negated || after === undefined || (!after.word && after.text === ',')) {
      return requirement(key.text, negated ? 'DoesNotExist' : 'Exists', []);
    }
    const operator = this.#take()!;
    switch (operator.text) {
      case 'in':
      case 'notin':
        return requirement(key.text, operator.text === 'in' ? 'In' : 'NotIn', this.#values());
      case '=':
      case '==':
        return requirement(key.text, 'In', [this.#exactValue()]);
      case '!=':
        return requirement(key.text, 'NotIn', [this.#exactValue()]);
      case '>':
      case '<':
        return requirement(key.text, operator.text === '>' ? 'Gt' : 'Lt', [this.#exactValue()]);
      default:
        throw this.#unexpected(operator, 'in, notin, =, ==, !=, gt, lt');
    }
  }

  /** The value after `=` and the like; nothing there is the empty value. */
  #exactValue(): string {
    const token = this.#peek();
    if (token === undefined || (!token.word && token.text === ',')) return '';
    this.#take();
    if (!token.word) throw this.#unexpected(token, 'identifier');
    return token.text;
  }

  /** `(a, b)`; an empty place between commas is the empty value. */
  #values(): string[] {
    const open = this.#take();
    if (open?.text !== '(') {
      throw new SelectorError(`unable to parse requirement: found '${open?.text ?? ''}' expected: '('`);
    }
    const values: string[] = [];
    let pending = '';
    for (;;) {
      const token = this.#take();
      if (token?.word) {
        if (pending !== '') throw this.#unexpected(token, "',' or ')'");
        pending = token.text;
      } else if (token?.text === ',' || token?.text === ')') {
        values.push(pending);
        pending = '';
        if (token.text === ')') return [...new Set(values)];
      } else {
        throw this.#unexpected(token, "',', or ')'");
      }
    }
  }
}

/**
 * Parses a label selector as kubectl's `-l` takes it: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`. The empty text selects
 * everything. Throws {@link SelectorError}.
 */
export function parseLabelSelector(text: string): (labels: Labels) => boolean {
  const requirements = new LabelSelectorParser(text).parse();
  return (labels) => requirements.every((requirement) => meets(requirement, labels));
}

/**
 * Whether an object's `selector` field selects these labels. An empty selector selects everything, a missing one nothing.
 * Throws {@link SelectorError} for an unknown operator.
 */
export function labelSelectorMatches(selector: LabelSelector | undefined, labels: Labels): boolean {
  if (selector === undefined) return false;
  if (!hasLabels(selector.matchLabels, labels)) return false;
  return (selector.matchExpressions ?? []).every((expression) => {
    if (OPERATORS.includes(expression.operator)) return meets(expression, labels);
    throw new SelectorError(`${JSON.stringify(expression.operator)} is not a valid label selector operator`);
  });
}
