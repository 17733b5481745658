import type { Cursor } from "../codegen/cursor.ts";
import type { Vec } from "../codegen/vector.ts";
import type { DType } from "../tensor/dtype.ts";

/** Floats of any type that weights are kept in, widened. */
export function loadFloat(from: Cursor, dtype: DType, offset: number, lanes: number): Vec<"f32"> {
  if (dtype === "float16") return from.loadF16(offset, lanes);
  if (dtype === "bfloat16") return from.loadBf16(offset, lanes);
  return from.load(offset, lanes);
}

/** One float of any type that weights are kept in, in every lane. */
export function broadcastFloat(from: Cursor, dtype: DType, offset: number): Vec<"f32"> {
  if (dtype === "float16") return from.broadcastF16(offset);
  if (dtype === "bfloat16") return from.broadcastBf16(offset);
  return from.broadcast(offset);
}
