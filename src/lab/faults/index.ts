import type { Fault } from '../inject/fault.ts';
import { faults } from './index.gen.ts';

/** How the lab injects a failure. */
export function faultOf({ code }: { code: string }): Fault {
  const fault = faults.get(code);
  if (fault === undefined) throw new Error(`no file injects ${code}; want src/lab/faults/${code}.ts`);
  return fault;
}

/** Whether a lab can have the failure. */
export function canInject(failure: { code: string }): boolean {
  return faultOf(failure).impossible === undefined;
}
