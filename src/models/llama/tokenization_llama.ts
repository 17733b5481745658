import { CheckpointError } from "../../base/errors.ts";
import { isRecord } from "../../text/component.ts";
import type { Side } from "../../text/encoding.ts";
import { booleanSetting, type TokenizerInit } from "../tokenization/tokenizer_init.ts";
import { TokenizersBackend } from "../tokenization_utils_tokenizers.ts";

const MARK = "\u2581";

/**
 * Llama's tokenizer: of tokenizer.json it takes vocabulary, merges and post-processor, and puts its own pipeline
 * around them. For checkpoints that say what they are (config.json of `llava` and others) AutoTokenizer takes
 * TokenizersBackend instead, as Transformers does.
 */
export class LlamaTokenizer extends TokenizersBackend {
  static override readonly tokenizer_class: string = "LlamaTokenizer";
  static override readonly own_settings: readonly string[] = ["legacy", "add_prefix_space"];

  constructor(init: TokenizerInit) {
    super({
      ...init,
      unk_token: init.unk_token ?? "<unk>",
      bos_token: init.bos_token ?? "<s>",
      eos_token: init.eos_token ?? "</s>",
    });
  }

  protected override get defaultPaddingSide(): Side {
    return "left";
  }

  /** @throws CheckpointError where the file has no vocabulary with merges */
  static override pipeline(file: unknown, settings: Readonly<Record<string, unknown>>): unknown {
    if (!isRecord(file) || !isRecord(file.model) || !Array.isArray(file.model.merges)) {
      throw new CheckpointError("tokenizer.json: LlamaTokenizer needs a BPE model with vocab and merges", {
        file: "tokenizer.json",
        where: "model",
      });
    }
    const { vocab, merges } = file.model;
    const prefix = booleanSetting("add_prefix_space", settings.add_prefix_space, true);
    const legacy = booleanSetting("legacy", settings.legacy, false);
    const prepend_scheme = prefix ? (legacy ? "always" : "first") : "never";
    const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
    return {
      ...file,
      normalizer: null,
      pre_tokenizer: { type: "Metaspace", replacement: MARK, prepend_scheme, split: false },
      decoder: {
        type: "Sequence",
        decoders: [
          { type: "Replace", pattern: { String: MARK }, content: " " },
          { type: "ByteFallback" },
          { type: "Fuse" },
          ...(prefix ? [strip] : []),
        ],
      },
      model: {
        type: "BPE",
        vocab,
        merges,
        unk_token: null,
        fuse_unk: true,
        byte_fallback: true,
        ignore_merges: false,
      },
    };
  }
}

export { LlamaTokenizer as LlamaTokenizerFast };
