import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfFiles, readDropIns } from './conf-files.ts';

let scratch: string;
let directory: string;
beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'hostport-conf-'));
  directory = join(scratch, 'net.d');
  mkdirSync(directory);
});
afterEach(() => rmSync(scratch, { recursive: true }));

const LIST = '{"name":"net","plugins":[{"type":"a"}]}';
const SINGLE = '{"name":"net","type":"a"}';
const write = (name: string, content: string | Buffer) => writeFileSync(join(directory, name), content);
/** What is reported for each file: its content, or why there is none; `broken` before the latter where it is not a configuration. */
const reported = (files = readConfFiles(directory)) =>
  Object.fromEntries(
    files.map(({ name, content, broken }) => [
      name,
      'value' in content ? content.value : `${broken ? 'broken ' : ''}${content.unknown}`,
    ]),
  );

test('every file is there with its content, also those no runtime reads; what cannot be read says why', () => {
  write('05-a.conf', SINGLE);
  write('10-b.conflist.cilium_bak', LIST);
  write('20-huge.conf', Buffer.alloc(300 * 1024, 'x'));
  symlinkSync('/nowhere/at/all', join(directory, '30-dangling.conf'));
  symlinkSync('05-a.conf', join(directory, '40-link.conf'));
  mkdirSync(join(directory, 'net'));
  Bun.spawnSync(['mkfifo', join(directory, '50-fifo.conf')]);
  const times = { modified: time, changed: time };
  expect(readConfFiles(directory)).toEqual([
    { name: '05-a.conf', ...times, content: { value: SINGLE } },
    { name: '10-b.conflist.cilium_bak', ...times, content: { value: LIST } },
    { name: '20-huge.conf', ...times, content: { unknown: expect.stringContaining('longer than') } },
    {
      name: '30-dangling.conf',
      ...times,
      target: '/nowhere/at/all',
      content: { unknown: expect.stringContaining('ENOENT') },
    },
    { name: '40-link.conf', ...times, target: '05-a.conf', content: { value: SINGLE } },
    { name: '50-fifo.conf', ...times, content: { unknown: expect.stringContaining('not a regular file') } },
  ]);
});
const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/);

test('a directory that is not there has no files', () => {
  expect(readConfFiles(join(directory, 'none'))).toEqual([]);
});

describe('what is no configuration is described and not quoted', () => {
  test.each<[string, string, string | Buffer, string]>([
    [
      'a kubeconfig',
      'a.conflist',
      'apiVersion: v1\nusers:\n- user: {token: S3CRET}\n',
      'a.conflist: not JSON: line 1, column 1: expected a value (46 bytes of YAML-like text)',
    ],
    [
      'a list that is cut short',
      'a.conflist',
      '{"name":"net","plugins":[{"type":"S3CRET',
      'a.conflist: not JSON: line 1, column 41: expected the rest of a string (40 bytes of JSON-like text)',
    ],
    ['nothing', 'a.conf', '', 'a.conf: not JSON: line 1, column 1: expected a value (empty)'],
    [
      'a key',
      'a.conf',
      '-----BEGIN EC PRIVATE KEY-----\nS3CRET\n',
      'a.conf: not JSON: line 1, column 1: expected a value (38 bytes of PEM text)',
    ],
    [
      'a program',
      'a.json',
      Buffer.from('\u007fELF\u0002\u0001S3CRET', 'latin1'),
      'a.json: not JSON: line 1, column 1: expected a value (12 bytes of an ELF file)',
    ],
    [
      'a document of another kind',
      'a.json',
      '{"data":{"user":"S3CRET"}}',
      'a.json: missing type of the plugin (26 bytes of JSON-like text)',
    ],
    [
      'another kind of value',
      'a.conflist',
      '{"name":"net","plugins":[{"type":"a","capabilities":"S3CRET"}]}',
      'a.conflist: plugins[0].capabilities must be an object (63 bytes of JSON-like text)',
    ],
    [
      'another kind of value for a key that nobody knows',
      'a.conflist',
      '{"name":"net","plugins":[{"type":"a","capabilities":{"S3CRET":1}}]}',
      'a.conflist: plugins[0].capabilities.x must be true or false (67 bytes of JSON-like text)',
    ],
    [
      'a name that is not valid',
      'a.conflist',
      '{"name":"S3CRET!","plugins":[{"type":"a"}]}',
      'a.conflist: a name or version has characters that it must not have (43 bytes of JSON-like text)',
    ],
    ['a text for a document', 'a.conf', '"S3CRET"', 'a.conf must be an object (8 bytes of text)'],
  ])('%s', (_, name, content, why) => {
    write(name, content);
    expect(reported()).toEqual({ [name]: `broken ${why}` });
  });

  test('what is only too large is not known to be broken', () => {
    write('a.conf', `{"name":"net","type":"a","x":${'['.repeat(40_000)}${']'.repeat(40_000)}}`);
    const plugins = Array.from({ length: 5000 }, () => ({ type: 'a' }));
    write('b.conflist', JSON.stringify({ name: 'net', plugins }));
    expect(reported()).toEqual({
      'a.conf': 'a.conf: nested deeper than 100 levels (80030 bytes of JSON-like text)',
      'b.conflist': 'b.conflist: 5000 plugins, more than 100 (65026 bytes of JSON-like text)',
    });
  });

  test('a list without plugins of its own may have them in its drop-in directory', () => {
    write('a.conflist', '{"name":"net"}');
    expect(reported()).toEqual({ 'a.conflist': '{"name":"net"}' });
  });
});

