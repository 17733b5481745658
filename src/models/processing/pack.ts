import { ShapeError } from "../../base/errors.ts";
import { type NestedNumbers, Tensor } from "../../tensor/tensor.ts";
import { stack } from "./batch_feature.ts";

/** What came of the pictures, before it is put together. */
export interface Processed {
  /** By output name: lists of one tensor a picture, or numbers. */
  readonly [name: string]: readonly Tensor[] | NestedNumbers;
}

/** Lists of tensors into one tensor each, or all into nested arrays. */
export function pack(processed: Processed, nested: boolean): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(processed).map(([name, value]) => {
      const tensors = (Array.isArray(value) ? value : []).filter((item) => item instanceof Tensor);
      if (tensors.length === 0) return [name, nested ? value : Tensor.fromNested(value as NestedNumbers)];
      return [name, nested ? tensors.map((tensor) => tensor.tolist()) : stackPictures(name, tensors)];
    }),
  );
}

function stackPictures(name: string, pictures: readonly Tensor[]): Tensor {
  try {
    return stack(pictures);
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new ShapeError(
      `${name}: the pictures end up with unequal sizes, and no one tensor holds them: ${error.message}. Give size with height and width, do_center_crop or padding (do_pad), or return_tensors: null.`,
      { where: name, expected: error.expected, got: error.got, cause: error },
    );
  }
}
