import { ImageError } from "../base/errors.ts";

/** How a picture is fetched. */
export interface FetchBytesOptions {
  readonly maxBytes: number;
  /** Longest wait, in seconds. */
  readonly timeout: number;
  readonly signal?: AbortSignal;
  readonly fetch?: typeof fetch;
}

/**
 * What a web address answers with, read no further than `maxBytes`.
 *
 * @throws ImageError where there is no answer in time, it is an error, or it is too long; the signal's reason
 * where that aborts
 */
export async function fetchBytes(url: string, options: FetchBytesOptions): Promise<Uint8Array> {
  const { timeout, signal } = options;
  const late = AbortSignal.timeout(Math.min(timeout * 1000, 2 ** 31 - 1));
  try {
    const both = signal === undefined ? late : AbortSignal.any([signal, late]);
    const response = await (options.fetch ?? globalThis.fetch)(url, { signal: both });
    if (!response.ok) {
      await response.body?.cancel();
      throw new ImageError(`${url}: the server answered with status ${response.status}.`, {
        where: url,
        got: response.status,
      });
    }
    return await readLimited(response, url, options.maxBytes);
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof ImageError) throw error;
    if (late.aborted) {
      throw new ImageError(
        `${url}: no whole answer within ${timeout} s. Raise the option timeout to wait longer.`,
        {
          where: url,
          cause: error,
        },
      );
    }
    throw new ImageError(`${url}: the picture cannot be fetched (${reasonOf(error)}).`, {
      where: url,
      cause: error,
    });
  }
}

async function readLimited(response: Response, url: string, maxBytes: number): Promise<Uint8Array> {
  const tooLong = (length: number) =>
    new ImageError(`${url}: the answer has ${length} bytes or more, more than the limit of ${maxBytes}.`, {
      where: url,
      expected: maxBytes,
      got: length,
    });
  const promised = Number(response.headers.get("content-length") ?? 0);
  if (promised > maxBytes) {
    await response.body?.cancel();
    throw tooLong(promised);
  }
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop cancels the body, and with it the transfer.
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > maxBytes) throw tooLong(length);
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

/** undici hides the reason one level down. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error && cause.message !== "") return cause.message;
  return error instanceof Error ? error.message : String(error);
}
