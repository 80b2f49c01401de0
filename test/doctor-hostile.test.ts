/**
 * Bundles come from anywhere. Whatever is in one: a clear error or a diagnosis, never a crash, and nothing of it reaches a terminal raw.
 */
import { afterAll, beforeEach, describe, expect, test } from 'bun:test';
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { renderDiagnosis } from '../src/cli/printer/diagnosis.ts';
import { renderJson, renderYaml } from '../src/cli/printer/document.ts';
import { bundleWorld } from '../src/collect/bundle.ts';
import { diagnose } from '../src/path/diagnose/diagnose.ts';
import { planHeal } from '../src/path/heal/plan.ts';
import type { Diagnosis } from '../src/path/model/finding.ts';
import { describeStep } from '../src/path/testing/describe-step.ts';
import { UserError } from '../src/util/errors.ts';
import { ALL_ANSWER } from './fixtures/moments.ts';

const BIN = join(import.meta.dir, '../bin');
const RECORDED = ['begin', 'worker3-chained'].map((name) => join(import.meta.dir, 'fixtures/bundles', name));
const scratch = mkdtempSync(join(tmpdir(), 'hostport-hostile-'));
const bundle = join(scratch, 'bundle');
beforeEach(() => {
  rmSync(bundle, { recursive: true, force: true });
  cpSync(RECORDED[0]!, bundle, { recursive: true });
});
afterAll(() => rmSync(scratch, { recursive: true }));

/** A window title, a bell, a clear screen, the 8-bit CSI, carriage return, a change of the direction of writing, and a forged line. */
const PAYLOAD = '\u001b]0;owned\u0007\u001b[2J\u009b31m\r\u202e\u2028\nerror: forged\u007f\b';
/** What must never be printed. A line feed is what lines end with. */
const RAW = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

function expectClean(text: string): void {
  const at = text.search(RAW);
  if (at >= 0)
    throw new Error(
      `raw ${JSON.stringify(text.slice(at, at + 20))} after ${JSON.stringify(text.slice(at - 60, at))}`,
    );
}

interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** The program itself, as a user runs it: `scripts/test.ts` sees to it that it is up to date. */
async function doctor(...words: string[]): Promise<Ran> {
  const argv = [join(BIN, 'hostport'), 'doctor', ...words];
  const env = { ...process.env, PATH: `${BIN}:${process.env.PATH}` };
  const child = Bun.spawn(argv, { env, stdin: 'ignore', stdout: 'pipe', stderr: 'pipe', timeout: 30_000 });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}

const file = (name: string) => join(bundle, name);
const write = (name: string, content: string) => () => writeFileSync(file(name), content);

function edit(name: string, change: (document: never) => unknown): void {
  const document = JSON.parse(readFileSync(file(name), 'utf8')) as never;
  writeFileSync(file(name), JSON.stringify(change(document) ?? document));
}

interface EditedPod {
  metadata: Record<string, unknown>;
  spec: { containers: { ports: Record<string, unknown>[] }[] };
}

const editPod = (change: (pod: EditedPod) => void) => () =>
  edit('objects/pods.json', (pods: EditedPod[]) => change(pods[0]!));

