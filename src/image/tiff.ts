import { ImageError } from "../base/errors.ts";

const COMPRESSION = 259;
const PHOTOMETRIC = 262;
const OLD_JPEG = 6;
const JPEG = 7;
const YCBCR = 6;

/**
 * Refuses the TIFF files that libvips reads as something else: luma and chroma outside JPEG, which it takes for
 * red, green and blue.
 *
 * @throws ImageError saying how to convert
 */
export function checkTiff(bytes: Uint8Array, name: string): void {
  const tags = readTags(bytes);
  const compression = tags.get(COMPRESSION);
  if (tags.get(PHOTOMETRIC) !== YCBCR || compression === JPEG || compression === OLD_JPEG) return;
  throw new ImageError(
    `${name}: TIFF files in YCbCr are read only with JPEG inside. Convert it to PNG first.`,
    {
      where: name,
    },
  );
}

/** The short numbers of the first page's directory, by tag. Files larger than 4 GiB have another form: none. */
export function readTags(bytes: Uint8Array): Map<number, number> {
  const tags = new Map<number, number>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = bytes[0] === 0x49;
  if (bytes.length < 8 || view.getUint16(2, little) !== 42) return tags;
  const start = view.getUint32(4, little);
  if (start + 2 > bytes.length) return tags;
  const count = view.getUint16(start, little);
  for (let entry = start + 2; entry < start + 2 + count * 12 && entry + 12 <= bytes.length; entry += 12) {
    tags.set(view.getUint16(entry, little), view.getUint16(entry + 8, little));
  }
  return tags;
}
