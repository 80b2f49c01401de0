import { safeText } from '../../util/safe-text.ts';

/** The nodes of a cluster, to choose one of. */
export function NodeOptions({ nodes }: { nodes: readonly string[] }) {
  return (
    <>
      {nodes.map((name) => (
        <option key={name} value={name}>
          {safeText(name)}
        </option>
      ))}
    </>
  );
}
