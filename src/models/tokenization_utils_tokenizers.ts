import { warnOnce } from "../base/env.ts";
import { OptionError, UnsupportedError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import type { Tensor } from "../tensor/tensor.ts";
import {
  applyTokenizerChatTemplate,
  encodeMessage,
  type TokenizerChatOptions,
} from "./tokenization/apply_chat_template.ts";
import { BatchEncoding, type TokenLists } from "./tokenization/batch_encoding.ts";
import {
  type ChatMessage,
  type ChosenTemplate,
  type Conversation,
  chooseTemplate,
} from "./tokenization/chat.ts";
import { cleanUp, type DecodeOptions, type Ids, type IdsRow, idsOf } from "./tokenization/decode.ts";
import { type BatchSettings, columnsOf, encodeRows, firstRow, rowsOf } from "./tokenization/encode_batch.ts";
import { encodeMarkedRows } from "./tokenization/encode_marked.ts";
import { loadTokenizer, type TokenizerClass, type TokenizerFromPretrained } from "./tokenization/load.ts";
import {
  type Strategies,
  strategiesOf,
  TOKENIZER_CALL_OPTIONS,
  type TokenizerCallOptions,
} from "./tokenization/options.ts";
import { type PadOptions, padFeatures } from "./tokenization/pad_features.ts";
import { saveTokenizer } from "./tokenization/save.ts";
import type { TokenizerInit } from "./tokenization/tokenizer_init.ts";
import { type TextsInput, TokenizerVocabulary } from "./tokenization/tokenizer_vocabulary.ts";

/**
 * A tokenizer that obeys a checkpoint's tokenizer.json exactly, with the settings of tokenizer_config.json: called
 * like a function, it turns texts into ids.
 */
export class TokenizersBackend extends TokenizerVocabulary {
  /** The name under which files know the class. */
  static readonly tokenizer_class: string = "TokenizersBackend";
  /** Names of settings that the class has beside TOKENIZER_SETTINGS. */
  static readonly own_settings: readonly string[] = [];

  #processorClass: string | null;

  constructor(init: TokenizerInit) {
    super(init);
    this.#processorClass = init.processor_class ?? null;
  }

  __call__(text: TextsInput, options: TokenizerCallOptions = {}): BatchEncoding {
    const { tokenizer_kwargs, ...given } = options;
    checkOptions("tokenizer", { ...tokenizer_kwargs, ...given }, TOKENIZER_CALL_OPTIONS);
    const { text_target, text_pair_target, ...rest } = { ...given, ...tokenizer_kwargs };
    const missing = text === null || text === undefined;
    if (missing && (text_target ?? null) === null) {
      throw new OptionError("tokenizer: expected text, or text_target", { where: "text" });
    }
    if ((text_target ?? null) === null) return this.#encode(text, rest);
    const target = this.#encode(text_target as TextsInput, { ...rest, text_pair: text_pair_target });
    if (missing) return target;
    return Object.assign(this.#encode(text, rest), { labels: target.input_ids });
  }

  #encode(text: TextsInput, options: TokenizerCallOptions): BatchEncoding {
    const strategies = strategiesOf(options, this.model_max_length);
    const tensors = options.return_tensors === undefined ? "pt" : options.return_tensors;
    const { rows, single } = rowsOf(text, options.text_pair ?? null, options.is_split_into_words === true);
    const settings: BatchSettings = {
      options,
      strategies,
      splitSpecialTokens: options.split_special_tokens ?? this.split_special_tokens,
      truncationSide: this.truncation_side,
      paddingSide: this.padding_side,
      padToken: () => this.requirePadToken(),
    };
    if (options.sanitize_control_tokens) {
      const chats = rows.map(({ first }) => String(first));
      const ids = encodeMarkedRows(this.backend_tokenizer, chats, settings);
      return this.#padMarked(single && tensors === null ? ids[0] : ids, settings);
    }
    const encoded = encodeRows(this.backend_tokenizer, rows, settings);
    const overflowing = options.return_overflowing_tokens === true;
    const parts = overflowing ? encoded.map((row) => [row, ...row.overflowing]) : encoded.map((row) => [row]);
    const all = parts.flat();
    for (const { length } of all) this.#warnIfTooLong(length, strategies, options);
    const data: Record<string, unknown> = columnsOf(all, options, this.model_input_names);
    if (overflowing) data.overflow_to_sample_mapping = parts.flatMap((row, i) => row.map(() => i));
    if (single && tensors === null && !overflowing)
      return new BatchEncoding(firstRow(data), all) as unknown as BatchEncoding;
    return new BatchEncoding(data, all, tensors) as unknown as BatchEncoding;
  }

  #padMarked(input_ids: number[] | number[][], { options, strategies }: BatchSettings): BatchEncoding {
    const { padding, max_length } = strategies;
    const { pad_to_multiple_of, padding_side, return_attention_mask, return_tensors } = options;
    return this.pad(
      { input_ids },
      { padding, max_length, pad_to_multiple_of, padding_side, return_attention_mask, return_tensors },
    );
  }

  #warnIfTooLong(length: number, { max_length }: Strategies, { verbose }: TokenizerCallOptions): void {
    if (max_length !== null || verbose === false || length <= this.model_max_length) return;
    warnOnce(
      `The text has ${length} tokens, more than the ${this.model_max_length} that the model was made for.`,
    );
  }

  /** Ids of a text, or pair of texts, as numbers. */
  encode(
    text: string | readonly string[],
    options: TokenizerCallOptions & { return_tensors: "pt" | "np" },
  ): Tensor;
  encode(text: string | readonly string[], options?: TokenizerCallOptions): number[];
  encode(text: string | readonly string[], options: TokenizerCallOptions = {}): number[] | Tensor {
    return this.__call__(text, { ...options, return_tensors: options.return_tensors ?? null })
      .input_ids as unknown as number[] | Tensor;
  }

  /** A text as tokens. */
  tokenize(text: string, options: { pair?: string | null; add_special_tokens?: boolean } = {}): string[] {
    checkOptions("tokenize", options, ["pair", "add_special_tokens"]);
    const { pair = null, add_special_tokens = false } = options;
    return this.__call__(text, { text_pair: pair, add_special_tokens, return_tensors: null }).tokens();
  }

  /**
   * Ids to text. Ids of several rows give several texts.
   *
   * @throws OptionError where they are no ids
   */
  decode(token_ids: IdsRow, options?: DecodeOptions): string;
  decode(token_ids: readonly IdsRow[], options?: DecodeOptions): string[];
  decode(token_ids: Ids, options?: DecodeOptions): string | string[];
  decode(token_ids: Ids, options: DecodeOptions = {}): string | string[] {
    checkOptions("decode", options, ["skip_special_tokens", "clean_up_tokenization_spaces"]);
    const ids = idsOf(token_ids);
    if (!ids.nested) return this.#decodeRow(ids.rows[0], options);
    return ids.rows.map((row) => this.#decodeRow(row, options));
  }

  /** Ids of several rows to text; one row alone gives a list of one. */
  batch_decode(sequences: Ids, options: DecodeOptions = {}): string[] {
    const text = this.decode(sequences, options);
    return typeof text === "string" ? [text] : text;
  }

  #decodeRow(ids: readonly number[], options: DecodeOptions): string {
    const text = this.backend_tokenizer.decode(ids, options.skip_special_tokens ?? false);
    if (!(options.clean_up_tokenization_spaces ?? this.clean_up_tokenization_spaces)) return text;
    if (
      this.backend_tokenizer.model.type !== "BPE" ||
      this.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output
    ) {
      return this.clean_up_tokenization(text);
    }
    warnOnce(
      "clean_up_tokenization_spaces is ignored for BPE tokenizers: it would take spaces away that belong to the text.",
    );
    return text;
  }

  /** Takes away spaces before punctuation. */
  clean_up_tokenization(text: string): string {
    return cleanUp(text);
  }

  /**
   * Pads what the tokenizer gave without padding.
   *
   * @throws OptionError where there are no input_ids
   */
  pad(encoded_inputs: object | readonly object[], options: PadOptions = {}): BatchEncoding {
    return padFeatures(encoded_inputs, options, {
      inputName: this.model_input_names[0],
      withMask: this.model_input_names.includes("attention_mask"),
      side: this.padding_side,
      modelMaxLength: this.model_max_length,
      padToken: () => this.requirePadToken(),
    });
  }

  /** The chat template that would be used: the tokenizer's own, one that is named, or one that is given. */
  get_chat_template(options: { chat_template?: string | null; tools?: unknown } = {}): string {
    checkOptions("get_chat_template", options, ["chat_template", "tools"]);
    return this.chooseTemplate(options.chat_template, options.tools).template;
  }

  /** As `get_chat_template`, with whether the template is the checkpoint's own. */
  chooseTemplate(chat_template: string | null | undefined, tools: unknown): ChosenTemplate {
    const preferred = (tools ?? null) === null ? ["default"] : ["tool_use", "default"];
    return chooseTemplate(this.chat_template, chat_template, "tokenizer", preferred);
  }

  /**
   * Renders a conversation by the chat template and encodes it. Special tokens come from the template alone.
   *
   * @throws OptionError where there is no template, or it cannot render the conversation
   */
  apply_chat_template<C extends Conversation | readonly Conversation[]>(
    conversation: C,
    options: TokenizerChatOptions & { tokenize: false },
  ): C extends readonly Conversation[] ? string[] : string;
  apply_chat_template(
    conversation: Conversation,
    options: TokenizerChatOptions & { return_dict: false; return_tensors: null },
  ): number[];
  apply_chat_template(
    conversation: readonly Conversation[],
    options: TokenizerChatOptions & { return_dict: false; return_tensors: null },
  ): number[][];
  apply_chat_template(
    conversation: Conversation | readonly Conversation[],
    options: TokenizerChatOptions & { return_dict: false },
  ): Tensor;
  apply_chat_template(
    conversation: Conversation,
    options: TokenizerChatOptions & { return_tensors: null },
  ): BatchEncoding<TokenLists<number[]>>;
  apply_chat_template(
    conversation: readonly Conversation[],
    options: TokenizerChatOptions & { return_tensors: null },
  ): BatchEncoding<TokenLists<number[][]>>;
  apply_chat_template(
    conversation: Conversation | readonly Conversation[],
    options?: TokenizerChatOptions,
  ): BatchEncoding;
  apply_chat_template(conversation: unknown, options: TokenizerChatOptions = {}): unknown {
    return applyTokenizerChatTemplate(this, conversation, options);
  }

  /** The ids that one more message adds to a conversation. */
  encode_message_with_chat_template(
    message: ChatMessage,
    options: { conversation_history?: readonly ChatMessage[] | null; [key: string]: unknown } = {},
  ): number[] {
    return encodeMessage(this, message, options);
  }

  /** The class of the processor that the tokenizer is part of, as it is saved. */
  set processorClass(name: string) {
    this.#processorClass = name;
  }

  /**
   * Writes tokenizer.json, tokenizer_config.json and the chat templates.
   *
   * @returns the paths of the files written
   * @throws CheckpointError where the folder cannot be written
   */
  save_pretrained(
    save_directory: string,
    options: { filename_prefix?: string | null; save_jinja_files?: boolean } = {},
  ): Promise<string[]> {
    checkOptions("save_pretrained", options, ["filename_prefix", "save_jinja_files"]);
    return saveTokenizer(this, save_directory, {
      prefix: options.filename_prefix ?? null,
      jinja: options.save_jinja_files ?? true,
      processorClass: this.#processorClass,
    });
  }

  /**
   * The tokenizer of a checkpoint.
   *
   * @param name_or_path a folder, a Hub id, or `"llava-demo"`
   * @throws CheckpointError where files are missing or damaged
   */
  static from_pretrained<T extends TokenizersBackend>(
    this: TokenizerClass<T>,
    name_or_path: string,
    options: TokenizerFromPretrained = {},
  ): Promise<T> {
    return loadTokenizer(this, name_or_path, options);
  }

  /** Makes the class's pipeline of a tokenizer.json. This class takes it as it is. */
  static pipeline(file: unknown, _settings: Readonly<Record<string, unknown>>): unknown {
    return file;
  }

  train_new_from_iterator(): never {
    throw new UnsupportedError("train_new_from_iterator: tokenizers are not trained here");
  }

  /** @throws UnsupportedError always: no template of a LLaVA checkpoint says how an answer is taken apart */
  parse_response(
    _response: unknown,
    _options: { schema?: unknown; prefix?: unknown; tools?: unknown } = {},
  ): never {
    throw new UnsupportedError("parse_response: response templates are not supported");
  }

  save_vocabulary(): never {
    throw new UnsupportedError(
      "save_vocabulary: the vocabulary is saved inside tokenizer.json, by save_pretrained",
    );
  }

  set_truncation_and_padding(): never {
    throw new UnsupportedError("set_truncation_and_padding: give truncation and padding in each call");
  }
}

export { TokenizersBackend as PreTrainedTokenizerFast };
