/**
 * Turns a picture upright as its EXIF orientation says.
 *
 * @param data [height, width, channels]
 * @param orientation 1 to 8; anything else means upright
 */
export function orient(
  data: Uint8Array,
  width: number,
  height: number,
  channels: number,
  orientation: number,
): { data: Uint8Array; width: number; height: number } {
  if (!(orientation >= 2 && orientation <= 8)) return { data, width, height };
  const turned = orientation >= 5;
  const [newWidth, newHeight] = turned ? [height, width] : [width, height];
  const fromRight = orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8;
  const fromBottom = orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7;
  // Where the first pixel of the result lies, and how far on its right and lower neighbours do, in pixels.
  const origin = (fromBottom ? (height - 1) * width : 0) + (fromRight ? width - 1 : 0);
  const column = fromRight ? -1 : 1;
  const row = fromBottom ? -width : width;
  const [right, down] = turned ? [row, column] : [column, row];
  const out = new Uint8Array(data.length);
  let to = 0;
  for (let y = 0; y < newHeight; y++) {
    let from = (origin + y * down) * channels;
    for (let x = 0; x < newWidth; x++, from += right * channels) {
      for (let c = 0; c < channels; c++) out[to++] = data[from + c];
    }
  }
  return { data: out, width: newWidth, height: newHeight };
}

/** The orientation that XMP metadata give, read as Pillow reads them: by this pattern alone. */
export function orientationInXmp(xmp: Uint8Array | undefined): number {
  if (xmp === undefined) return 1;
  const match = /tiff:Orientation(?:="|>)([0-9])/.exec(new TextDecoder().decode(xmp));
  return match === null ? 1 : Number(match[1]);
}
