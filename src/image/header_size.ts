import type { Format } from "./sniff.ts";

/**
 * The size that a picture's header gives, before anything is decoded: as it is stored, not as it is turned.
 *
 * @returns width and height, or undefined where the header has none
 */
export function headerSize(
  bytes: Uint8Array,
  format: Exclude<Format, "gif" | "bmp" | "tiff">,
): readonly [width: number, height: number] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    if (format === "png") return [view.getUint32(16), view.getUint32(20)];
    if (format === "jpeg") return jpegSize(view);
    return format === "webp" ? webpSize(view) : avifSize(view);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The size stands in the frame header, one of the segments. */
function jpegSize(view: DataView): readonly [number, number] | undefined {
  for (let at = 2; ; ) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return [view.getUint16(at + 7), view.getUint16(at + 5)];
    // A filling byte, and markers that stand alone.
    const isAlone = marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
    if (marker === 0xff) at += 1;
    else at += isAlone ? 2 : 2 + view.getUint16(at + 2);
  }
}

function webpSize(view: DataView): readonly [number, number] | undefined {
  const kind = String.fromCharCode(...[12, 13, 14, 15].map((at) => view.getUint8(at)));
  if (kind === "VP8X") {
    const side = (at: number) => (view.getUint16(at, true) | (view.getUint8(at + 2) << 16)) + 1;
    return [side(24), side(27)];
  }
  if (kind === "VP8L") {
    const bits = view.getUint32(21, true);
    return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
  }
  if (kind === "VP8 ") return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff];
  return undefined;
}

const ISPE = 0x69737065;

/** The largest of the sizes that the parts of the file have. */
function avifSize(view: DataView): readonly [number, number] | undefined {
  let largest: readonly [number, number] | undefined;
  for (let at = 8; at + 16 <= Math.min(view.byteLength, 2 ** 16); at++) {
    if (view.getUint32(at) !== ISPE) continue;
    const size = [view.getUint32(at + 8), view.getUint32(at + 12)] as const;
    if (largest === undefined || size[0] * size[1] > largest[0] * largest[1]) largest = size;
  }
  return largest;
}
