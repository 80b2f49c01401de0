import { count } from './count.ts';
import type { PageIndex } from './page-index.ts';

/** What the diagnosis says, in one sentence. */
export function verdictOf(index: PageIndex): string {
  const { causes, unknowns, examined } = index.data;
  const { broken, unknown, risk } = index.counts;
  const unseen = unknowns.filter(({ kind }) => kind === 'node' || kind === 'pod');
  const all = index.length;
  if (all === 0 && examined > 0)
    return `No hostPort matches; ${count(examined, 'hostPort')} ${examined === 1 ? 'was' : 'were'} examined.`;
  if (all === 0) {
    return unseen.length === 0
      ? 'No pod asks for a hostPort.'
      : `No pod that asks for a hostPort was seen, but ${unseenText(unseen)}.`;
  }
  const others = [
    ...(unknown > 0 ? [`${unknown.toLocaleString('en')} ${are(unknown)} unknown`] : []),
    ...(risk > 0 ? [`${risk.toLocaleString('en')} ${are(risk)} at risk`] : []),
    ...(unknown === 0 && unseen.length > 0 ? [unseenText(unseen)] : []),
  ].join(', ');
  if (broken > 0) {
    const behind = causes.filter(({ severity }) => severity === 'broken');
    const nodes = new Set(behind.flatMap((cause) => cause.nodes)).size;
    const where = nodes === 0 ? '' : ` on ${count(nodes, 'node')}`;
    const by = behind.length === 0 ? '' : `: ${count(behind.length, 'cause')}${where}`;
    return `${broken.toLocaleString('en')} of ${count(all, 'hostPort')} ${are(broken)} broken${by}${others && `; ${others}`}.`;
  }
  const works = all === 1 ? 'The hostPort works' : `All ${all.toLocaleString('en')} hostPorts work`;
  if (unknown > 0) {
    const rest = risk > 0 ? `${risk.toLocaleString('en')} ${are(risk)} at risk, ` : '';
    return `${unknown.toLocaleString('en')} of ${count(all, 'hostPort')} ${are(unknown)} unknown; ${rest}no broken hostPort was found.`;
  }
  return others === '' ? `${works}.` : `${works}, but ${others}.`;
}

function are(number: number): string {
  return number === 1 ? 'is' : 'are';
}

function unseenText(unseen: readonly { nodes: readonly unknown[] }[]): string {
  const nodes = unseen.reduce((sum, entry) => sum + entry.nodes.length, 0);
  return nodes === 0 ? 'not everything could be read' : `${count(nodes, 'node')} could not be examined`;
}
