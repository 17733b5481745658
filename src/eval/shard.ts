import { OptionError } from "../base/errors.ts";
import { BenchmarkError } from "./errors.ts";

/** One of several parts of a question file. */
export interface Chunk {
  /** From 0. */
  index: number;
  count: number;
}

/** "I/K": part I (from 0) of K. */
export function parseChunk(text: string): Chunk {
  const match = /^(\d{1,9})\/(\d{1,9})$/.exec(text);
  const chunk = { index: Number(match?.[1]), count: Number(match?.[2]) };
  if (match !== null && chunk.count > 0 && chunk.index < chunk.count) return chunk;
  throw new OptionError(`chunk: expected I/K with I from 0 to K - 1, for example 0/4, got '${text}'.`, {
    where: "chunk",
    expected: "I/K",
    got: text,
  });
}

/**
 * The part of a list as the original shards: every part has ceil(n / count) entries but the last ones.
 *
 * @throws BenchmarkError where the part is empty: the original stops there
 */
export function shard<T>(list: readonly T[], { index, count }: Chunk): T[] {
  const size = Math.ceil(list.length / count);
  const part = list.slice(index * size, (index + 1) * size);
  if (part.length > 0) return part;
  throw new BenchmarkError(
    list.length === 0
      ? "the question file has no questions."
      : `chunk ${index}/${count} has no questions: ${list.length} in parts of ${size} make ${Math.ceil(list.length / size)}.`,
    { item: `${index}/${count}` },
  );
}
