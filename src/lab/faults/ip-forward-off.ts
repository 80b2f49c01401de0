import { SETTING } from '../../path/stages/forwarded/ip-forward-off.ts';
import type { Fault } from '../inject/fault.ts';
import { readSysctl, writeSysctl } from '../inject/sysctl.ts';

export const fault: Fault = {
  does: `sets ${SETTING} to 0`,
  remember: (door, { node }) => readSysctl(door, node, SETTING),
  inject: (door, { node }) => writeSysctl(door, node, SETTING, '0'),
  restore: (door, { node }, memo) => writeSysctl(door, node, SETTING, memo as string),
};
