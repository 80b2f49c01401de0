export { parseFieldSelector } from './field.ts';
export { labelSelectorMatches, parseLabelSelector, SelectorError } from './label.ts';
