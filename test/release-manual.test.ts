import { describe, expect, test } from 'bun:test';
import { manPages } from '../scripts/release/man-pages.ts';
import { hostport } from '../src/cli/command-line.ts';
import { command, examples } from '../src/cli/verb.ts';

const pages = manPages(await hostport(), { version: '1.2.3', date: '2026-02-03' });

test('a page for the program, each group and each command that the help shows', () => {
  const names = [...pages.keys()];
  for (const name of ['hostport.1', 'hostport-get.1', 'hostport-get-nodes.1', 'hostport-cni-add.1'])
    expect(names).toContain(name);
  expect(names).not.toContain('hostport-node-serve.1');
  expect(names).not.toContain('hostport-complete.1');
});

describe.each([...pages])('%s', (name, page) => {
  test('has its parts, and refers to pages that there are', () => {
    expect(page).toStartWith(
      `.TH "${name.slice(0, -2).replaceAll('-', '\\-').toUpperCase()}" "1" "2026\\-02\\-03"`,
    );
    const headings = [...page.matchAll(/^\.SH (.*)$/gm)].map((match) => match[1]!);
    for (const heading of ['NAME', 'SYNOPSIS', 'EXIT STATUS', 'SEE ALSO'])
      expect(headings).toContain(heading);
    const referred = [...page.matchAll(/\\fB([\w\\-]+)\\fR\(1\)/g)].map((match) =>
      match[1]!.replaceAll('\\-', '-'),
    );
    expect(referred.length).toBeGreaterThan(0);
    expect(referred.filter((other) => !pages.has(`${other}.1`))).toEqual([]);
  });

  test('no word of the help is a command of roff', () => {
    const commands = [...page.matchAll(/^[.'](\S*)/gm)].map((match) => match[1]!);
    expect(commands.filter((word) => !['TH', 'SH', 'TP', 'PP', 'nf', 'fi', 'nh'].includes(word))).toEqual([]);
    expect(page).toMatch(/^[\x0a\x20-\x7e]*$/);
  });
});

test('what a description says is written, whatever it says', () => {
  const odd = command('odd')
    .description("say .\n\n.so /etc/passwd\n'br \\n – it")
    .option('-x, --ex <y>', '.x', 'd');
  examples(odd, "printf '\\n'", '.');
  expect(
    manPages(odd, { version: '1', date: '2' }).get('odd.1'),
  ).toBe(String.raw`.TH "ODD" "1" "2" "hostport 1" "hostport"
.nh
.SH NAME
odd \- say .
.SH SYNOPSIS
\fBodd\fR [options]
.SH DESCRIPTION
.PP
\&.so /etc/passwd
.PP
\(aqbr \en \[u2013] it
.SH OPTIONS
.TP
\fB\-x\fR, \fB\-\-ex\fR \fI<y>\fR
\&.x (default: d)
.TP
\fB\-h\fR, \fB\-\-help\fR
display help for command
.SH EXAMPLE
.nf
printf \(aq\en\(aq
\&.
.fi
.SH EXIT STATUS
.TP
\fB0\fR
Done. A command that gives a verdict: no problems found.
.TP
\fB1\fR
Tried, and failed. A command that gives a verdict: problems found.
.TP
\fB2\fR
Wrong input, and nothing was started. A command that gives a verdict: inconclusive, for this reason or another.
`);
});
