import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { inflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { load_image } from "../../src/image/load_image.ts";
import recorded from "../fixtures/image/pictures.json" with { type: "json" };

interface Expected {
  width: number;
  height: number;
  sha256: string;
  pixels: number[];
  rgb?: string;
}

const folder = new URL("../fixtures/image/pictures/", import.meta.url);
const pictures = Object.entries(recorded.pictures as Record<string, Expected>);

/** Every 13th pixel, as the fixture has it. */
function sample(data: Uint8Array): number[] {
  const out: number[] = [];
  for (let i = 0; i < data.length && out.length < 90; i += 39) out.push(...data.subarray(i, i + 3));
  return out;
}

describe("load_image gives Pillow's bytes", () => {
  it.each(pictures.filter(([, { rgb }]) => rgb === undefined))("%s", async (name, expected) => {
    const image = await load_image(new URL(name, folder));
    expect(image).toMatchObject({ width: expected.width, height: expected.height, channels: 3 });
    expect(sample(image.data)).toEqual(expected.pixels);
    expect(createHash("sha256").update(image.data).digest("hex")).toBe(expected.sha256);
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
