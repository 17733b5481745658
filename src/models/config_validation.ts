import { warnOnce } from "../base/env.ts";
import { OptionError } from "../base/errors.ts";

/** The fields of a config, by name. */
type Fields = Readonly<Record<string, unknown>>;

const LAYER_TYPES = ["full_attention", "sliding_attention"];

/** @throws OptionError where a config that has all three of them has heads that do not make up its width */
export function checkEmbedDim({ head_dim, num_heads, embed_dim }: Fields): void {
  if (typeof head_dim !== "number" || typeof num_heads !== "number" || typeof embed_dim !== "number") return;
  const expected = head_dim * num_heads;
  if (expected === embed_dim) return;
  throw new OptionError(`embed_dim: expected head_dim * num_heads = ${expected}, got ${embed_dim}`, {
    where: "embed_dim",
    expected,
    got: embed_dim,
  });
}

/** Warns of ids that no token has. */
export function warnOfTokenIds(config: Fields): void {
  const rows = config.vocab_size;
  if (typeof rows !== "number") return;
  for (const [name, value] of Object.entries(config)) {
    if (!name.endsWith("_token_id") || typeof value !== "number" || !Number.isInteger(value)) continue;
    if (value >= 0 && value < rows) continue;
    warnOnce(`Model config: ${name} must be null or an integer from 0 to ${rows - 1}, got ${value}.`);
  }
}

/** @throws OptionError where a layer is of an unknown type, or there is not one type for each layer */
export function checkLayerTypes({ layer_types: types, num_hidden_layers: layers }: Fields): void {
  if (!Array.isArray(types)) return;
  const refuse = (expected: string, got: unknown): never => {
    throw new OptionError(`layer_types: expected ${expected}, got ${JSON.stringify(got)}`, {
      where: "layer_types",
      expected,
      got,
    });
  };
  const unknown = types.find((type) => !LAYER_TYPES.includes(type));
  if (unknown !== undefined) refuse(LAYER_TYPES.join(" or "), unknown);
  if (types.length !== layers) refuse(`one for each of ${layers} layers`, types.length);
}
