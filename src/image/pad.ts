import { type PixelArray, pickPlaces, type Size } from "./pixels.ts";

/** Pixels to add at each side. */
export interface Sides {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

/** What a picture is continued with: its last pixel, its mirror image without or with the last pixel. */
export type EdgeMode = "edge" | "reflect" | "symmetric";

/** Continues a picture at its sides. [planes, H, W] -> [planes, top + H + bottom, left + W + right] */
export function padEdges<A extends PixelArray>(
  source: A,
  planes: number,
  from: Size,
  { top, bottom, left, right }: Sides,
  mode: EdgeMode,
): A {
  const rows = places(from[0], top, bottom, mode);
  return pickPlaces(source, planes, from, rows, places(from[1], left, right, mode));
}

/** The input place of each output place along one axis. */
function places(input: number, before: number, after: number, mode: EdgeMode): Int32Array {
  const period = mode === "reflect" ? 2 * input - 2 : 2 * input;
  return Int32Array.from({ length: before + input + after }, (_, i) => {
    const place = i - before;
    if (mode === "edge" || input === 1) return Math.max(0, Math.min(place, input - 1));
    const turned = ((place % period) + period) % period;
    return turned < input ? turned : period - turned - (mode === "reflect" ? 0 : 1);
  });
}
