import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { PAGE, RECORDING, type Recording, tourPage } from '../scripts/tour-page.ts';

const recording = JSON.parse(readFileSync(RECORDING, 'utf8')) as Recording;

test('docs/tour.html is what was recorded: bun scripts/tour-page.ts', () => {
  expect(readFileSync(PAGE, 'utf8')).toBe(tourPage(recording));
});

test('the recording is of a whole tour, in which every expectation was met', () => {
  const expectations = recording.scenes.filter(({ kind }) => kind === 'expectation');
  expect(expectations.length).toBeGreaterThan(20);
  expect(expectations.every((scene) => scene.kind === 'expectation' && scene.met)).toBe(true);
  expect(recording.scenes.filter(({ kind }) => kind === 'heading').length).toBeGreaterThan(8);
});

describe('the page', () => {
  const page = tourPage(recording);

  test('loads nothing and runs nothing', () => {
    expect(page).not.toMatch(/<script|<link|<img|<iframe|\ssrc=|url\(|@import|https?:|\son\w+=/i);
    expect(page).toContain("default-src 'none'; style-src 'sha256-");
  });

  test('has every command and every expectation, and each link leads to a step', () => {
    const text = page.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code));
    for (const scene of recording.scenes) {
      if (scene.kind === 'command') expect(text).toContain(`<kbd>${scene.shown}</kbd>`);
      if (scene.kind === 'expectation') expect(text).toContain(`</span>${scene.text}</p>`);
    }
    const links = [...page.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id);
    expect(links.length).toBeGreaterThan(6);
    for (const id of links) expect(page).toContain(`<section id="${id}"`);
  });

  test('has one heading above those of its steps, a language, and words for its marks', () => {
    expect(page.match(/<h1[ >]/g)).toHaveLength(1);
    expect(page).toContain('<html lang="en">');
    expect(page.match(/class="spoken">as expected: /g)).toHaveLength(page.match(/class="met"/g)!.length);
  });

  test('shows what a command printed as text, whatever it is', () => {
    const hostile = '<script>alert(1)</script>&"\u001b[2J\u202e\u200b\u200f\u061c\u2028\ufeff';
    const scenes: Recording['scenes'] = [
      { kind: 'heading', text: hostile },
      { kind: 'command', shown: hostile, output: hostile },
      { kind: 'expectation', text: hostile, met: false },
    ];
    const shown = tourPage({ version: hostile, day: hostile, scenes });
    expect(shown).not.toMatch(/<script|[\u001b\u202e\u200b\u200f\u061c\u2028\ufeff]/);
    expect(shown).toContain(
      '&#60;script&#62;alert(1)&#60;/script&#62;&#38;&#34;\\x1b[2J\\u202e\\u200b\\u200f\\u061c\\u2028\\ufeff',
    );
    expect(shown).toContain('not as expected: ');
  });
});
