import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { diagnose } from '../diagnose/diagnose.ts';
import { compareStages, stages } from '../model/stages.ts';
import { catalogue } from './index.ts';

const codes = catalogue.map(({ code }) => code);
const pages = join(import.meta.dir, '../../../docs/failures');

/** What hides each of these findings, and nothing else does. */
const MUTED_BY: Readonly<Record<string, 'earlier' | string[]>> = {
  'hostip-family-mismatch': [],
  'hostip-not-on-node': ['hostip-family-mismatch'],
  'hostport-conflict': [],
  'nodeport-collision': [],
  'no-node-with-free-port': [],
  'capability-missing': ['conflist-shadowed', 'conflist-renamed', 'conflist-invalid'],
  'cni-version-unsupported': ['conflist-shadowed', 'conflist-renamed'],
  'conflist-invalid': [],
  'conflist-not-loaded': [
    'conflist-invalid',
    'conflist-renamed',
    'conflist-shadowed',
    'portmap-not-chained',
    'capability-missing',
    'plugin-order-wrong',
    'cni-version-unsupported',
    'set-mark-chain-missing',
  ],
  'conflist-renamed': [],
  'conflist-shadowed': [],
  'conflist-too-early': ['plugin-missing', 'plugin-not-executable', 'plugin-wrong-architecture'],
  'plugin-order-wrong': ['conflist-shadowed', 'conflist-renamed'],
  'portmap-not-chained': ['conflist-renamed', 'conflist-shadowed', 'conflist-invalid'],
  'set-mark-chain-missing': ['conflist-shadowed', 'conflist-renamed', 'capability-missing'],
  'netfilter-tool-missing': ['plugin-missing', 'plugin-not-executable', 'plugin-wrong-architecture'],
  'plugin-missing': [],
  'plugin-not-executable': [],
  'plugin-too-old': ['cni-version-unsupported'],
  'plugin-wrong-architecture': ['plugin-not-executable'],
  'attachment-doubled': [],
  'attachment-leaked': [],
  'delete-aborted': [],
  'pod-predates-chain': 'earlier',
  'backends-mixed': [],
  'entry-jump-missing': [],
  'host-listener-hijacked': [],
  'mapping-missing': 'earlier',
  'mapping-shadowed': ['mapping-missing', 'mapping-stale', 'attachment-doubled', 'entry-jump-missing'],
  'mapping-stale': [],
  'mark-bit-shared': [],
  'masquerade-missing': 'earlier',
  'conntrack-stale-udp': ['earlier'],
  'forward-policy-drop': [],
  'hairpin-unmasqueraded': 'earlier',
  'ip-forward-off': [],
  'netfilter-bypassed': ['policy-denied', 'rp-filter-strict'],
  'pod-route-missing': [],
  'route-localnet-off': ['pod-route-missing'],
  'rp-filter-strict': ['earlier', 'ip-forward-off', 'pod-route-missing'],
  'v6-loopback': [],
  'application-not-listening': ['pod-route-missing'],
  'no-listening-socket': [],
  'not-answering': ['earlier', 'application-not-listening', 'policy-denied', 'off-node-blocked'],
  'off-node-blocked': ['policy-denied', 'rp-filter-strict'],
  'policy-denied': ['ip-forward-off', 'forward-policy-drop', 'pod-route-missing'],
  'source-address-lost': [],
};

/** What portmap's attachments leave behind. */
const LEFTOVERS = ['attachment-leaked', 'delete-aborted'];

/** What is only a risk as long as the runtime has an older list loaded, which maps ports. */
const OF_FIRST_CONFIG = [
  'capability-missing',
  'cni-version-unsupported',
  'conflist-invalid',
  'conflist-not-loaded',
  'conflist-renamed',
  'conflist-shadowed',
  'plugin-order-wrong',
  'portmap-not-chained',
];

/** A text on one line, without its marks of code. */
const unwrapped = (text: string) => text.replaceAll('`', '').replace(/\s+/g, ' ');

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

  test('hides each finding by those that it follows from, and by no others', () => {
    const known = catalogue.filter(({ code }) => Object.hasOwn(MUTED_BY, code));
    expect(Object.fromEntries(known.map(({ code, mutedBy }) => [code, mutedBy]))).toEqual(MUTED_BY);
  });

  test('has leftovers, and failures of the first configuration', () => {
    const codesWith = (part: 'leftover' | 'ofFirstConfig') =>
      catalogue.filter((failure) => failure[part]).map(({ code }) => code);
    expect(codesWith('leftover')).toEqual(expect.arrayContaining(LEFTOVERS));
    expect(codesWith('ofFirstConfig')).toEqual(expect.arrayContaining(OF_FIRST_CONFIG));
  });

  describe.each([...catalogue])('$code', (failure) => {
    const page = unwrapped(readFileSync(join(pages, `${failure.code}.md`), 'utf8'));

    test('has its page, with every text of the definition', () => {
      const { title, explanation, restartReason } = failure;
      const { see, why = [], check, fix, heal = [] } = failure.page;
      const texts = [title, explanation, restartReason ?? [], see, why, check.run, check.look, fix, heal];
      expect(texts.flat().filter((text) => text.trim() === '' || !page.includes(unwrapped(text)))).toEqual(
        [],
      );
    });

    test('explains and remedies in sentences', () => {
      const { explanation, remedy } = failure;
      // Names of programs keep their spelling.
      expect(explanation).toMatch(/^(?:[A-Z`]|portmap |netfilter |containerd ).+\.$/);
      expect(remedy).toMatch(/^[A-Z].{10,}\.$/);
    });

    test('names its sources, all of which are on its page', () => {
      expect(failure.sources).not.toEqual([]);
      for (const source of failure.sources) {
        expect(source).toMatch(/^(?:https:\/\/|[\w-]+\/[\w.-]+)/);
        expect(page).toContain(unwrapped(source.split(' ')[0]!));
      }
    });

    test('says why there is no other way when a restart is needed, and only then', () => {
      expect(failure.restartReason !== undefined).toBe(failure.restart === 'needed');
      expect(page).toContain(unwrapped(failure.restartReason ?? ''));
      expect(failure.restartReason).not.toBe('');
    });

    test('is hidden by failures that there are, and not by itself', () => {
      const named = failure.mutedBy === 'earlier' ? [] : failure.mutedBy;
      expect(named.filter((code) => code !== 'earlier' && !codes.includes(code))).toEqual([]);
      expect(named).not.toContain(failure.code);
    });
  });
});