describe('links', () => {
  const outside = () => join(scratch, 'outside.conf');
  beforeEach(() => writeFileSync(outside(), '{"name":"net","type":"S3CRET"}'));
  const notFollowed = (path: string, target: string) =>
    `${join(directory, path)}: a link that leads out of its directory, to ${target}: not followed`;

  test('that lead out of the directory are reported and not followed', () => {
    symlinkSync('../outside.conf', join(directory, 'a.conf'));
    symlinkSync(outside(), join(directory, 'b.conflist'));
    symlinkSync('b.conflist', join(directory, 'c.conf'));
    symlinkSync('/dev/zero', join(directory, 'd.conf'));
    symlinkSync(scratch, join(directory, 'e'));
    symlinkSync('e/outside.conf', join(directory, 'f.conf'));
    expect(readConfFiles(directory).map(({ name, target }) => [name, target])).toEqual([
      ['a.conf', '../outside.conf'],
      ['b.conflist', outside()],
      ['c.conf', 'b.conflist'],
      ['d.conf', '/dev/zero'],
      ['e', scratch],
      ['f.conf', 'e/outside.conf'],
    ]);
    expect(reported()).toEqual({
      'a.conf': notFollowed('a.conf', outside()),
      'b.conflist': notFollowed('b.conflist', outside()),
      'c.conf': notFollowed('c.conf', outside()),
      'd.conf': notFollowed('d.conf', '/dev/zero'),
      e: notFollowed('e', scratch),
      'f.conf': notFollowed('f.conf', outside()),
    });
  });

  test('within the directory are followed, as a mounted ConfigMap has them', () => {
    mkdirSync(join(directory, '..2026'));
    write('..2026/a.conf', SINGLE);
    symlinkSync('..2026', join(directory, '..data'));
    symlinkSync('..data/a.conf', join(directory, 'a.conf'));
    expect(reported()).toMatchObject({ 'a.conf': SINGLE });
  });

  test('that are the directory itself are followed, as k3s and MicroK8s have them', () => {
    renameSync(directory, join(scratch, 'elsewhere'));
    symlinkSync('elsewhere', directory);
    write('a.conf', SINGLE);
    symlinkSync('a.conf', join(directory, 'b.conf'));
    expect(reported()).toEqual({ 'a.conf': SINGLE, 'b.conf': SINGLE });
  });

  test('of a directory whose name begins like the other one lead out of it', () => {
    mkdirSync(`${directory}.bak`);
    writeFileSync(join(`${directory}.bak`, 'a.conf'), SINGLE);
    symlinkSync('../net.d.bak/a.conf', join(directory, 'a.conf'));
    expect(reported()).toEqual({ 'a.conf': notFollowed('a.conf', join(`${directory}.bak`, 'a.conf')) });
  });
});

describe('a drop-in directory', () => {
  test('has plugins, which have no name of a network; what is none is described', () => {
    mkdirSync(join(directory, 'net'));
    write('net/10-a.conf', '{"type":"portmap"}');
    write('net/20-b.conf', '{"data":"S3CRET"}');
    write('plugin.conf', '{"type":"a","name":"x"}');
    symlinkSync('../plugin.conf', join(directory, 'net/30-c.conf'));
    writeFileSync(join(scratch, 'outside'), '{"type":"a"}');
    symlinkSync('../../outside', join(directory, 'net/40-d.conf'));
    expect(reported(readDropIns(directory, 'net'))).toEqual({
      '10-a.conf': '{"type":"portmap"}',
      '20-b.conf': 'broken 20-b.conf: missing type of the plugin (17 bytes of JSON-like text)',
      '30-c.conf': '{"type":"a","name":"x"}',
      '40-d.conf': expect.stringContaining('leads out of its directory'),
    });
  });

  test('that is a link out of the configuration directory is not looked into', () => {
    mkdirSync(join(scratch, 'elsewhere'));
    writeFileSync(join(scratch, 'elsewhere/a.conf'), '{"type":"a"}');
    symlinkSync('../elsewhere', join(directory, 'net'));
    expect(() => readDropIns(directory, 'net')).toThrow(
      `${join(directory, 'net')}: a link that leads out of its directory, to ${join(scratch, 'elsewhere')}: not followed`,
    );
  });
});

test('what is wrong with a configuration is reported whole, whatever its file is called', () => {
  write('a, is b.conflist', '{"name":"net","plugins":[7]}');
  write('c.conflist', '{"name":"net","plugins":["a, is S3CRET"]}');
  expect(reported()).toEqual({
    'a, is b.conflist': 'broken a, is b.conflist: plugins[0] must be an object (28 bytes of JSON-like text)',
    'c.conflist': 'broken c.conflist: plugins[0] must be an object (41 bytes of JSON-like text)',
  });
});
