import type { Colour, RawImageData } from "./raw_image.ts";

/** Interleaved bytes to planes. [height, width, channels] -> [channels, height, width] */
export function toPlanes({ width, height, channels, data }: RawImageData): Uint8Array {
  const area = width * height;
  const planes = new Uint8Array(area * channels);
  for (let channel = 0; channel < channels; channel++) {
    const plane = channel * area;
    for (let i = 0, from = channel; i < area; i++, from += channels) planes[plane + i] = data[from];
  }
  return planes;
}

/** A colour over white, as Pillow's `alpha_composite` and `convert("RGB")` have it. All values are 8 bit. */
export function overWhite(colour: number, alpha: number): number {
  return Math.round((colour * alpha) / 255 + 255 - alpha);
}

/**
 * The picture in red, green and blue, as Transformers' `convert_to_rgb` has it: what is transparent is laid on white.
 */
export function toRgb(image: RawImageData): RawImageData {
  const { width, height, channels, data, transparent } = image;
  if (transparent !== undefined) return { width, height, channels, data: whitened(data, transparent) };
  if (channels === 3) return image;
  const area = width * height;
  const rgb = new Uint8Array(area * 3);
  const colours = channels > 2 ? 3 : 1;
  const hasAlpha = channels % 2 === 0;
  for (let i = 0; i < area; i++) {
    const from = i * channels;
    for (let c = 0; c < 3; c++) {
      const colour = data[from + (c % colours)];
      rgb[i * 3 + c] = hasAlpha ? overWhite(colour, data[from + channels - 1]) : colour;
    }
  }
  return { width, height, channels: 3, data: rgb };
}

/** White in the place of one colour. */
function whitened(rgb: Uint8Array, [red, green, blue]: Colour): Uint8Array {
  const out = rgb.slice();
  for (let i = 0; i < rgb.length; i += 3) {
    if (rgb[i] === red && rgb[i + 1] === green && rgb[i + 2] === blue) out.fill(255, i, i + 3);
  }
  return out;
}
