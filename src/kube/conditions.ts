/** The conditions in an object's status, at most one of each type. */
type Conditions<C> = { conditions?: readonly C[] } | undefined;

/** The condition of a type; undefined when the status has none. */
export function conditionOf<C extends { type: string }>(status: Conditions<C>, type: string): C | undefined {
  return status?.conditions?.find((condition) => condition.type === type);
}

/** Whether the condition of a type is true; one that is missing is not. */
export function isConditionTrue(status: Conditions<{ type: string; status: string }>, type: string): boolean {
  return conditionOf(status, type)?.status === 'True';
}
