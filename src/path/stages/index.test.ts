import { describe, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { diagnose } from '../diagnose/diagnose.ts';
import { compareStages, stages } from '../model/stages.ts';
import { catalogue } from './index.ts';

const codes = catalogue.map(({ code }) => code);

describe('the catalogue', () => {
  test('has every file of its directory, once', () => {
    const inDirectories = stages.flatMap((stage) =>
      readdirSync(join(import.meta.dir, stage))
        .filter((name) => !name.endsWith('.test.ts'))
        .map((name) => `${stage} ${name.replace(/\.ts$/, '')}`),
    );
    expect(catalogue.map(({ stage, code }) => `${stage} ${code}`).sort()).toEqual(inDirectories.sort());
  });

  test('is in the order of the stages, and has failures of every one', () => {
    expect([...catalogue].sort((a, b) => compareStages(a.stage, b.stage)).map(({ code }) => code)).toEqual(
      codes,
    );
    expect(new Set(catalogue.map(({ stage }) => stage))).toEqual(new Set(stages));
  });

  test('finds nothing where there is nothing', () => {
    const world = { observedAt: '', nodes: [], pods: [], services: [], events: [], policies: [] };
    expect(diagnose({ ...world, reports: new Map(), probes: [] }).diagnosis.findings).toEqual([]);
  });

  describe.each([...catalogue])('$code', (failure) => {
    test('explains and remedies in sentences', () => {
      const { explanation, remedy } = failure;
      // Names of programs keep their spelling.
      expect(explanation).toMatch(/^(?:[A-Z`]|portmap |netfilter |containerd ).+\.$/);
      expect(remedy).toMatch(/^[A-Z].{10,}\.$/);
    });

    test('names its sources', () => {
      expect(failure.sources).not.toEqual([]);
      for (const source of failure.sources) {
        expect(source).toMatch(/^(?:https:\/\/|[\w-]+\/[\w.-]+)/);
      }
    });

    test('says why there is no other way when a restart is needed, and only then', () => {
      expect(failure.restartReason !== undefined).toBe(failure.restart === 'needed');
      expect(failure.restartReason).not.toBe('');
    });

    test('is hidden by failures that there are, and not by itself', () => {
      const named = failure.mutedBy === 'earlier' ? [] : failure.mutedBy;
      expect(named.filter((code) => code !== 'earlier' && !codes.includes(code))).toEqual([]);
      expect(named).not.toContain(failure.code);
    });
  });
});
