import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '../e2e/lab.ts';

/** Specs of Kubernetes' own end-to-end suite, as a regular expression of its kind, and how many there are. */
export interface SpecGroup {
  name: string;
  focus: string;
  skip?: string;
  /** How many specs that is: one that is renamed must not be left out unseen. */
  count: number;
  /** How many run at a time. */
  procs: number;
}

/** One spec, as its report says it ended. */
export interface SpecResult {
  name: string;
  state: string;
  seconds: number;
  failure?: string;
}

/** Where the programs are that the suite runs. */
export interface SuitePrograms {
  ginkgo: string;
  suite: string;
  kubectl: string;
}

/** What of Ginkgo's report is read. */
interface Report {
  SpecReports: {
    LeafNodeType: string;
    LeafNodeText: string;
    ContainerHierarchyTexts: string[] | null;
    State: string;
    RunTime: number;
    Failure?: { Message: string };
  }[];
}

/**
 * Runs specs on a lab's cluster, within the lab's network, and returns what became of those that were to run. Throws when the suite left
 * no report.
 */
export async function runSpecs(
  lab: Lab,
  programs: SuitePrograms,
  group: SpecGroup,
  workers: number,
): Promise<SpecResult[]> {
  const reports = join(lab.scratch, `suite-${group.name}`);
  mkdirSync(reports, { recursive: true });
  const report = join(reports, 'report.json');
  rmSync(report, { force: true });
  const kubeconfig = (await lab.inLab('printenv', 'KUBECONFIG')).stdout.trim();
  const ran = await lab.inLab(
    ...[programs.ginkgo, `-procs=${group.procs}`, '--no-color', '--timeout=30m', `--focus=${group.focus}`],
    ...(group.skip === undefined ? [] : [`--skip=${group.skip}`]),
    ...['--json-report=report.json', `--output-dir=${reports}`, programs.suite, '--'],
    ...['--provider=skeleton', `--kubeconfig=${kubeconfig}`, `--kubectl-path=${programs.kubectl}`],
    ...[`--num-nodes=${workers}`, '--allowed-not-ready-nodes=0', `--report-dir=${reports}`],
  );
  let text: string;
  try {
    text = readFileSync(report, 'utf8');
  } catch (cause) {
    const said = (ran.stdout + ran.stderr).slice(-4000);
    throw new Error(`the suite left no report (exit ${ran.code}); it ended with\n${said}`, { cause });
  }
  return (JSON.parse(text) as Report[])
    .flatMap(({ SpecReports }) => SpecReports)
    .filter(({ LeafNodeType, State }) => LeafNodeType === 'It' && State !== 'skipped' && State !== 'pending')
    .map(({ ContainerHierarchyTexts, LeafNodeText, State, RunTime, Failure }) => ({
      name: [...(ContainerHierarchyTexts ?? []), LeafNodeText].join(' '),
      state: State,
      seconds: Math.round(RunTime / 1e9),
      ...(Failure === undefined ? {} : { failure: Failure.Message.slice(0, 1000) }),
    }));
}
