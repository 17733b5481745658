import type { FileHandle } from "node:fs/promises";

/** A line of a file, without its end. */
export interface FileLine {
  /** Undefined where the line is longer than the limit. */
  bytes: Buffer | undefined;
  /** False for a last line whose end is missing. */
  ended: boolean;
  /** Where in the file it begins, in bytes. */
  start: number;
}

const CHUNK = 2 ** 20;

/**
 * Reads a file line by line, in pieces of a MiB, so that no more than a line is in memory.
 *
 * @param maxBytes longest line that is handed out whole
 */
export async function* readFileLines(handle: FileHandle, maxBytes: number): AsyncGenerator<FileLine> {
  let start = 0;
  let position = 0;
  let kept: Buffer[] = [];
  let length = 0;
  const keep = (piece: Buffer): void => {
    length += piece.length;
    if (length > maxBytes) kept = [];
    else kept.push(piece);
  };
  const take = (ended: boolean): FileLine => {
    const line = { bytes: length > maxBytes ? undefined : Buffer.concat(kept), ended, start };
    start += length + 1;
    [kept, length] = [[], 0];
    return line;
  };
  for (;;) {
    // A new buffer each time: lines are views of it.
    const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, position);
    if (bytesRead === 0) break;
    position += bytesRead;
    for (let at = 0; at < bytesRead; ) {
      const feed = buffer.subarray(0, bytesRead).indexOf(0x0a, at);
      keep(buffer.subarray(at, feed < 0 ? bytesRead : feed));
      if (feed < 0) break;
      yield take(true);
      at = feed + 1;
    }
  }
  if (length > 0) yield take(false);
}
