import { type PixelArray, pickPlaces, type Size } from "./pixels.ts";

/** What a picture is continued with: its last pixel, its mirror image without or with the last pixel. */
export type EdgeMode = "edge" | "reflect" | "symmetric";

/**
 * Continues a picture at its right and bottom. [planes, H, W] -> [planes, to[0], to[1]]
 *
 * @param to at least as large as `from`
 */
export function padEdges<A extends PixelArray>(
  source: A,
  planes: number,
  from: Size,
  to: Size,
  mode: EdgeMode,
): A {
  return pickPlaces(source, planes, from, places(from[0], to[0], mode), places(from[1], to[1], mode));
}

/** The input place of each output place along one axis. */
function places(input: number, output: number, mode: EdgeMode): Int32Array {
  return Int32Array.from({ length: output }, (_, i) => {
    if (mode === "edge" || input === 1) return Math.min(i, input - 1);
    const period = mode === "reflect" ? 2 * input - 2 : 2 * input;
    const place = i % period;
    return place < input ? place : period - place - (mode === "reflect" ? 0 : 1);
  });
}
