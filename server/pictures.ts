import { ImageError, load_image, type RawImage } from "../src/index.ts";
import { ApiError, invalid } from "./errors.ts";
import type { Limits } from "./limits.ts";
import type { PictureCache } from "./picture_cache.ts";
import type { RemotePictures } from "./remote_pictures.ts";

/** Where pictures come from. */
export interface PictureSources {
  remote: RemotePictures;
  pictures: PictureCache;
}

type PictureLimits = Pick<Limits, "pictureBytes" | "picturePixels">;

/**
 * The picture of an `image_url`. Nothing but data URIs and trusted hosts: never a path.
 *
 * @param param where the address stands in the request
 */
export async function readPicture(
  url: string,
  param: string,
  limits: PictureLimits,
  { remote, pictures }: PictureSources,
  signal: AbortSignal,
): Promise<RawImage> {
  const { pictureBytes: maxBytes, picturePixels: maxPixels } = limits;
  // No signal: others may wait for the same picture.
  const decode = (bytes: Uint8Array): Promise<RawImage> => load_image(bytes, { maxBytes, maxPixels });
  try {
    if (/^data:/i.test(url))
      return await pictures.read(url, async () => decode(dataUriBytes(url, param, maxBytes)));
    const bytes = await remote.read(url, param, maxBytes, signal);
    return await pictures.read(bytes, () => decode(bytes));
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof ImageError)) throw error;
    throw invalid(param, `the picture cannot be read (${error.message})`, "invalid_image");
  }
}

const DATA_URI =
  /^data:(?:image\/[a-z0-9.+-]{1,40}|application\/octet-stream)?(?:;[a-z0-9=.+-]{1,40})*;base64$/i;

function dataUriBytes(url: string, param: string, limit: number): Uint8Array {
  const comma = url.indexOf(",");
  if (comma < 0 || comma > 200 || !DATA_URI.test(url.slice(0, comma))) {
    throw invalid(
      param,
      "expected data:image/...;base64, and a picture's bytes in base64",
      "invalid_image_url",
    );
  }
  const size = Math.floor(((url.length - comma - 1) * 3) / 4);
  if (size > limit + 2) {
    throw new ApiError(400, `${param}: the picture has more than ${limit} bytes.`, {
      param,
      code: "image_too_large",
    });
  }
  const base64 = url.slice(comma + 1);
  if (base64 === "" || !/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(base64)) {
    throw invalid(param, "what follows base64, is no base64", "invalid_base64_image");
  }
  return new Uint8Array(Buffer.from(base64, "base64"));
}
