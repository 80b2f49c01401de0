/** As src/portmap/native.ts, for the plugins of the lab. */
import '../../../cni/native/globals.ts';
import './main.ts';
