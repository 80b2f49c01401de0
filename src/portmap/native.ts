/** The native executable: the plugin as it is, on what globals.ts puts in the place of its runtime. scripts/native/build.ts bundles it. */
import '../cni/native/globals.ts';
import './main.ts';