describe('what cannot be read is one clear error, status 2, and nothing on standard output', () => {
  const cases: [name: string, damage: () => void, message: string][] = [
    [
      'no bundle at all',
      () => rmSync(bundle, { recursive: true }),
      'no such file or directory; give what "hostport doctor --save" wrote',
    ],
    ['truncated', () => truncateSync(file('objects/pods.json'), 1000), 'objects/pods.json: not JSON'],
    ['deeply nested', write('probes.json', '['.repeat(5_000_000)), 'probes.json: '],
    [
      'deeply nested and closed',
      write('probes.json', `${'['.repeat(200_000)}${']'.repeat(200_000)}`),
      'probes.json: ',
    ],
    ['wrong type', write('objects/pods.json', '{"items":{"length":3}}'), 'objects/pods.json: want a list'],
    [
      'an escape sequence where the parser quotes its input',
      write('objects/nodes.json', `[{"metadata":{"name":"${PAYLOAD}"}}]`),
      'objects/nodes.json: not JSON',
    ],
    [
      'a forged line where the parser quotes its input',
      write('probes.json', '"x\nerror: forged"'),
      'not JSON',
    ],
    [
      'an escape sequence as a key',
      write('manifest.json', JSON.stringify({ [PAYLOAD]: 1 })),
      'manifest.json: ',
    ],
    [
      'an escape sequence as a value that is checked',
      write('manifest.json', JSON.stringify({ apiVersion: PAYLOAD, kind: PAYLOAD, observedAt: 1 })),
      'manifest.json: apiVersion',
    ],
    [
      'a link to a secret',
      () => {
        rmSync(file('probes.json'));
        symlinkSync('/etc/shadow', file('probes.json'));
      },
      'probes.json: a symbolic link',
    ],
    [
      'a link to a device without an end',
      () => {
        rmSync(file('manifest.json'));
        symlinkSync('/dev/zero', file('manifest.json'));
      },
      'manifest.json: a symbolic link',
    ],
  ];
  test.each(cases)('%s', async (_, damage, message) => {
    damage();
    const { code, stdout, stderr } = await doctor('--from', bundle);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expectClean(stderr);
    expect(stderr).toStartWith('error: ');
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toContain(message);
    expect(stderr.length).toBeLessThan(1000);
  });

  test('a kind of failure that is an escape sequence', async () => {
    const { code, stdout, stderr } = await doctor('--explain', PAYLOAD);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expectClean(stderr);
  });
});

describe('what is wrong with one node or object is a doubt about that one, status 2, and the others are judged', () => {
  const worker3 = 'nodes/kind-worker3.json';
  const cases: [name: string, damage: () => void, doubt: string][] = [
    [
      'a truncated report',
      () => truncateSync(file(worker3), 9999),
      '? kind-worker3: node report not known: nodes/kind-worker3.json: not JSON (9999 characters)',
    ],
    [
      'a huge report',
      () => truncateSync(file(worker3), 2 ** 40),
      '? kind-worker3: node report not known: nodes/kind-worker3.json: longer than',
    ],
    [
      'a report that is an escape sequence',
      write(worker3, `{"unknown":${JSON.stringify(PAYLOAD)}}`),
      '? kind-worker3: node report not known: \\x1b]0;owned',
    ],
    [
      'a link in the place of a report',
      () => {
        rmSync(file(worker3));
        symlinkSync('/etc/passwd', file(worker3));
      },
      '? kind-worker3: node report not known: nodes/kind-worker3.json: a symbolic link',
    ],
    [
      'a report under the name of another node',
      () => cpSync(file('nodes/kind-worker.json'), file(worker3)),
      '? kind-worker3: node report not known: the report named for kind-worker3 was taken on kind-worker',
    ],
    [
      'a report that says it is of a node that it is not of',
      () => {
        cpSync(file('nodes/kind-worker.json'), file(worker3));
        edit(worker3, (report: { node: string }) => {
          report.node = 'kind-worker3';
        });
      },
      '? kind-worker3: node report not known: the report was taken on a machine that has no address of kind-worker3 (172.17.0.5), but has 172.17.0.3 of kind-worker',
    ],
    [
      'a report of last week',
      () =>
        edit(worker3, (report: { takenAt: string }) => {
          report.takenAt = '2019-04-24T00:00:00Z';
        }),
      '? kind-worker3: node report not known: the report is 168 hours old',
    ],
    [
      'a port beyond ports',
      editPod(({ spec }) => {
        spec.containers[0]!.ports[0]!.hostPort = 1e308;
      }),
      'objects/pods.json[0]: spec.containers[0].ports[0].hostPort',
    ],
    [
      'a protocol that is an escape sequence',
      editPod(({ spec }) => {
        spec.containers[0]!.ports[0]!.protocol = PAYLOAD;
      }),
      'ports[0].protocol',
    ],
    [
      'a name that would fill the terminal',
      editPod(({ metadata }) => {
        metadata.name = 'x'.repeat(10_000_000);
      }),
      'pod objects/pods.json[0] not known: objects/pods.json[0]: metadata.name',
    ],
  ];
  test.each(cases)('%s', async (_, damage, doubt) => {
    // Nothing is broken in it.
    rmSync(bundle, { recursive: true });
    cpSync(ALL_ANSWER, bundle, { recursive: true });
    damage();
    const { code, stdout, stderr } = await doctor('--from', bundle);
    expect({ code, stderr }).toEqual({ code: 2, stderr: '' });
    expectClean(stdout);
    // Long lines are folded.
    expect(stdout.replace(/\n {2,}/g, ' ')).toContain(doubt);
    expect(stdout).toMatch(/^kind-worker2 +\S+ +TCP 80 +(✓ +){7}✓$/m);
    expect(stdout.length).toBeLessThan(5000);
  });

  test('a file among the reports that is not a report is reported, and no node is unknown for it', async () => {
    rmSync(bundle, { recursive: true });
    cpSync(ALL_ANSWER, bundle, { recursive: true });
    write(`nodes/${PAYLOAD}.json`, '{}')();
    const { code, stdout } = await doctor('--from', bundle);
    expect(code).toBe(0);
    expectClean(stdout);
    expect(stdout).toContain('nodes: want <name of the node>.json');
  });
});

