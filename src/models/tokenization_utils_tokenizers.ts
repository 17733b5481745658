import { Callable } from "../base/callable.ts";
import { warnOnce } from "../base/env.ts";
import { OptionError, UnsupportedError } from "../base/errors.ts";
import { checkOptions } from "../base/options.ts";
import { Tensor } from "../tensor/tensor.ts";
import { type AddedToken, addedToken } from "../text/added_tokens.ts";
import { encodeMarked } from "../text/control_tokens.ts";
import type { Encoding, Side } from "../text/encoding.ts";
import type { TextTokenizer } from "../text/text_tokenizer.ts";
import { applyTokenizerChatTemplate, type TokenizerChatOptions } from "./tokenization/apply_chat_template.ts";
import { BatchEncoding, type TokenLists, type TokenTensors } from "./tokenization/batch_encoding.ts";
import {
  type ChatMessage,
  type ChosenTemplate,
  type Conversation,
  chooseTemplate,
} from "./tokenization/chat.ts";
import { cleanUp, type DecodeOptions, type Ids, type IdsRow, idsOf } from "./tokenization/decode.ts";
import { encodeRows, rowsOf } from "./tokenization/encode_batch.ts";
import { loadTokenizer, type TokenizerClass, type TokenizerFromPretrained } from "./tokenization/load.ts";
import {
  type PadToken,
  type Strategies,
  strategiesOf,
  TOKENIZER_CALL_OPTIONS,
  type TokenizerCallOptions,
} from "./tokenization/options.ts";
import { type PadOptions, padFeatures } from "./tokenization/pad_features.ts";
import { saveTokenizer } from "./tokenization/save.ts";
import {
  SPECIAL_TOKENS_ATTRIBUTES,
  SpecialTokens,
  type TokenLike,
  withFlags,
} from "./tokenization/special_tokens.ts";
import {
  booleanSetting,
  type ChatTemplates,
  chatTemplateSetting,
  lengthSetting,
  sideSetting,
  stringsSetting,
  type TokenizerInit,
  type TokenizerSettings,
} from "./tokenization/tokenizer_init.ts";

/** What a model without a limit has as `model_max_length`. */
const VERY_LARGE_INTEGER = 1e30;

/** Texts for a tokenizer: one, or several; with `is_split_into_words`, each as a list of words. */
export type TextsInput = string | readonly string[] | readonly (readonly string[])[];

type Lists = TokenizerCallOptions & { return_tensors: null };

/** The signature of a call. */
export interface TokenizerCall {
  (text: string, options: Lists): BatchEncoding<TokenLists<number[]>>;
  (
    text: readonly string[] | readonly (readonly string[])[],
    options: Lists,
  ): BatchEncoding<TokenLists<number[][]>>;
  (text: TextsInput, options?: TokenizerCallOptions): BatchEncoding<TokenTensors>;
}

const CallableTokenizer = Callable as unknown as abstract new () => TokenizerCall;

/**
 * A tokenizer that obeys a checkpoint's tokenizer.json exactly, with the settings of tokenizer_config.json: called
 * like a function, it turns texts into ids.
 */
export class TokenizersBackend extends CallableTokenizer {
  /** The name under which files know the class. */
  static readonly tokenizer_class: string = "TokenizersBackend";
  /** Names of settings that the class has beside TOKENIZER_SETTINGS. */
  static readonly own_settings: readonly string[] = [];

  declare readonly name_or_path: string;
  /** What the tokenizer was made with; saved again. */
  declare readonly init_kwargs: Readonly<Record<string, unknown>>;
  declare padding_side: Side;
  declare truncation_side: Side;
  declare model_max_length: number;
  declare model_input_names: string[];
  declare clean_up_tokenization_spaces: boolean;
  declare clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output: boolean;
  declare split_special_tokens: boolean;
  declare chat_template: ChatTemplates | null;
  declare chat_control_tokens: string[] | null;
  declare bos_token: string | null;
  declare eos_token: string | null;
  declare unk_token: string | null;
  declare sep_token: string | null;
  declare pad_token: string | null;
  declare cls_token: string | null;
  declare mask_token: string | null;
  declare bos_token_id: number | null;
  declare eos_token_id: number | null;
  declare unk_token_id: number | null;
  declare sep_token_id: number | null;
  declare pad_token_id: number | null;
  declare cls_token_id: number | null;
  declare mask_token_id: number | null;
  /** Where the checkpoint names one. */
  declare image_token: string | null | undefined;
  declare image_token_id: number | null | undefined;
  readonly #backend: TextTokenizer;
  readonly #tokens = new SpecialTokens();
  #addBos: boolean;
  #addEos: boolean;
  #processorClass: string | null;

