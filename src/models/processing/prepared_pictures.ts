import { keepConstant } from "../../base/constant.ts";
import type { RawImage } from "../../image/raw_image.ts";
import type { Tensor } from "../../tensor/tensor.ts";

/** What was made of pictures, as long as they live. Nobody writes to it. */
export class PreparedPictures {
  readonly #made = new WeakMap<RawImage, Map<string, Tensor>>();

  /** What `make` gives for a picture and options, made once. */
  take(picture: RawImage, options: object, make: () => Tensor): Tensor {
    const known = this.#made.get(picture) ?? new Map<string, Tensor>();
    this.#made.set(picture, known);
    const key = JSON.stringify(options);
    const before = known.get(key);
    if (before) return before;
    const made = make();
    keepConstant(made.data);
    known.set(key, made);
    return made;
  }
}
