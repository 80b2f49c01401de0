/**
 * Builds the lab's images: `build-images.ts [--program bin/hostport] [--plugins dist/cni] [--busybox /usr/bin/busybox]
 * [--out dist/images]`. Prints one line an image.
 */
import { parseArgs } from 'node:util';
import { buildImages } from '../src/lab/images/lab-images.ts';
import { REF_NAME } from '../src/lab/images/oci.ts';
import { output, realExec } from '../src/sys/exec.ts';

const { values } = parseArgs({
  options: {
    program: { type: 'string', default: 'bin/hostport' },
    plugins: { type: 'string', default: 'dist/cni' },
    busybox: { type: 'string', default: '/usr/bin/busybox' },
    out: { type: 'string', default: 'dist/images' },
  },
});
// The doctor's pods run the image of the program's own version, which is not that of the source that runs here.
const version = (await output(realExec, [values.program, 'version'])).trim();
const index = await buildImages({
  programPath: values.program,
  version,
  pluginsDir: values.plugins,
  busyboxPath: values.busybox,
  outDir: values.out,
});
for (const image of index.manifests) console.log(`${image.annotations?.[REF_NAME]}  ${image.digest}`);
