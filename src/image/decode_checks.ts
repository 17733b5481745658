import { ImageError } from "../base/errors.ts";

/** How a picture is decoded. */
export interface DecodeOptions {
  /** What to call the picture in an error. */
  readonly name: string;
  readonly maxPixels: number;
}

/** Checks a picture's size before memory is taken for it. */
export function checkPixels({ name, maxPixels }: DecodeOptions, width: number, height: number): void {
  if (width < 1 || height < 1) throw damaged(name, `its size is ${width} x ${height}`);
  if (width * height <= maxPixels) return;
  throw new ImageError(
    `${name}: the picture has ${width} x ${height} pixels, more than the limit of ${maxPixels}. Make it smaller first, or raise maxPixels.`,
    { where: name, expected: maxPixels, got: width * height },
  );
}

/** The error for a file that does not hold what its format promises. */
export function damaged(name: string, reason: string, cause?: unknown): ImageError {
  const [line] = reason.split("\n");
  return new ImageError(`${name}: the picture is damaged or cut off (${line}).`, { where: name, cause });
}
