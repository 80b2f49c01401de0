/** Starts commands that leave something behind, and prints its own number and what of all that is still in the table of processes. */
import { realExec } from '../exec.ts';
import { MarkedChildren } from '../marked-children.ts';

const LEAVES =
  'setsid sh -c "sleep 87 & exec sleep 88" >/dev/null 2>&1 </dev/null & while ! pgrep -f "^sleep 87" >/dev/null; do :; done';

for (let i = 0; i < 3; i++) {
  const children = new MarkedChildren();
  await realExec.run(['sh', '-c', LEAVES], { inherit: children.fd });
  if (children.end() < 2) throw new Error('nothing was left');
}
const { stdout } = await realExec.run(['ps', '-eo', 'stat=,comm=']);
const left = stdout.split('\n').filter((line) => /^Z|sleep/.test(line));
console.log(`process ${process.pid}, left: ${left.join() || 'nothing'}`);