describe('escape sequences that are only data are printed as escapes', () => {
  const formats = ['table', 'json', 'yaml'];
  test.each(formats)('%s', async (format) => {
    edit('objects/pods.json', (pods: EditedPod[]) => {
      for (const { metadata } of pods) metadata.name = `${metadata.name}${PAYLOAD}`;
    });
    edit('objects/events.json', (events: { message: string }[]) => {
      for (const event of events) event.message += PAYLOAD;
    });
    const { code, stdout, stderr } = await doctor('--from', bundle, '-o', format);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expectClean(stdout);
    // It is shown, not hidden.
    expect(stdout).toMatch(/(\\x1b|\\u001b|\\e)\]0;owned/);
    expect(stdout).not.toMatch(/^error: forged/m);
  });

  test('also in the values of a message, which are what the message says', async () => {
    edit('objects/services.json', (services: object[]) => {
      services.push({
        metadata: { namespace: 'default', name: PAYLOAD },
        spec: { ports: [{ port: 80, nodePort: 80, protocol: 'TCP' }] },
      });
    });
    const { stdout } = await doctor('--from', bundle, '-o', 'json');
    expectClean(stdout);
    const { findings } = JSON.parse(stdout) as Diagnosis;
    const { message, args } = findings.find(({ code }) => code === 'nodeport-collision')!;
    expect(args.service).toBe(PAYLOAD);
    expect(message).toEndWith(`is also the nodePort of Service ${PAYLOAD}`);
  });

  test('JSON and YAML say the same as before they were escaped', () => {
    const document = {
      [PAYLOAD]: PAYLOAD,
      plain: 'a\nb\n',
      bidi: 'x\u202ey',
      list: ['\u009b', '\u007f', ' \u2028 '],
    };
    expect(JSON.parse(renderJson(document, 2))).toEqual(document);
    expect(parseYaml(renderYaml(document))).toEqual(document);
    expectClean(renderJson(document, 2));
    expectClean(renderYaml(document));
  });
});

/** A place in a document: steps of keys and indexes. */
type Place = readonly (string | number)[];

/** Every leaf of a document, with texts that are JSON themselves counted as one leaf. */
function leaves(value: unknown, place: Place = []): Place[] {
  if (typeof value !== 'object' || value === null) return [place];
  return Object.entries(value).flatMap(([key, field]) =>
    leaves(field, [...place, Array.isArray(value) ? Number(key) : key]),
  );
}

