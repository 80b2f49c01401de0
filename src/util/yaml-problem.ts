/**
 * What is wrong with a text that is to be YAML, by the error of its parser: `not valid YAML: line 3, column 7`. The place and no more: what
 * parsers say besides quotes the text, which may hold secrets. Undefined for another error. Knows the errors of `yaml`.
 */
export function yamlProblem(cause: unknown): string | undefined {
  const { name, linePos } = (cause ?? {}) as YamlError;
  if (linePos !== undefined) return `not valid YAML: line ${linePos[0].line}, column ${linePos[0].col}`;
  return name === 'YAMLParseError' ? 'not valid YAML' : undefined;
}

interface YamlError {
  name?: string;
  /** From 1. */
  linePos?: [{ line: number; col: number }];
}
