import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const HEAP = new URL("../../dist/cli/heap.js", import.meta.url).href;

/**
 * A process in which most objects outlive the young generation and die soon after, as those of a server do.
 *
 * @param first what it does before
 * @returns the size of its heap in bytes, in the mean
 */
async function heapOf(first: string): Promise<number> {
  const program = `
    ${first}
    const alive = [];
    const sizes = [];
    for (let i = 0; i < 4_000_000; i++) {
      alive[i % 160_000] = { i, list: [i, i + 1, i + 2] };
      if (i % 10_000 === 0) sizes.push(process.memoryUsage().heapTotal);
      if (i % 2_000 === 0) await new Promise((done) => setImmediate(done));
    }
    console.log(sizes.reduce((sum, size) => sum + size) / sizes.length);`;
  const args = ["--max-semi-space-size=2", "--input-type=module", "--eval", program];
  return Number((await promisify(execFile)(process.execPath, args)).stdout);
}

test("the heap of a long command stays near what is alive in it", async () => {
  const left = await heapOf("");
  const kept = await heapOf(`(await import(${JSON.stringify(HEAP)})).keepHeapSmall();`);
  expect(kept).toBeLessThan(0.75 * left);
});
