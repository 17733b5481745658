import { orientationInXmp } from "./orientation.ts";
import { readTags } from "./tiff.ts";

const ORIENTATION = 274;
/** What may stand before the directory of an EXIF chunk. */
const EXIF_HEADER = "Exif\0\0";

/** The orientation that a WebP file's EXIF gives, or its XMP; 1 where neither does. Browsers do not look for it. */
export function webpOrientation(bytes: Uint8Array): number {
  const chunks = readChunks(bytes);
  const exif = chunks.get("EXIF");
  const start = exif && text(exif.subarray(0, 6)) === EXIF_HEADER ? 6 : 0;
  return (exif && readTags(exif.subarray(start)).get(ORIENTATION)) ?? orientationInXmp(chunks.get("XMP "));
}

/** The parts of a RIFF file, by name. A damaged one ends the list. */
function readChunks(bytes: Uint8Array): Map<string, Uint8Array> {
  const chunks = new Map<string, Uint8Array>();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    chunks.set(text(bytes.subarray(at, at + 4)), bytes.subarray(at + 8, at + 8 + size));
    // Chunks begin at even places.
    at += 8 + size + (size % 2);
  }
  return chunks;
}

function text(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