  /** @throws OptionError for settings of the wrong type */
  constructor(init: TokenizerInit) {
    super();
    const { tokenizer_object, added_tokens = [], ...kwargs } = init;
    this.#backend = tokenizer_object;
    this.#processorClass = kwargs.processor_class ?? null;
    this.#addBos = booleanSetting("add_bos_token", kwargs.add_bos_token, false);
    this.#addEos = booleanSetting("add_eos_token", kwargs.add_eos_token, false);
    Object.assign(this, { name_or_path: kwargs.name_or_path ?? "", init_kwargs: kwargs });
    this.#takeSettings(kwargs);
    this.#takeTokens(kwargs);
    this.#addMissing(added_tokens);
    const explicit = kwargs.add_bos_token !== undefined || kwargs.add_eos_token !== undefined;
    if (explicit || tokenizer_object.postProcessor === null) this.update_post_processor();
  }

  #takeSettings(kwargs: TokenizerSettings): void {
    this.padding_side = sideSetting("padding_side", kwargs.padding_side, this.defaultPaddingSide);
    this.truncation_side = sideSetting("truncation_side", kwargs.truncation_side, "right");
    this.model_max_length = lengthSetting("model_max_length", kwargs.model_max_length, VERY_LARGE_INTEGER);
    this.model_input_names = stringsSetting("model_input_names", kwargs.model_input_names) ?? [
      "input_ids",
      "attention_mask",
    ];
    for (const name of [
      "clean_up_tokenization_spaces",
      "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
      "split_special_tokens",
    ] as const) {
      this[name] = booleanSetting(name, kwargs[name], false);
    }
    this.chat_template = chatTemplateSetting(kwargs.chat_template);
    this.chat_control_tokens = stringsSetting("chat_control_tokens", kwargs.chat_control_tokens);
  }

  /** The side that rows are padded on where nothing says otherwise. */
  protected get defaultPaddingSide(): Side {
    return "right";
  }

  #takeTokens(kwargs: TokenizerSettings): void {
    const named = { ...kwargs.model_specific_special_tokens };
    const extra = kwargs.extra_special_tokens ?? [];
    if (Array.isArray(extra)) this.#tokens.extra = [...(extra as TokenLike[])];
    else Object.assign(named, extra);
    for (const name of Object.keys(named)) this.#tokens.declare(name);
    for (const name of SPECIAL_TOKENS_ATTRIBUTES) this.#tokens.set(name, kwargs[name]);
    for (const [name, token] of Object.entries(named)) this.#tokens.set(name, token);
    for (const name of this.#tokens.attributes) this.#defineToken(name);
  }

  /** Makes a special token, and its id, attributes of the tokenizer. */
  #defineToken(name: string): void {
    Object.defineProperty(this, name, {
      configurable: true,
      enumerable: true,
      get: () => this.#tokens.get(name),
      set: (token: TokenLike | null) => this.#tokens.set(name, token),
    });
    Object.defineProperty(this, `${name}_id`, {
      configurable: true,
      enumerable: true,
      get: () => this.#idOf(this.#tokens.get(name)),
      set: (id: number | null) => this.#tokens.set(name, id === null ? null : this.#backend.tokenOf(id)),
    });
  }

  /** Adds the tokens of tokenizer_config.json, and special tokens that tokenizer.json does not list. */
  #addMissing(listed: readonly AddedToken[]): void {
    const known = new Set(this.#backend.addedTokens.list().map(({ content }) => content));
    for (const { content } of listed) known.add(content);
    const specials = this.#tokens.asAddedTokens().filter(({ content }) => !known.has(content));
    const named = new Set(Object.values(this.#tokens.map()));
    this.#backend.add([
      ...listed.map((token) => (named.has(token.content) ? { ...token, special: true } : token)),
      ...specials,
    ]);
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
    if (options.sanitize_control_tokens) {
      return this.#encodeMarked(
        rows.map(({ first }) => String(first)),
        single && tensors === null,
        options,
        strategies,
      );
    }
    const encoded = encodeRows(this.#backend, rows, {
      options,
      strategies,
      splitSpecialTokens: options.split_special_tokens ?? this.split_special_tokens,
      truncationSide: this.truncation_side,
      paddingSide: this.padding_side,
      padToken: () => this.#padToken(),
    });
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

  /** Encodes texts that `apply_chat_template` marked: what a user wrote never becomes a control token. */
  #encodeMarked(
    texts: readonly string[],
    single: boolean,
    options: TokenizerCallOptions,
    { truncation, max_length, padding }: Strategies,
  ): BatchEncoding {
    if ((options.add_special_tokens ?? true) && (this.#backend.postProcessor?.added(false) ?? 0) > 0) {
      throw new UnsupportedError(
        "sanitize_control_tokens: the chat template must write the special tokens itself, as this tokenizer adds some. Give add_special_tokens: false.",
        { where: "sanitize_control_tokens" },
      );
    }
    const cut = (ids: number[]): number[] => {
      if (truncation === "do_not_truncate" || max_length === null || ids.length <= max_length) return ids;
      return this.truncation_side === "right" ? ids.slice(0, max_length) : ids.slice(ids.length - max_length);
    };
    const input_ids = texts.map((text) => cut(encodeMarked(this.#backend, text)));
    const { pad_to_multiple_of, padding_side, return_attention_mask, return_tensors } = options;
    return this.pad(
      { input_ids: single ? input_ids[0] : input_ids },
      {
        padding,
        max_length,
        pad_to_multiple_of,
        padding_side,
        return_attention_mask,
        return_tensors,
      },
    );
  }

  #warnIfTooLong(length: number, { max_length }: Strategies, { verbose }: TokenizerCallOptions): void {
    if (max_length !== null || verbose === false || length <= this.model_max_length) return;
    warnOnce(
      `The text has ${length} tokens, more than the ${this.model_max_length} that the model was made for.`,
    );
  }

  #padToken(): PadToken {
    const token = this.pad_token;
    const id = this.pad_token_id;
    if (token !== null && id !== null) return { token, id, type_id: this.pad_token_type_id };
    throw new OptionError(
      "padding: the tokenizer has no padding token. Set one, for example tokenizer.pad_token = tokenizer.eos_token.",
      { where: "padding" },
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
    const text = this.#backend.decode(ids, options.skip_special_tokens ?? false);
    if (!(options.clean_up_tokenization_spaces ?? this.clean_up_tokenization_spaces)) return text;
    if (
      this.#backend.model.type !== "BPE" ||
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
      padToken: () => this.#padToken(),
    });
  }

  /** Ids to tokens; null for an id without one. */
  convert_ids_to_tokens(ids: number, options?: { skip_special_tokens?: boolean }): string | null;
  convert_ids_to_tokens(
    ids: readonly number[] | Tensor,
    options?: { skip_special_tokens?: boolean },
  ): (string | null)[];
  convert_ids_to_tokens(
    ids: number | readonly number[] | Tensor,
    options: { skip_special_tokens?: boolean } = {},
  ): string | null | (string | null)[] {
    checkOptions("convert_ids_to_tokens", options, ["skip_special_tokens"]);
    if (typeof ids === "number") return this.#backend.tokenOf(ids) ?? null;
    const skip = new Set(options.skip_special_tokens ? this.all_special_ids : []);
    const list = ids instanceof Tensor ? Array.from(ids.data, Number) : ids;
    return list.filter((id) => !skip.has(id)).map((id) => this.#backend.tokenOf(id) ?? null);
  }

  /** Tokens to ids; for one that is not there, the unknown token's, or null. */
  convert_tokens_to_ids(tokens: string): number | null;
  convert_tokens_to_ids(tokens: readonly string[]): (number | null)[];
  convert_tokens_to_ids(tokens: string | readonly string[]): number | null | (number | null)[] {
    return typeof tokens === "string" ? this.#idOf(tokens) : tokens.map((token) => this.#idOf(token));
  }

  #idOf(token: string | null): number | null {
    if (token === null) return null;
    const unknown = this.#tokens.get("unk_token");
    return (
      this.#backend.tokenToId(token) ?? (unknown === null ? null : (this.#backend.tokenToId(unknown) ?? null))
    );
  }

  convert_tokens_to_string(tokens: readonly string[]): string {
    return this.#backend.join([...tokens]);
  }

  /** Adds tokens to the end of the vocabulary. @returns how many were added */
  add_tokens(
    new_tokens: TokenLike | readonly TokenLike[],
    options: { special_tokens?: boolean } = {},
  ): number {
    checkOptions("add_tokens", options, ["special_tokens"]);
    const tokens = (Array.isArray(new_tokens) ? new_tokens : [new_tokens]) as TokenLike[];
    return this.#backend.add(
      tokens.map((token) =>
        options.special_tokens ? { ...withFlags(token), special: true } : addedToken(token),
      ),
    );
  }

  /** Sets special tokens, and adds those that are not there. @returns how many were added */
  add_special_tokens(
    special_tokens_dict: Readonly<Record<string, TokenLike | readonly TokenLike[]>>,
    options: { replace_extra_special_tokens?: boolean } = {},
  ): number {
    checkOptions("add_special_tokens", options, ["replace_extra_special_tokens"]);
    checkOptions("add_special_tokens", special_tokens_dict, [
      ...this.#tokens.attributes,
      "extra_special_tokens",
    ]);
    const added: TokenLike[] = [];
    for (const [name, value] of Object.entries(special_tokens_dict)) {
      if (name === "extra_special_tokens") {
        const replace = options.replace_extra_special_tokens ?? true;
        const known = this.extra_special_tokens;
        const tokens = ((Array.isArray(value) ? value : [value]) as TokenLike[]).filter(
          (token) => replace || !known.includes(withFlags(token).content),
        );
        this.#tokens.extra = replace && tokens.length > 0 ? tokens : [...this.#tokens.extra, ...tokens];
        added.push(...tokens);
      } else {
        this.#tokens.set(name, value as TokenLike);
        added.push(value as TokenLike);
      }
    }
    return this.add_tokens(added, { special_tokens: true });
  }

  /** All tokens with their ids. */
  get_vocab(): Record<string, number> {
    return Object.fromEntries(this.#backend.vocab());
  }

  /** The added tokens with their ids, in the order of ids. */
  get_added_vocab(): Record<string, number> {
    return Object.fromEntries(this.#backend.addedTokens.list().map(({ content, id }) => [content, id]));
  }

  /** How many special tokens come around a text, or a pair of texts. */
  num_special_tokens_to_add(options: { pair?: boolean } = {}): number {
    checkOptions("num_special_tokens_to_add", options, ["pair"]);
    return this.#backend.postProcessor?.added(options.pair ?? false) ?? 0;
  }

  /** 1 for the ids of special tokens, 0 for others. */
  get_special_tokens_mask(
    token_ids_0: readonly number[],
    options: { token_ids_1?: readonly number[] | null; already_has_special_tokens?: boolean } = {},
  ): number[] {
    checkOptions("get_special_tokens_mask", options, ["token_ids_1", "already_has_special_tokens"]);
    if (!options.already_has_special_tokens || (options.token_ids_1 ?? null) !== null) {
      throw new UnsupportedError(
        "get_special_tokens_mask: only one list of ids with already_has_special_tokens: true",
        { where: "already_has_special_tokens" },
      );
    }
    const special = new Set(this.all_special_ids);
    return token_ids_0.map((id) => (special.has(id) ? 1 : 0));
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
    const { conversation_history, ...rest } = options;
    if ("add_generation_prompt" in rest) {
      throw new OptionError("encode_message_with_chat_template: add_generation_prompt is not possible here", {
        where: "add_generation_prompt",
      });
    }
    const history = conversation_history ?? [];
    const encode = (conversation: readonly ChatMessage[]): number[] =>
      this.apply_chat_template(conversation, { ...rest, return_dict: false, return_tensors: null });
    const ids = encode([...history, message]);
    if (history.length === 0) return ids;
    const before = encode(history);
    const apart = before.findIndex((id, i) => id !== ids[i]);
    return ids.slice(apart < 0 ? Math.min(before.length, ids.length) : apart);
  }

  /** Makes the tokens around a text anew, from `add_bos_token`, `add_eos_token` and the tokens themselves. */
  update_post_processor(): void {
    if (this.bos_token === null) this.#addBos = false;
    if (this.eos_token === null) this.#addEos = false;
    this.#backend.setBosEos(this.#addBos ? this.bos_token : null, this.#addEos ? this.eos_token : null);
  }

  get add_bos_token(): boolean {
    return this.#addBos;
  }

  set add_bos_token(value: boolean) {
    this.#addBos = value;
    this.update_post_processor();
  }

  get add_eos_token(): boolean {
    return this.#addEos;
  }

  set add_eos_token(value: boolean) {
    this.#addEos = value;
    this.update_post_processor();
  }

  /** Special tokens that have no name, as text. */
  get extra_special_tokens(): string[] {
    return this.#tokens.extra.map((token) => withFlags(token).content);
  }

  get extra_special_tokens_ids(): (number | null)[] {
    return this.convert_tokens_to_ids(this.extra_special_tokens);
  }

  /** The special tokens that have a name. */
  get special_tokens_map(): Record<string, string> {
    return this.#tokens.map();
  }

  get all_special_tokens(): string[] {
    return this.#tokens.all();
  }

  get all_special_ids(): number[] {
    return this.convert_tokens_to_ids(this.all_special_tokens).filter((id) => id !== null);
  }

  get added_tokens_encoder(): Record<string, number> {
    return this.get_added_vocab();
  }

  get added_tokens_decoder(): Record<number, AddedToken> {
    return Object.fromEntries(this.#backend.addedTokens.list().map(({ id, ...token }) => [id, token]));
  }

  /** Size of the vocabulary without added tokens. */
  get vocab_size(): number {
    return this.#backend.model.vocab.size;
  }

  get vocab(): Record<string, number> {
    return this.get_vocab();
  }

  get is_fast(): true {
    return true;
  }

  /** What decodes and encodes underneath; streams take it. */
  get backend_tokenizer(): TextTokenizer {
    return this.#backend;
  }

  /** What turns tokens into text. */
  get decoder(): { decode(tokens: readonly string[]): string } {
    return { decode: (tokens) => this.convert_tokens_to_string(tokens) };
  }

  get can_save_slow_tokenizer(): false {
    return false;
  }

  get pad_token_type_id(): number {
    return 0;
  }

  get max_len_single_sentence(): number {
    return this.model_max_length - this.num_special_tokens_to_add();
  }

  get max_len_sentences_pair(): number {
    return this.model_max_length - this.num_special_tokens_to_add({ pair: true });
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

  parse_response(): never {
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

/** The columns of a batch, by name. */
function columnsOf(
  rows: readonly Encoding[],
  options: TokenizerCallOptions,
  names: readonly string[],
): Record<string, unknown> {
  const wanted = (option: boolean | null | undefined, name: string) => option ?? names.includes(name);
  const data: Record<string, unknown> = { input_ids: rows.map((row) => row.ids) };
  if (wanted(options.return_token_type_ids, "token_type_ids")) {
    data.token_type_ids = rows.map((row) => row.type_ids);
  }
  if (wanted(options.return_attention_mask, "attention_mask")) {
    data.attention_mask = rows.map((row) => row.attention_mask);
  }
  if (options.return_special_tokens_mask) {
    data.special_tokens_mask = rows.map((row) => row.special_tokens_mask);
  }
  if (options.return_offsets_mapping) data.offset_mapping = rows.map((row) => row.offsets);
  if (options.return_length) data.length = rows.map((row) => row.length);
  return data;
}

/** The first row of each column; lengths stay a list. */
function firstRow(data: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => {
      const list = value as unknown[];
      return [key, Array.isArray(list[0]) ? list[0] : list];
    }),
  );
}

export { TokenizersBackend as PreTrainedTokenizerFast };
