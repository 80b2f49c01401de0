import { watchNetfilter } from '../netfilter-changes.ts';

// Prints a line for every reported change of netfilter, and ends when its standard input does.
const stop = new AbortController();
process.stdin.on('end', () => stop.abort()).resume();
const watching = watchNetfilter(() => console.log('changed'), stop.signal);
console.log('listening');
await watching;
console.log('ended');
