import { portmapSetting } from '../inject/portmap-setting.ts';

export const fault = portmapSetting(
  'sets `"snat": false` on the portmap entry of the configuration in use, and recreates the pod',
  () => ({ snat: false }),
);
