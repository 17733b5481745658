import { warnOnce } from "../base/env.ts";
import { OptionError, UnsupportedError } from "../base/errors.ts";
import { GENERATION_DEFAULTS } from "./generation_defaults.ts";

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

/** @throws OptionError where one label of several is to be chosen, and there is only one */
export function checkProblemType({
  problem_type,
  num_labels,
}: {
  problem_type: string | null;
  num_labels: number | null;
}): void {
  if (problem_type !== "single_label_classification" || num_labels !== 1) return;
  throw new OptionError('problem_type: "single_label_classification" needs num_labels above 1', {
    where: "problem_type",
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

/** @throws UnsupportedError for layers of different shapes: they exist in Transformers, and no model here has them */
export function refuseLayerSettings({ per_layer_config }: Fields): void {
  if ((per_layer_config ?? null) === null) return;
  throw new UnsupportedError("per_layer_config: layers with settings of their own are not supported", {
    where: "per_layer_config",
  });
}

/** @throws OptionError where a config holds settings of `generate` that its class does not declare */
export function refuseGenerationSettings(config: object, declared: Fields): void {
  const values = config as Fields;
  const strays = Object.keys(GENERATION_DEFAULTS).filter(
    (key) => key !== "use_cache" && !(key in declared) && (values[key] ?? null) !== null,
  );
  if (strays.length === 0) return;
  throw new OptionError(
    `Generation settings are on the model's config: ${strays.join(", ")}. Set them on model.generation_config instead.`,
    { where: strays[0] },
  );
}
