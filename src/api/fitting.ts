import { UnsupportedError } from "../base/errors.ts";
import type { Device } from "../devices/device.ts";
import { freeMemory } from "../devices/free_memory_node.ts";
import type { KeptDType } from "./weight_storage.ts";

/** From the largest to the smallest. */
const DTYPES: readonly KeptDType[] = ["float32", "float16", "q8", "q4"];

/**
 * Refuses a model before anything of it is read, where its weights can never fit.
 *
 * @param bytesIn what the weights take in a dtype
 * @param passing bytes that are held while one tensor is read, beside the weights
 * @throws UnsupportedError naming the dtypes in which they would fit
 */
export function checkFits(
  bytesIn: (dtype: KeptDType | "auto") => number,
  passing: number,
  dtype: KeptDType | "auto",
  device: Device,
): void {
  const { limit, holds } = limitOf(device, passing);
  const needed = bytesIn(dtype);
  if (needed <= limit) return;
  const fitting = DTYPES.map((name) => ({ name, bytes: bytesIn(name) })).filter(
    ({ bytes }) => bytes <= limit,
  );
  const advice =
    fitting.length > 0
      ? `They would fit in dtype ${fitting.map(({ name, bytes }) => `"${name}" (${shown(bytes)})`).join(" or ")}.`
      : "They would fit in no dtype: take a smaller model, or another device or machine.";
  throw new UnsupportedError(
    `the weights need ${shown(needed)} in dtype "${dtype}", and ${holds}. ${advice}`,
    {
      where: "dtype",
      expected: limit,
      got: needed,
    },
  );
}

/** How much weights can have at most, and who says so. */
function limitOf({ capacity, kind }: Device, passing: number): { limit: number; holds: string } {
  const device = capacity ?? Number.POSITIVE_INFINITY;
  // what lies in a graphics card is not the machine's memory
  const free = (kind === "webgpu" ? undefined : freeMemory()) ?? Number.POSITIVE_INFINITY;
  if (device <= free - passing) {
    return { limit: device, holds: `the device ${kind} can hold ${shown(device)} at most` };
  }
  return { limit: free - passing, holds: `${shown(free)} of memory are free` };
}

function shown(bytes: number): string {
  if (bytes < 1e6) return `${bytes} bytes`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