/** Where a value stands, without which one of a list it is: what is alike is tried once. */
function kindOf(place: Place): string {
  return place.map((step) => (typeof step === 'number' ? '[]' : step)).join('.');
}

function changed(document: unknown, place: Place, change: (value: unknown) => unknown): unknown {
  const [step, ...rest] = place;
  if (step === undefined) return change(document);
  const copy: Record<string | number, unknown> = Array.isArray(document)
    ? ([...document] as never)
    : { ...(document as object) };
  copy[step] = changed(copy[step], rest, change);
  return copy;
}

/** Texts that hold JSON (conflists, nft's rules) are damaged inside as well. */
function inside(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), (_, value) =>
      typeof value === 'string' ? `${value}${PAYLOAD}` : value,
    );
  } catch {
    return text.replaceAll('\n', `${PAYLOAD}\n`);
  }
}

const DAMAGES: readonly ((value: unknown) => unknown)[] = [
  (value) => `${value}${PAYLOAD}`,
  (value) => (typeof value === 'string' ? inside(value) : PAYLOAD),
  () => null,
  () => '',
  () => -1,
  () => 1e308,
  () => ({ toString: 'x', __proto__: null, constructor: PAYLOAD }),
  () => [PAYLOAD],
  () => 'x'.repeat(200_000),
  () => '{"plugins":'.repeat(3000),
  () => '('.repeat(30_000),
  () => 'type="x" failed (add)'.repeat(5000),
];

/** Everything that is printed of a bundle, or the error. */
async function printed(directory: string): Promise<string> {
  try {
    const diagnosed = diagnose(await bundleWorld(directory));
    const { diagnosis } = diagnosed;
    const steps = planHeal(diagnosed, { restart: true }).flatMap((plan) => plan.steps);
    // The plan itself is data; whoever prints it escapes it. Here it must only not throw.
    for (const step of steps) describeStep(step);
    return [renderDiagnosis(diagnosis, 'hostport'), renderJson(diagnosis, 2), renderYaml(diagnosis)].join('');
  } catch (error) {
    if (error instanceof UserError) return '';
    throw error;
  }
}

describe('any value in any place of a recorded bundle', () => {
  // What one bundle has shown need not be shown again by the next, which differs in few places.
  const seen = new Set<string>();
  let tried = 0;
  test.each(RECORDED)(
    '%s',
    async (recorded) => {
      const directory = join(scratch, 'mutated');
      const wrong: string[] = [];
      const files = readdirSync(recorded, { recursive: true, encoding: 'utf8' }).filter((name) =>
        name.endsWith('.json'),
      );
      rmSync(directory, { recursive: true, force: true });
      cpSync(recorded, directory, { recursive: true });
      for (const name of files) {
        const text = readFileSync(join(recorded, name), 'utf8');
        const document = JSON.parse(text) as unknown;
        const kinds = leaves(document).filter((place) => {
          const kind = `${name.replace(/^nodes\/.*/, 'nodes')} ${kindOf(place)}`;
          return !seen.has(kind) && seen.add(kind);
        });
        for (const [i, place] of kinds.entries()) {
          // Two of the damages for each place: the escape sequence always, the others in turn.
          for (const damage of [DAMAGES[0]!, DAMAGES[1 + (i % (DAMAGES.length - 1))]!]) {
            writeFileSync(join(directory, name), JSON.stringify(changed(document, place, damage)));
            tried++;
            const began = performance.now();
            try {
              expectClean(await printed(directory));
            } catch (error) {
              wrong.push(
                `${name} ${place.join('.')} ${damage}: ${error instanceof Error ? error.stack : error}`,
              );
            }
            const took = performance.now() - began;
            if (took > 5000) wrong.push(`${name} ${place.join('.')} ${damage}: took ${Math.round(took)} ms`);
          }
        }
        writeFileSync(join(directory, name), text);
      }
      expect(wrong.slice(0, 5)).toEqual([]);
    },
    240_000,
  );

  test('are hundreds', () => {
    expect(tried).toBeGreaterThan(500);
  });
});
