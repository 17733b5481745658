import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { headerSize } from "../../src/image/header_size.ts";
import recorded from "../fixtures/image/pictures.json" with { type: "json" };
import { pictureUrl } from "./pictures.ts";

const FORMATS = { png: "png", jpg: "jpeg", mpo: "jpeg", webp: "webp", avif: "avif" } as const;
const names = Object.keys(recorded.pictures).filter((name) => name.split(".")[1] in FORMATS);

describe("the size in a header", () => {
  it.each(names)("%s", async (name) => {
    const bytes = await readFile(pictureUrl(name));
    const size = headerSize(bytes, FORMATS[name.split(".")[1] as keyof typeof FORMATS]);
    const { width, height } = recorded.pictures[name as keyof typeof recorded.pictures];
    // Turned pictures are stored lying.
    const isTurned = /(exif-[5-8]|xmp-6)\./.test(name);
    expect(size).toEqual(isTurned ? [height, width] : [width, height]);
  });

  it("is undefined where the header is cut off", async () => {
    for (const name of ["rgb.png", "photo.jpg", "lossy.webp", "rgb-444.avif"]) {
      const bytes = await readFile(pictureUrl(name));
      expect(
        headerSize(bytes.subarray(0, 20), FORMATS[name.split(".")[1] as keyof typeof FORMATS]),
      ).toBeUndefined();
    }
  });
});
