import { warnOnce } from "../base/env.ts";
import type { StoredTensor } from "../hub/weights.ts";
import type { LlavaConfig } from "../models/llava/configuration_llava.ts";
import { BYTES } from "../tensor/dtype.ts";
import { sizeOf } from "../tensor/tensor.ts";

const TABLE = "model.language_model.embed_tokens.weight";
const HEAD = "lm_head.weight";

/** Bytes that are compared at a time. */
const BLOCK = 2 ** 20;

/**
 * Whether the head is the table of token embeddings: as the config says, but not where the checkpoint has both and they
 * differ. So Transformers decides, too.
 *
 * @param tensors the checkpoint's, by the names of the module tree
 */
export async function isHeadTied(
  { tie_word_embeddings }: LlavaConfig,
  tensors: ReadonlyMap<string, StoredTensor>,
): Promise<boolean> {
  const [table, head] = [tensors.get(TABLE), tensors.get(HEAD)];
  if (!tie_word_embeddings || !table || !head || (await isSame(table, head))) return tie_word_embeddings;
  warnOnce(
    `config.json says that ${head.name} and ${table.name} are one (tie_word_embeddings), but the checkpoint has both, and ` +
      "they differ: each is used as it is. tie_word_embeddings: false silences this.",
  );
  return false;
}

/** Stops at the first difference, which is early where there is one. */
async function isSame(a: StoredTensor, b: StoredTensor): Promise<boolean> {
  if (a.dtype !== b.dtype || String(a.shape) !== String(b.shape)) return false;
  if (!a.readInto || !b.readInto) return areEqual(...(await Promise.all([a.read(), b.read()])));
  const size = sizeOf(a.shape) * BYTES[a.dtype];
  for (let from = 0; from < size; from += BLOCK) {
    const [x, y] = [a, b].map(() => new Uint8Array(Math.min(BLOCK, size - from)));
    await Promise.all([a.readInto(from, x), b.readInto(from, y)]);
    if (!areEqual(x, y)) return false;
  }
  return true;
}

function areEqual(x: Uint8Array, y: Uint8Array): boolean {
  for (let i = 0; i < x.length; i++) if (x[i] !== y[i]) return false;
  return true;
}
