import type { Diagnosed } from '../../path/diagnose/diagnose.ts';
import type { Diagnosis, PathVerdict } from '../../path/model/finding.ts';
import { packetWays } from '../../path/view/packet-way.ts';
import { VERSION } from '../../util/version.ts';
import { asCalled } from './as-called.ts';
import type { DiagnosisOutput, PageFormat } from './diagnosis-output.ts';

/** A diagnosis as a page. `diagnosed`: all of what it was chosen from. */
export async function pageOutput(
  format: PageFormat,
  diagnosis: Diagnosis,
  diagnosed: Diagnosed,
  { title, program, flags }: Pick<DiagnosisOutput, 'title' | 'program' | 'flags'>,
): Promise<string> {
  const wanted: ReadonlySet<PathVerdict> = new Set(diagnosis.paths);
  const input = {
    diagnosis,
    ways: packetWays(diagnosed, wanted),
    title,
    version: VERSION,
    examined: diagnosed.diagnosis.paths.length,
    asTyped: (command: string) => asCalled(command, program, flags),
  };
  // The bundle is read only where a page is asked for.
  if (format === 'html') return (await import('../../page/html.ts')).pageHtml(input);
  return (await import('../../page/markdown.ts')).pageMarkdown(input);
}
