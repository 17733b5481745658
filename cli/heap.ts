import { setFlagsFromString } from "node:v8";

/** Per cent that the heap may grow beyond what is alive before it is collected. */
const GROWTH = 100;

/**
 * Keeps the heap of a command that runs for days near what is alive in it. Left to itself, V8 lets garbage that has
 * outlived its young generation (requests and their answers) grow to several times that.
 *
 * Nor is V8 to make what a step notes down in the old generation, which it takes to once a step has lived through two
 * collections of the young one: from then on every such collection takes several times as long, and there are more of all.
 */
export function keepHeapSmall(): void {
  // Read at every collection, so that they may be set while the process runs.
  setFlagsFromString(`--heap-growing-percent=${GROWTH}`);
  setFlagsFromString("--no-allocation-site-pretenuring");
}
