import { OptionError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { place } from "../../image/crop.ts";
import { type EdgeMode, padEdges, type Sides } from "../../image/pad.ts";
import type { PixelArray, Size } from "../../image/pixels.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { checkTarget, pixelsOf, pixelTensor } from "./image_pixels.ts";
import { inPlanes, type Layouts } from "./image_transforms.ts";

type Pair<T> = readonly [before: T, after: T];

/** A number for all sides, for before and after, or for before and after of height and of width. */
export type PerSide = number | readonly [number] | Pair<number> | Pair<Pair<number>>;

const MODES: Readonly<Record<string, EdgeMode>> = {
  reflect: "reflect",
  replicate: "edge",
  symmetric: "symmetric",
};

export interface PadImageOptions extends Layouts {
  /** "constant" where not given. */
  mode?: "constant" | "reflect" | "replicate" | "symmetric";
  /** What "constant" continues with; 0 where not given. The corners take those of the width. */
  constant_values?: PerSide;
}

/**
 * Continues a picture at its sides.
 *
 * @throws OptionError where the sides have none of the forms of PerSide, or there is no such mode
 */
export function pad(image: Tensor, padding: PerSide, options: PadImageOptions = {}): Tensor {
  checkOptions("pad", options, ["mode", "constant_values", "data_format", "input_data_format"]);
  const sides = sidesOf("padding", padding);
  const mode = options.mode ?? "constant";
  if (mode !== "constant" && !Object.hasOwn(MODES, mode)) {
    throw new OptionError(
      `pad: mode must be "constant", "reflect", "replicate" or "symmetric", got ${mode}`,
      {
        where: "mode",
        got: mode,
      },
    );
  }
  if (Object.values(sides).some((side) => !Number.isInteger(side) || side < 0)) {
    throw new OptionError(`pad: padding must be whole numbers from 0, got ${JSON.stringify(padding)}`, {
      where: "padding",
      got: padding,
    });
  }
  return inPlanes(image, options, (first) => {
    const { data, planes, size } = pixelsOf(first);
    const to: Size = [sides.top + size[0] + sides.bottom, sides.left + size[1] + sides.right];
    checkTarget("pad", size, to);
    if (mode !== "constant") return pixelTensor(first, padEdges(data, planes, size, sides, MODES[mode]), to);
    const padded = place(data, planes, size, to, [sides.top, sides.left]);
    fillSides(padded, planes, to, sides, sidesOf("constant_values", options.constant_values ?? 0));
    return pixelTensor(first, padded, to);
  });
}

function sidesOf(name: string, values: PerSide): Sides {
  if (typeof values === "number") return { top: values, bottom: values, left: values, right: values };
  if (values.length === 1) return sidesOf(name, values[0]);
  const [a, b] = values;
  if (typeof a === "number" && typeof b === "number") return { top: a, bottom: b, left: a, right: b };
  if (values.length === 2 && Array.isArray(a) && Array.isArray(b) && a.length === 2 && b.length === 2) {
    return { top: a[0], bottom: a[1], left: b[0], right: b[1] };
  }
  throw new OptionError(
    `pad: ${name} must be a number, [before, after], or [[top, bottom], [left, right]]; got ${JSON.stringify(values)}`,
    { where: name, got: values },
  );
}

function fillSides(
  data: PixelArray,
  planes: number,
  [height, width]: Size,
  sides: Sides,
  values: Sides,
): void {
  if (Object.values(values).every((value) => value === 0)) return;
  const lastRow = height - sides.bottom;
  const lastColumn = width - sides.right;
  for (let row = 0; row < planes * height; row++) {
    const y = row % height;
    const [from, to] = [row * width, (row + 1) * width];
    if (y < sides.top) data.fill(values.top, from, to);
    if (y >= lastRow) data.fill(values.bottom, from, to);
    data.fill(values.left, from, from + sides.left);
    data.fill(values.right, from + lastColumn, to);
  }
}
