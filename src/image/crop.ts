import { allocateLike, type PixelArray, type Size } from "./pixels.ts";

/**
 * Copies the part of `source` that falls on a canvas of `size` when its corner is put at `top`, `left` (which
 * may be negative: that is a crop). What it does not cover is `fill`, a value for all planes or for each.
 *
 * @param source [planes, height, width]
 * @returns [planes, size[0], size[1]]
 */
export function place<A extends PixelArray>(
  source: A,
  planes: number,
  [height, width]: Size,
  size: Size,
  [top, left]: readonly [top: number, left: number],
  fill: number | readonly number[] = 0,
): A {
  const target = allocateLike(source, planes * size[0] * size[1]);
  const firstRow = Math.max(0, top);
  const lastRow = Math.min(size[0], top + height);
  const firstColumn = Math.max(0, left);
  const lastColumn = Math.min(size[1], left + width);
  for (let plane = 0; plane < planes; plane++) {
    const value = typeof fill === "number" ? fill : fill[plane % fill.length];
    const area = size[0] * size[1];
    if (value !== 0) target.fill(value, plane * area, (plane + 1) * area);
    for (let y = firstRow; y < lastRow; y++) {
      const from = (plane * height + y - top) * width - left;
      target.set(
        source.subarray(from + firstColumn, from + lastColumn) as A,
        plane * area + y * size[1] + firstColumn,
      );
    }
  }
  return target;
}

/** Where a centre crop puts the picture's corner on its canvas, along one axis. */
export type CropRule = (input: number, output: number) => number;

/** Pillow's side: an odd pixel too many goes at the end, an odd pixel too few is filled at the beginning. */
export const cropPil: CropRule = (input, output) =>
  input >= output ? -Math.floor((input - output) / 2) : Math.ceil((output - input) / 2);

/** torchvision's side: an odd pixel goes at the end either way. */
export const cropTorchvision: CropRule = (input, output) =>
  input >= output ? -Math.floor((input - output) / 2) : Math.floor((output - input) / 2);

/** Cuts the middle out of a picture, or puts the picture in the middle of zeros. */
export function centerCrop<A extends PixelArray>(
  source: A,
  planes: number,
  from: Size,
  to: Size,
  rule: CropRule,
): A {
  return place(source, planes, from, to, [rule(from[0], to[0]), rule(from[1], to[1])]);
}
