/** The native executable: the plugin as it is, on what globals.ts puts in the place of its runtime. scripts/build-plugins.ts bundles it. */
import './globals.ts';
import '../main.ts';
