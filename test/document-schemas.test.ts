import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { diagnosisSchema, documentSchemas } from '../scripts/document-schemas.ts';
import { diagnosisOutput } from '../src/cli/printer/diagnosis-output.ts';
import { WIDE } from '../src/cli/printer/layout.ts';
import { bundleWorld } from '../src/collect/bundle.ts';
import { diagnose } from '../src/path/diagnose/diagnose.ts';

const SCHEMAS = join(import.meta.dir, '../docs/schema');
const BUNDLES = join(import.meta.dir, 'fixtures/bundles');

test('docs/schema has what `bun scripts/document-schemas.ts` writes', () => {
  const files = new Map(
    readdirSync(SCHEMAS).map((name) => [name, readFileSync(join(SCHEMAS, name), 'utf8')] as const),
  );
  expect(Object.fromEntries(files)).toEqual(Object.fromEntries(documentSchemas()));
});

/** A validator made of the file that users have. */
function schemaFile(name: string): z.ZodType {
  return z.fromJSONSchema(JSON.parse(readFileSync(join(SCHEMAS, name), 'utf8')));
}

describe.each(readdirSync(BUNDLES))('of the bundle %s', (name) => {
  const directory = join(BUNDLES, name);
  test('the diagnosis is as its schema says', async () => {
    const diagnosis: unknown = JSON.parse(JSON.stringify(diagnose(await bundleWorld(directory)).diagnosis));
    expect(schemaFile('diagnosis.json').safeParse(diagnosis).error).toBeUndefined();
    expect(diagnosisSchema.parse(diagnosis)).toEqual(diagnosis as z.infer<typeof diagnosisSchema>);
  });

  test('its summary and its lines are as theirs say', async () => {
    const { diagnosis } = diagnose(await bundleWorld(directory));
    const print = (output: 'json' | 'ndjson', summary: boolean) =>
      [
        ...diagnosisOutput(diagnosis, {
          ...{ output, summary, isRepeated: false, title: '', ifEmpty: undefined },
          ...{ program: 'hostport', flags: '', layout: WIDE },
        }),
      ].join('');
    const summary: unknown = JSON.parse(print('json', true));
    expect(schemaFile('summary.json').safeParse(summary).error).toBeUndefined();
    const lines = print('ndjson', false)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string });
    const line = schemaFile('diagnosis-line.json');
    for (const document of lines) expect(line.safeParse(document).error).toBeUndefined();
    expect(lines[0]!.kind).toBe('Summary');
    expect(line.safeParse({ ...lines.at(-1), kind: 'Other' }).success).toBe(false);
    expect(line.safeParse({ kind: 'Path' }).success).toBe(false);
  });

  test('node reports and probes are as theirs say', () => {
    const report = schemaFile('node-report.json');
    for (const file of readdirSync(join(directory, 'nodes'))) {
      const document: unknown = JSON.parse(readFileSync(join(directory, 'nodes', file), 'utf8'));
      expect(report.safeParse(document).error).toBeUndefined();
    }
    const probes: unknown = JSON.parse(readFileSync(join(directory, 'probes.json'), 'utf8'));
    expect(schemaFile('probes.json').safeParse(probes).error).toBeUndefined();
  });
});

test('an invalid document is refused', () => {
  const schema = schemaFile('diagnosis.json');
  const empty = {
    apiVersion: 'hostport/v1',
    kind: 'Diagnosis',
    observedAt: '',
    paths: [],
    findings: [],
    unknowns: [],
  };
  expect(schema.safeParse(empty).success).toBe(true);
  expect(schema.safeParse({ ...empty, apiVersion: 'hostport/v2' }).success).toBe(false);
});

test('a document of a later release, with fields more, is taken', () => {
  const more = { ofLater: 1 };
  const empty = { apiVersion: 'hostport/v1', kind: 'Diagnosis', observedAt: '', paths: [], findings: [] };
  const document = { ...empty, unknowns: [{ kind: 'node', what: 'x', why: 'y', ...more }], ...more };
  expect(schemaFile('diagnosis.json').safeParse(document).success).toBe(true);
});
