import type { PictureFile } from "../benchmark.ts";

/** The longest side of a picture in the report, in pixels. */
const SIDE = 320;

/** Small copies of pictures as data URIs, each picture once. */
export class Thumbnails {
  /** The data URIs, by their numbers. */
  readonly uris: string[] = [];
  private readonly numbers = new Map<string, number | null>();

  /** A picture's number; null where it cannot be read. */
  async add(file: PictureFile): Promise<number | null> {
    const known = this.numbers.get(file.name);
    if (known !== undefined) return known;
    const uri = await thumbnail(file);
    const number = uri === null ? null : this.uris.push(uri) - 1;
    this.numbers.set(file.name, number);
    return number;
  }
}

async function thumbnail(file: PictureFile): Promise<string | null> {
  try {
    const { default: sharp } = await import("sharp");
    const bytes = await sharp(await file.read())
      .resize({ width: SIDE, height: SIDE, fit: "inside", withoutEnlargement: true })
      .flatten({ background: "white" })
      .jpeg({ quality: 75 })
      .toBuffer();
    return `data:image/jpeg;base64,${bytes.toString("base64")}`;
  } catch {
    // A report without one picture is better than none; the page says that it is missing.
    return null;
  }
}
