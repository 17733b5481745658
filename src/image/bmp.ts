import { checkPixels, type DecodeOptions, damaged } from "./decode_checks.ts";
import { RawImage } from "./raw_image.ts";

const RAW = 0;
const RLE8 = 1;
const RLE4 = 2;
const BITFIELDS = 3;

interface Header {
  width: number;
  height: number;
  topDown: boolean;
  bits: number;
  compression: number;
  /** Red, green, blue: which bits of a pixel. */
  masks: readonly number[];
  palette: Uint8Array;
  /** Bytes that a colour takes in the palette: blue, green, red, and in newer files a fourth. */
  paletteStep: number;
  /** Where the pixels begin. */
  start: number;
}

/** A BMP file: 1, 4, 8, 16, 24 or 32 bits, with runs or without, whatever its header's age. */
export function decodeBmp(bytes: Uint8Array, options: DecodeOptions): RawImage {
  const header = readHeader(bytes, options);
  const { width, height } = header;
  checkPixels(options, width, height);
  const paintRow = rowPainter(bytes, header, options);
  const data = new Uint8Array(width * height * 3);
  for (let row = 0; row < height; row++) {
    const y = header.topDown ? row : height - 1 - row;
    paintRow(row, data.subarray(y * width * 3, (y + 1) * width * 3));
  }
  return new RawImage({ width, height, channels: 3, data });
}

function readHeader(bytes: Uint8Array, { name }: DecodeOptions): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 26) throw damaged(name, "the file ends too early");
  const size = view.getUint32(14, true);
  const isCore = size === 12;
  if (!isCore && ![40, 52, 56, 64, 108, 124].includes(size)) throw damaged(name, `a header of ${size} bytes`);
  if (bytes.length < 14 + size) throw damaged(name, "the file ends too early");
  const signedHeight = isCore ? view.getUint16(20, true) : view.getInt32(22, true);
  const bits = view.getUint16(isCore ? 24 : 28, true);
  if (![1, 4, 8, 16, 24, 32].includes(bits)) throw damaged(name, `${bits} bits a pixel`);
  const compression = isCore ? RAW : view.getUint32(30, true);
  const separateMasks = compression === BITFIELDS && size === 40;
  const masks = compression === BITFIELDS ? readMasks(view, name) : defaultMasks(bits);
  const colours = bits > 8 ? 0 : (isCore ? 0 : view.getUint32(46, true)) || 1 << bits;
  const paletteStep = isCore ? 3 : 4;
  const paletteStart = 14 + size + (separateMasks ? 12 : 0);
  const paletteEnd = paletteStart + colours * paletteStep;
  if (colours > 65536 || paletteEnd > bytes.length) throw damaged(name, `a palette of ${colours} colours`);
  const start = view.getUint32(10, true);
  return {
    width: isCore ? view.getUint16(18, true) : view.getInt32(18, true),
    height: Math.abs(signedHeight),
    topDown: signedHeight < 0,
    bits,
    compression,
    masks,
    palette: bytes.subarray(paletteStart, paletteEnd),
    paletteStep,
    // Some files give the palette's place instead.
    start: start === 0 || (start === 14 + size && bits <= 8) ? paletteEnd : start,
  };
}

function readMasks(view: DataView, name: string): readonly number[] {
  const end = 14 + 40 + 12;
  if (view.byteLength < end) throw damaged(name, "the file ends too early");
  const masks = [0, 4, 8].map((offset) => view.getUint32(54 + offset, true));
  return masks.every((mask) => mask === 0) ? defaultMasks(32) : masks;
}

function defaultMasks(bits: number): readonly number[] {
  return bits === 16 ? [0x7c00, 0x3e0, 0x1f] : [0xff0000, 0xff00, 0xff];
}

/** Writes one row of the file, counted as it is stored, as red, green, blue. */
type PaintRow = (row: number, target: Uint8Array) => void;

