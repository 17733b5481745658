import { ImageError } from "../base/errors.ts";
import { checkPixels, type DecodeOptions, damaged } from "./decode_checks.ts";
import { headerSize } from "./header_size.ts";
import { orient } from "./orientation.ts";
import { RawImage } from "./raw_image.ts";
import type { Format } from "./sniff.ts";
import { webpOrientation } from "./webp_orientation.ts";

/**
 * Decodes with the browser's own decoder, and reads the pixels back through WebGL: a 2D canvas would multiply them
 * by their alpha. Browsers scale 16-bit grey to 8 bits, where Pillow clips it, and turn pictures upright by EXIF in
 * JPEG, PNG and AVIF alone.
 */
export async function decodePlatform(
  bytes: Uint8Array,
  format: Exclude<Format, "gif" | "bmp">,
  options: DecodeOptions,
): Promise<RawImage> {
  const { name } = options;
  if (format === "tiff") {
    throw new ImageError(`${name}: browsers cannot read TIFF. Convert it to PNG first.`, { where: name });
  }
  const size = headerSize(bytes, format);
  if (size === undefined) throw damaged(name, "its header has no size");
  checkPixels(options, ...size);
  const bitmap = await createImageBitmap(new Blob([new Uint8Array(bytes)], { type: `image/${format}` }), {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  try {
    const image = readBack(bitmap, name);
    const isTurned = bitmap.width !== size[0] || bitmap.height !== size[1];
    return format === "webp" && !isTurned ? upright(image, webpOrientation(bytes)) : image;
  } finally {
    bitmap.close();
  }
}

function readBack(bitmap: ImageBitmap, name: string): RawImage {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (gl === null) throw new ImageError("This browser has no WebGL 2, which pictures are read with.");
  try {
    const longest: number = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    if (Math.max(width, height) > longest) {
      throw new ImageError(
        `${name}: no side may be longer than ${longest} pixels here; it is ${width} x ${height}.`,
        {
          where: name,
          expected: longest,
          got: [width, height],
        },
      );
    }
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
    if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) {
      throw new ImageError(`${name}: the browser's graphics cannot hold ${width} x ${height} pixels.`, {
        where: name,
      });
    }
    const rgba = new Uint8Array(width * height * 4);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, rgba);
    return new RawImage({ width, height, channels: 3, data: withoutAlpha(rgba) });
  } finally {
    gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

function upright({ data, width, height }: RawImage, orientation: number): RawImage {
  return new RawImage({ ...orient(data, width, height, 3, orientation), channels: 3 });
}

function withoutAlpha(rgba: Uint8Array): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    rgb[to++] = rgba[from];
    rgb[to++] = rgba[from + 1];
    rgb[to++] = rgba[from + 2];
  }
  return rgb;
}
