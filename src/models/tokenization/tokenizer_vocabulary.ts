import { Callable } from "../../base/callable.ts";
import { OptionError, UnsupportedError } from "../../base/errors.ts";
import { checkOptions } from "../../base/options.ts";
import { Tensor } from "../../tensor/tensor.ts";
import { type AddedToken, addedToken } from "../../text/added_tokens.ts";
import type { Side } from "../../text/encoding.ts";
import type { TextTokenizer } from "../../text/text_tokenizer.ts";
import type { BatchEncoding, TokenLists, TokenTensors } from "./batch_encoding.ts";
import type { PadToken, TokenizerCallOptions } from "./options.ts";
import { SPECIAL_TOKENS_ATTRIBUTES, SpecialTokens, type TokenLike, withFlags } from "./special_tokens.ts";
import {
  booleanSetting,
  type ChatTemplates,
  chatTemplateSetting,
  lengthSetting,
  sideSetting,
  stringsSetting,
  type TokenizerInit,
  type TokenizerSettings,
} from "./tokenizer_init.ts";

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

/** The tokens and settings of a tokenizer, without what it does with text. */
export abstract class TokenizerVocabulary extends CallableTokenizer {
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

  /** @throws OptionError for settings of the wrong type */
  constructor(init: TokenizerInit) {
    super();
    const { tokenizer_object, added_tokens = [], ...kwargs } = init;
    this.#backend = tokenizer_object;
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
  /** What rows are padded with. @throws OptionError where there is nothing */
  protected requirePadToken(): PadToken {
    const token = this.pad_token;
    const id = this.pad_token_id;
    if (token !== null && id !== null) return { token, id, type_id: this.pad_token_type_id };
    throw new OptionError(
      "padding: the tokenizer has no padding token. Set one, for example tokenizer.pad_token = tokenizer.eos_token.",
      { where: "padding" },
    );
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
}
