import { UnsupportedError } from "../../base/errors.ts";
import { DecoderModel } from "../decoder.ts";
import type { Qwen2Config } from "./configuration_qwen2.ts";

/** Llama's shape with biases on queries, keys and values, and a window in the layers that the config says slide. */
export class Qwen2Model extends DecoderModel {
  constructor(config: Qwen2Config) {
    super(config, { qkv_bias: true, windows: config.layer_types.map((type) => windowOf(type, config)) });
  }
}

function windowOf(type: string, { sliding_window }: Qwen2Config): number | null {
  if (type === "full_attention") return null;
  if (type === "sliding_attention" && sliding_window !== null) return sliding_window;
  throw new UnsupportedError(
    type === "sliding_attention"
      ? "text_config.layer_types: there are sliding layers, but no sliding_window; is use_sliding_window true?"
      : `text_config.layer_types: expected full_attention or sliding_attention, got "${type}"`,
    { where: "text_config.layer_types", got: type },
  );
}
