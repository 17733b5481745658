import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { inflateSync } from "node:zlib";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import recorded from "../fixtures/image/pictures.json" with { type: "json" };
import { openSite, type Site, skipped } from "./site.ts";

const FOLDER = new URL("../fixtures/image/pictures/", import.meta.url);

interface Expected {
  width: number;
  height: number;
  sha256: string;
  /** The pixels, where they may differ a little. */
  rgb?: string;
}

/** Pictures that the browser's own decoder gives other pixels of, and why. */
const OTHER: Readonly<Record<string, string>> = {
  "beyond-palette.png":
    "an index beyond the palette is black in Pillow, and an error or any colour elsewhere",
  "cmyk.jpg": "browsers convert CMYK with another rounding",
  "ycck.jpg": "browsers convert CMYK with another rounding",
  "grey16.png": "browsers scale 16-bit grey, Pillow clips it",
  "grey16-trns.png": "browsers scale 16-bit grey, Pillow clips it",
  "xmp-6.jpg": "browsers do not look for the orientation in XMP",
  "xmp-6.png": "browsers do not look for the orientation in XMP",
};

const pictures = Object.entries(recorded.pictures as Record<string, Expected>);
const exact = pictures.filter(([name]) => !name.endsWith(".tiff") && !Object.hasOwn(OTHER, name));

describe.skipIf(skipped)("pictures decoded in Chromium", () => {
  let site: Site;
  let page: Page;
  beforeAll(async () => {
    site = await openSite();
    page = await site.browser.newPage();
    await page.goto(`${site.address}probe.html`);
    await page.addScriptTag({ type: "module", url: "/probe.js" });
    await page.waitForFunction(() => "probe" in globalThis);
  }, 60_000);
  afterAll(() => site.close());

  async function decode(name: string) {
    const base64 = (await readFile(new URL(name, FOLDER))).toString("base64");
    return page.evaluate((bytes) => globalThis.probe.decode(bytes), base64);
  }

  test("the fixture has pictures with alpha, of every format, and those that are named here", () => {
    const names = pictures.map(([name]) => name);
    expect(names).toEqual(expect.arrayContaining([...Object.keys(OTHER), "rgba.png", "lossy-alpha.webp"]));
    expect(exact.length).toBeGreaterThan(60);
  });

  test("are Pillow's, byte for byte", async () => {
    const wrong: string[] = [];
    for (const [name, { width, height, sha256, rgb }] of exact) {
      const picture = await decode(name);
      if ("error" in picture) {
        wrong.push(`${name}: ${picture.error}`);
        continue;
      }
      expect(picture, name).toMatchObject({ width, height, channels: 3 });
      const expected = rgb ? digest(inflateSync(Buffer.from(rgb, "hex"))) : sha256;
      if (digest(Buffer.from(picture.data, "base64")) !== expected) wrong.push(name);
    }
    expect(wrong).toEqual([]);
  });

  test("TIFF is refused with what to do", async () => {
    expect(await decode("rgb-raw.tiff")).toEqual({ error: expect.stringMatching(/TIFF.*Convert it to PNG/) });
  });
});

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
