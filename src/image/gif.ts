import { checkPixels, type DecodeOptions, damaged } from "./decode_checks.ts";
import { type Colour, RawImage } from "./raw_image.ts";
import { paletteColour } from "./transparent_colour.ts";

/** The first frame of a file, as its blocks describe it. */
interface Frame {
  left: number;
  top: number;
  width: number;
  height: number;
  interlaced: boolean;
  /** Red, green, blue of each index; undefined where the file has no palette, and indices are grey. */
  palette: Uint8Array | undefined;
  /** Index that shows what is below. */
  transparent: number | undefined;
  /** Bits of the first codes, less one. */
  codeSize: number;
  data: Uint8Array;
}

/**
 * The first frame of a GIF file on its screen, as Pillow shows it: transparent pixels in the colour that their
 * index has, and around a smaller frame that same index, or index 0.
 */
export function decodeGif(bytes: Uint8Array, options: DecodeOptions): RawImage {
  const reader = new Reader(bytes, options.name);
  reader.skip(6);
  const screen = [reader.uint16(), reader.uint16()] as const;
  const flags = reader.byte();
  reader.skip(2);
  const frame = readFrame(reader, flags & 0x80 ? reader.take(3 << ((flags & 7) + 1)) : undefined);
  const width = Math.max(screen[0], frame.left + frame.width);
  const height = Math.max(screen[1], frame.top + frame.height);
  checkPixels(options, width, height);
  checkPixels(options, frame.width, frame.height);
  const indices = unpackCodes(frame.data, frame.codeSize, frame.width * frame.height);
  if (indices === undefined) throw damaged(options.name, "its data end before its last pixel");
  return paint(frame, indices, width, height);
}

function readFrame(reader: Reader, globalPalette: Uint8Array | undefined): Frame {
  let transparent: number | undefined;
  for (;;) {
    const kind = reader.byte();
    if (kind === 0x21) {
      const label = reader.byte();
      const [first] = reader.blocks();
      if (label === 0xf9 && first?.length >= 4 && first[0] & 1) transparent = first[3];
    } else if (kind === 0x2c) {
      const [left, top, width, height] = [reader.uint16(), reader.uint16(), reader.uint16(), reader.uint16()];
      const flags = reader.byte();
      const palette = flags & 0x80 ? reader.take(3 << ((flags & 7) + 1)) : globalPalette;
      const codeSize = reader.byte();
      const data = join(reader.blocks());
      return {
        left,
        top,
        width,
        height,
        interlaced: (flags & 0x40) !== 0,
        palette,
        transparent,
        codeSize,
        data,
      };
    } else if (kind === 0x3b) {
      throw damaged(reader.name, "there is no frame in it");
    }
  }
}

class Reader {
  readonly name: string;
  readonly #bytes: Uint8Array;
  #position = 0;

  constructor(bytes: Uint8Array, name: string) {
    this.#bytes = bytes;
    this.name = name;
  }

  take(length: number): Uint8Array {
    const end = this.#position + length;
    if (end > this.#bytes.length) throw damaged(this.name, "the file ends too early");
    const taken = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return taken;
  }

  skip(length: number): void {
    this.take(length);
  }

  byte(): number {
    return this.take(1)[0];
  }

  uint16(): number {
    const [low, high] = this.take(2);
    return low | (high << 8);
  }

  /** Blocks, each after its length, up to an empty one. */
  blocks(): Uint8Array[] {
    const blocks: Uint8Array[] = [];
    for (let length = this.byte(); length > 0; length = this.byte()) blocks.push(this.take(length));
    return blocks;
  }
}

function join(blocks: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(blocks.reduce((length, block) => length + block.length, 0));
  let offset = 0;
  for (const block of blocks) {
    joined.set(block, offset);
    offset += block.length;
  }
  return joined;
}

const MAX_CODES = 4096;

/**
 * Unpacks LZW codes. A code stands for the string of an earlier code and one index more.
 *
 * @returns `length` indices, or undefined where the codes end before or make no sense
 */
function unpackCodes(data: Uint8Array, codeSize: number, length: number): Uint8Array | undefined {
  if (codeSize < 1 || codeSize > 11 || length > data.length * MAX_CODES) return undefined;
  const clear = 1 << codeSize;
  const prefixes = new Uint16Array(MAX_CODES);
  const suffixes = new Uint8Array(MAX_CODES);
  for (let i = 0; i < clear; i++) suffixes[i] = i;
  const stack = new Uint8Array(MAX_CODES);
  const out = new Uint8Array(length);
  let done = 0;
  let [width, next, previous, first] = [codeSize + 1, clear + 2, -1, 0];
  let [bits, count] = [0, 0];
  for (const byte of data) {
    bits |= byte << count;
    count += 8;
    while (count >= width) {
      let code = bits & ((1 << width) - 1);
      bits >>>= width;
      count -= width;
      if (code === clear) {
        [width, next, previous] = [codeSize + 1, clear + 2, -1];
        continue;
      }
      if (code === clear + 1) return undefined;
      if (code > next || (code === next && previous === -1) || (previous === -1 && code > clear))
        return undefined;
      const current = code;
      let depth = 0;
      if (code === next) {
        // The string that is only now being made: the previous one and its own first index.
        stack[depth++] = first;
        code = previous;
      }
      for (; code > clear; code = prefixes[code]) stack[depth++] = suffixes[code];
      first = suffixes[code];
      stack[depth++] = first;
      while (depth > 0 && done < length) out[done++] = stack[--depth];
      if (done === length) return out;
      if (previous !== -1 && next < MAX_CODES) {
        prefixes[next] = previous;
        suffixes[next] = first;
        next++;
        if (next === 1 << width && width < 12) width++;
      }
      previous = current;
    }
  }
  return undefined;
}

/** The rows of a frame in the order in which an interlaced file has them. */
function interlacedRows(height: number): number[] {
  const rows: number[] = [];
  for (const [start, step] of [
    [0, 8],
    [4, 8],
    [2, 4],
    [1, 2],
  ]) {
    for (let row = start; row < height; row += step) rows.push(row);
  }
  return rows;
}

/** Without a palette, indices are grey. */
function colourOf({ palette }: Frame, index: number): Colour {
  return palette === undefined ? [index, index, index] : paletteColour(palette, index);
}

function paint(frame: Frame, indices: Uint8Array, width: number, height: number): RawImage {
  const canvas = new Uint8Array(width * height).fill(frame.transparent ?? 0);
  const rows = frame.interlaced ? interlacedRows(frame.height) : undefined;
  for (let row = 0; row < frame.height; row++) {
    const y = frame.top + (rows === undefined ? row : rows[row]);
    canvas.set(indices.subarray(row * frame.width, (row + 1) * frame.width), y * width + frame.left);
  }
  const data = new Uint8Array(canvas.length * 3);
  const colours = Array.from({ length: 256 }, (_, index) => colourOf(frame, index));
  for (let i = 0; i < canvas.length; i++) {
    const [red, green, blue] = colours[canvas[i]];
    data[i * 3] = red;
    data[i * 3 + 1] = green;
    data[i * 3 + 2] = blue;
  }
  const transparent = frame.transparent === undefined ? undefined : colours[frame.transparent];
  return new RawImage({ width, height, channels: 3, data, transparent });
}
