/**
 * Runs a program that may have no memory that is both writable and executable: `bun write-xor-execute.ts PROGRAM`, in place of this process. The
 * denial outlasts exec(2). Source: PR_SET_MDWE in prctl(2).
 */
import { dlopen, ptr } from 'bun:ffi';

const PR_SET_MDWE = 65;
const PR_MDWE_REFUSE_EXEC_GAIN = 1;

const [program, ...words] = process.argv.slice(2) as [string, ...string[]];
const { symbols } = dlopen('libc.so.6', {
  prctl: { args: ['i32', 'u64', 'u64', 'u64', 'u64'], returns: 'i32' },
  execv: { args: ['cstring', 'ptr'], returns: 'i32' },
});
const texts = [program, ...words].map((word) => Buffer.from(`${word}\0`));
const argv = new BigUint64Array([...texts.map((text) => BigInt(ptr(text))), 0n]);
if (symbols.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) !== 0) {
  console.error('the kernel cannot deny writable executable memory');
} else {
  symbols.execv(texts[0]!, argv);
  console.error(`cannot run ${program}`);
}
process.exit(126);
