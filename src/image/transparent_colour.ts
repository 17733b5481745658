import type { Colour } from "./raw_image.ts";

const IHDR_DEPTH = 24;
const FIRST_CHUNK = 8;
const GREY = 0;
const RGB = 2;
const PALETTE = 3;

/**
 * The colour of a PNG file's pixels that are transparent altogether, as Pillow keeps it when it makes the picture RGB:
 * in `info["transparency"]`, of which a colour's lowest bytes count.
 *
 * @returns undefined where there is none: also where a palette has several such colours, or some that let through a little
 */
export function transparentInPng(bytes: Uint8Array): Colour | undefined {
  const [depth, type] = bytes.subarray(IHDR_DEPTH);
  const { palette, transparency } = chunksOf(bytes);
  if (transparency === undefined) return undefined;
  const level = (i: number): number => (transparency[2 * i] << 8) | transparency[2 * i + 1];
  if (type === PALETTE) return inPalette(palette, transparency);
  if (type === RGB && transparency.length >= 6) return [level(0) & 255, level(1) & 255, level(2) & 255];
  if (type !== GREY || transparency.length < 2) return undefined;
  // Pillow takes the number as it is, whatever the depth; of black and white, and of 16 bits, it makes a red of it.
  if (depth === 1) return [level(0) === 0 ? 0 : 255, 0, 0];
  if (depth === 16) return [level(0) & 255, 0, 0];
  const grey = Math.min(255, level(0));
  return [grey, grey, grey];
}

/** One entry is 0, and all others are 255. */
function inPalette(palette: Uint8Array | undefined, transparency: Uint8Array): Colour | undefined {
  const entry = transparency.indexOf(0);
  if (entry === -1 || transparency.some((alpha, i) => alpha !== 255 && i !== entry)) return undefined;
  return paletteColour(palette, entry);
}

/** Beyond the palette everything is black. */
export function paletteColour(palette: Uint8Array | undefined, entry: number): Colour {
  const [red = 0, green = 0, blue = 0] = palette?.subarray(3 * entry, 3 * entry + 3) ?? [];
  return [red, green, blue];
}

/** What stands before the pixels. */
function chunksOf(bytes: Uint8Array): { palette?: Uint8Array; transparency?: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: { palette?: Uint8Array; transparency?: Uint8Array } = {};
  for (let at = FIRST_CHUNK; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (kind === "IDAT") break;
    if (kind === "PLTE") found.palette = content;
    if (kind === "tRNS") found.transparency = content;
    at += length + 12;
  }
  return found;
}
