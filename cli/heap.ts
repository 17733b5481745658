import { setFlagsFromString } from "node:v8";

/** Per cent that the heap may grow beyond what is alive before it is collected. */
const GROWTH = 100;

/**
 * Keeps the heap of a command that runs for days near what is alive in it. Left to itself, V8 lets garbage that has
 * outlived its young generation (what a step noted down, requests and their answers) grow to several times that.
 */
export function keepHeapSmall(): void {
  // Read at every collection, so that it may be set while the process runs.
  setFlagsFromString(`--heap-growing-percent=${GROWTH}`);
}
