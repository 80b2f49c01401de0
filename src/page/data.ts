import type { Advice } from '../path/diagnose/advice.ts';
import type { Severity, StageVerdict, Unknown } from '../path/model/finding.ts';
import type { Stage } from '../path/model/stages.ts';
import type { PacketWay } from '../path/view/packet-way.ts';

/**
 * What the page shows, as it is put into its file: columns of numbers and one list of texts, since a large cluster has tens of thousands of
 * mappings with few different texts. Nothing in it has been made safe: whoever shows a text does that.
 */
export interface PageData {
  /** Of this shape. */
  format: 1;
  /** What was examined, and when. */
  title: string;
  observedAt: string;
  /** Version of the program. */
  version: string;
  /** How many mappings were examined. The page has fewer where some were chosen. */
  examined: number;
  /** Every text, once; {@link Text} is a place in it. */
  texts: string[];
  paths: PathColumns;
  /** The different combinations of eight verdicts; `paths.cells` has places in it. */
  cells: CellData[][];
  /** Lists of findings; `paths.findings` has places in it. */
  findingLists: number[][];
  findings: FindingColumns;
  /** Pieces of evidence; `findings.evidence` has lists of places in it. */
  evidence: [kind: Text, where: Text, saw: Text][];
  /** Findings, from the first, that have their evidence here: the rest would make the file too large. */
  evidenceOf: number;
  /** By how many pods they hurt, what is broken first. */
  causes: CauseData[];
  unknowns: UnknownData[];
  /** Why stages of mappings are unknown, the reason of most first. */
  unknownStages: UnknownStageData[];
}

/** A place in `texts`; -1 is no text. */
export type Text = number;

/** One entry a mapping in each list. */
export interface PathColumns {
  node: Text[];
  namespace: Text[];
  pod: Text[];
  /** `TCP 80`. */
  port: Text[];
  family: Text[];
  containerPort: number[];
  cells: number[];
  findings: number[];
  /** Real names along the mapping; a name that no mapping has is absent. */
  way: { [name in keyof PacketWay]?: Text[] };
}

/** What is known of one stage. */
export interface CellData {
  verdict: StageVerdict['verdict'];
  /** Codes of the findings behind it. */
  codes: string[];
  reason: Text;
}

/** One entry a finding in each list. */
export interface FindingColumns {
  /** Place in `causes`. */
  cause: number[];
  node: Text[];
  /** `namespace/name`. */
  pod: Text[];
  message: Text[];
  evidence: number[][];
}

/** A cause: what findings that say the same of several nodes or pods have in common. */
export interface CauseData {
  /** Its name in links; the same as long as there are as many causes of its code. */
  id: string;
  code: string;
  stage: Stage;
  severity: Severity;
  message: string;
  /** Whose message it is, where those of the others differ in more than names. */
  example?: string;
  /** Its commands are as the reader has to type them. */
  advice: Advice;
  nodes: Text[];
  /** Pods that it hurts: of mappings that it is behind. */
  pods: number;
  /** Places of these mappings in `paths`, in their order. */
  paths: number[];
  /** Places in `findings`. */
  findings: number[];
}

/** Why stages are unknown, of all mappings of which these are so for the same reason. */
export interface UnknownStageData {
  stages: Stage[];
  why: string;
  /** How many mappings. */
  paths: number;
}

/** Something that could not be observed, on all nodes on which it is so for the same reason. */
export interface UnknownData {
  kind: Unknown['kind'];
  nodes: Text[];
  what: string;
  why: string;
}
