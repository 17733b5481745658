import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { inflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { ImageError } from "../../src/base/errors.ts";
import { load_image } from "../../src/image/load_image.ts";
import { RawImage } from "../../src/image/raw_image.ts";
import { CLIPImageProcessor } from "../../src/models/clip/image_processing_clip.ts";
import { CLIPImageProcessorPil } from "../../src/models/clip/image_processing_pil_clip.ts";
import { convert_to_rgb } from "../../src/models/processing/image_transforms.ts";
import recorded from "../fixtures/image/pictures.json" with { type: "json" };

interface Expected {
  width: number;
  height: number;
  sha256: string;
  pixels: number[];
  rgb?: string;
  /** Where one colour is transparent: the same after convert_to_rgb. */
  on_white?: string;
  /** The same where torchvision reads the file. */
  as_tensor?: string;
}

const folder = new URL("../fixtures/image/pictures/", import.meta.url);
const pictures = Object.entries(recorded.pictures as Record<string, Expected>);

/** Every 13th pixel, as the fixture has it. */
function sample(data: Uint8Array): number[] {
  const out: number[] = [];
  for (let i = 0; i < data.length && out.length < 90; i += 39) out.push(...data.subarray(i, i + 3));
  return out;
}

const sha256 = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");

describe("load_image gives Pillow's bytes", () => {
  it.each(pictures.filter(([, { rgb }]) => rgb === undefined))("%s", async (name, expected) => {
    const image = await load_image(new URL(name, folder));
    expect(image).toMatchObject({ width: expected.width, height: expected.height, channels: 3 });
    expect(sample(image.data)).toEqual(expected.pixels);
    expect(sha256(image.data)).toBe(expected.sha256);
  });

  // libvips decodes AVIF with another library than Pillow: what is left are the roundings of its colours.
  const limits: Record<string, number> = { "slopes-420.avif": 25, "alpha.avif": 29 };
  it.each(pictures.filter(([, { rgb }]) => rgb !== undefined))("%s, nearly", async (name, expected) => {
    const image = await load_image(await readFile(new URL(name, folder)));
    expect(image).toMatchObject({ width: expected.width, height: expected.height, channels: 3 });
    const rgb = inflateSync(Buffer.from(expected.rgb ?? "", "hex"));
    const furthest = image.data.reduce((max, value, i) => Math.max(max, Math.abs(value - rgb[i])), 0);
    expect(furthest).toBeLessThanOrEqual(limits[name] ?? 1);
  });
});

describe("a colour that is transparent in the file", () => {
  const keyed = pictures.filter(([, { on_white }]) => on_white !== undefined);
  const inBytes = { do_resize: false, do_center_crop: false, do_rescale: false, do_normalize: false };

  it("is noted down where Pillow notes one down, and nowhere else", async () => {
    const noted: string[] = [];
    for (const [name, { rgb }] of pictures) {
      if (rgb !== undefined) continue;
      if ((await load_image(new URL(name, folder))).transparent !== undefined) noted.push(name);
    }
    expect(noted).toEqual(keyed.map(([name]) => name));
    expect(noted.length).toBeGreaterThan(6);
  });

  it.each(keyed)("%s is laid on white by processors", async (name, { on_white }) => {
    const image = await load_image(new URL(name, folder));
    expect(sha256(convert_to_rgb(image).data as Uint8Array)).toBe(on_white);
    expect(sha256(convert_to_rgb(await load_image(image)).data as Uint8Array)).toBe(on_white);
    const { pixel_values } = await new CLIPImageProcessorPil(inBytes)(new URL(name, folder));
    const [, , height, width] = pixel_values.shape;
    const area = height * width;
    const pixels = Array.from({ length: 3 * area }, (_, i) =>
      Number(pixel_values.data[(i % 3) * area + Math.floor(i / 3)]),
    );
    expect(sha256(Uint8Array.from(pixels))).toBe(on_white);
  });

  it.each(keyed.filter(([, { as_tensor }]) => as_tensor))(
    "%s is left where torchvision's classes read the file themselves",
    async (name, { as_tensor }) => {
      const processor = new CLIPImageProcessor(inBytes);
      const read = await processor.fetch_images(new URL(name, folder));
      expect(sha256((read as RawImage).data)).toBe(as_tensor);
      const byFile = await processor(new URL(name, folder));
      const byPicture = await processor(await load_image(new URL(name, folder)));
      expect(byFile.pixel_values.data).not.toEqual(byPicture.pixel_values.data);
    },
  );

  it("is checked", () => {
    const picture = { width: 1, height: 1, channels: 3, data: new Uint8Array(3) };
    expect(() => new RawImage({ ...picture, transparent: [1, 2, 256] })).toThrow(
      /three numbers from 0 to 255/,
    );
    const grey = { width: 1, height: 1, channels: 1, data: new Uint8Array(1) };
    expect(() => new RawImage({ ...grey, transparent: [1, 2, 3] })).toThrow(ImageError);
  });
});