function rowPainter(bytes: Uint8Array, header: Header, { name }: DecodeOptions): PaintRow {
  const { width, height, bits, compression, start } = header;
  if ((compression === RLE8 && bits === 8) || (compression === RLE4 && bits === 4)) {
    const indices = unpackRuns(bytes, header);
    if (indices === undefined) throw damaged(name, "its data end before its last pixel");
    return (row, target) => paintIndices(header, target, (x) => indices[row * width + x]);
  }
  if (compression !== RAW && !(compression === BITFIELDS && bits >= 16)) {
    throw damaged(name, `compression ${compression} with ${bits} bits, which is not read`);
  }
  const stride = Math.floor((width * bits + 31) / 32) * 4;
  const lastRow = Math.ceil((width * bits) / 8);
  if (start + stride * (height - 1) + lastRow > bytes.length) {
    throw damaged(name, "its data end before its last pixel");
  }
  if (bits <= 8) {
    const perByte = 8 / bits;
    const mask = (1 << bits) - 1;
    return (row, target) =>
      paintIndices(header, target, (x) => {
        const byte = bytes[start + row * stride + Math.floor(x / perByte)];
        return (byte >> (8 - bits * ((x % perByte) + 1))) & mask;
      });
  }
  return (row, target) => paintMasked(bytes, start + row * stride, header, target);
}

function paintIndices(
  { palette, paletteStep }: Header,
  target: Uint8Array,
  indexAt: (x: number) => number,
): void {
  for (let x = 0; x * 3 < target.length; x++) {
    const index = indexAt(x);
    // Beyond the palette everything is black.
    for (let channel = 0; channel < 3; channel++) {
      target[x * 3 + channel] = palette[index * paletteStep + 2 - channel] ?? 0;
    }
  }
}

function paintMasked(bytes: Uint8Array, from: number, { bits, masks }: Header, target: Uint8Array): void {
  const step = bits / 8;
  const channels = masks.map((mask) => {
    const shift = mask === 0 ? 0 : 31 - Math.clz32(mask & -mask);
    return { shift, top: mask >>> shift };
  });
  for (let x = 0; x * 3 < target.length; x++) {
    let pixel = 0;
    for (let i = step - 1; i >= 0; i--) pixel = ((pixel << 8) | bytes[from + x * step + i]) >>> 0;
    for (const [channel, { shift, top }] of channels.entries()) {
      const value = (pixel >>> shift) & top;
      target[x * 3 + channel] = top === 0 ? 0 : Math.trunc((value * 255) / top);
    }
  }
}

/**
 * Unpacks runs as Pillow does: what a row or the picture lacks is index 0.
 *
 * @returns [height, width], or undefined where the file ends before
 */
function unpackRuns(
  bytes: Uint8Array,
  { width, height, compression, start }: Header,
): Uint8Array | undefined {
  const out = new Uint8Array(width * height);
  let [position, done, x] = [start, 0, 0];
  const put = (index: number): void => {
    if (done < out.length) out[done++] = index;
  };
  while (done < out.length && position + 1 < bytes.length) {
    const [count, value] = [bytes[position], bytes[position + 1]];
    position += 2;
    if (count > 0) {
      const run = Math.min(count, Math.max(0, width - x));
      for (let i = 0; i < run; i++) {
        put(compression === RLE8 ? value : i % 2 === 0 ? value >> 4 : value & 15);
      }
      x += run;
    } else if (value === 0) {
      done = Math.min(out.length, Math.ceil(done / width) * width);
      x = 0;
    } else if (value === 1) {
      return undefined;
    } else if (value === 2) {
      if (position + 1 >= bytes.length) return undefined;
      done = Math.min(out.length, done + bytes[position] + bytes[position + 1] * width);
      position += 2;
      x = done % width;
    } else {
      const length = compression === RLE8 ? value : Math.ceil(value / 2);
      for (let i = 0; i < value && position + length <= bytes.length; i++) {
        const byte = bytes[position + (compression === RLE8 ? i : i >> 1)];
        put(compression === RLE8 ? byte : i % 2 === 0 ? byte >> 4 : byte & 15);
      }
      x += value;
      // Stretches end on even places of the file.
      position += length;
      position += position % 2;
    }
  }
  return done === out.length ? out : undefined;
}
