import { load_image } from "../../src/image/load_image.ts";
import { RawImage } from "../../src/image/raw_image.ts";
import type { DType } from "../../src/tensor/dtype.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { noise } from "./noise.ts";

/** A picture as scripts/fixtures/image_processors.py describes it. */
export type PictureSpec =
  | { kind: "file"; name: string }
  | { kind: "picture"; height: number; width: number; channels: number; seed: number }
  | { kind: "array"; shape: number[]; dtype: string; scale: number; seed: number };

export const pictureUrl = (name: string) => new URL(`../fixtures/image/pictures/${name}`, import.meta.url);

export async function makePicture(spec: PictureSpec): Promise<RawImage | Tensor> {
  if (spec.kind === "file") return load_image(pictureUrl(spec.name));
  if (spec.kind === "picture") {
    const { height, width, channels, seed } = spec;
    return new RawImage({ height, width, channels, data: noise(seed, height * width * channels) });
  }
  const values = noise(
    spec.seed,
    spec.shape.reduce((a, b) => a * b, 1),
  );
  if (spec.dtype === "uint8") return new Tensor("uint8", spec.shape, values);
  return new Tensor(
    spec.dtype as DType,
    spec.shape,
    Array.from(values, (x) => x * spec.scale),
  );
}
