import { type AddedToken, AddedTokens, readAddedToken } from "./added_tokens.ts";
import { AlignedText, codePointIndex } from "./aligned_text.ts";
import { asComponent, broken, type Component, isRecord } from "./component.ts";
import { buildDecoder, type Decoder } from "./decoders.ts";
import { Encoding } from "./encoding.ts";
import { buildModel, type TokenModel } from "./model.ts";
import { buildNormalizer } from "./normalizers.ts";
import { bosEosTemplate, buildPostProcessor, joined, type PostProcessor } from "./post_processors.ts";
import { buildPreTokenizer, type PreTokenizer } from "./pre_tokenizers.ts";

/** A text, or one that is already cut into words. */
export type TextInput = string | readonly string[];

export interface EncodeOptions {
  addSpecialTokens: boolean;
  /** Takes special tokens in the text for ordinary text. */
  splitSpecialTokens: boolean;
  /** Cuts the encoded texts before the special tokens come around them. */
  cut?: (first: Encoding, second: Encoding | null, added: number) => [Encoding, Encoding | null];
}

/**
 * A tokenizer exactly as tokenizer.json describes it: text to ids and back.
 *
 * Truncation and padding that are stored in the file are not applied: they are leftovers of a training run.
 */
export class TextTokenizer {
  private readonly file: Readonly<Record<string, unknown>>;
  readonly model: TokenModel;
  readonly addedTokens: AddedTokens;
  private postProcessorConfig: unknown;
  private currentPostProcessor: PostProcessor | null;
  private readonly preTokenizer: PreTokenizer | null;
  private readonly decoder: Decoder | null;
  private readonly normalize: ((text: AlignedText) => AlignedText) | null;
  private readonly idToToken = new Map<number, string>();

  /**
   * Takes up to a second for a large vocabulary: build it once.
   *
   * @param file tokenizer.json, parsed
   * @throws CheckpointError where the file is damaged, UnsupportedError where it has parts that are not known
   */
  constructor(file: unknown) {
    if (!isRecord(file)) throw broken("the file", "an object", file);
    this.file = file;
    const part = <T>(key: string, build: (component: ReturnType<typeof asComponent>) => T): T | null =>
      file[key] === null || file[key] === undefined ? null : build(asComponent(file[key], key));
    this.normalize = part("normalizer", buildNormalizer);
    this.preTokenizer = part("pre_tokenizer", buildPreTokenizer);
    this.model = buildModel(file.model);
    this.postProcessorConfig = file.post_processor ?? null;
    this.currentPostProcessor = part("post_processor", buildPostProcessor);
    this.decoder = part("decoder", buildDecoder);
    for (const [token, id] of this.model.vocab) this.idToToken.set(id, token);
    this.addedTokens = new AddedTokens(this.normalize);
    this.addAt(readAddedTokens(file.added_tokens ?? []));
  }

  /** What puts special tokens around a text. */
  get postProcessor(): PostProcessor | null {
    return this.currentPostProcessor;
  }

  /** Puts these tokens before and after each text from now on; null for none. Unknown tokens are none. */
  setBosEos(bos: string | null, eos: string | null): void {
    const withId = (token: string | null) => {
      const id = token === null ? undefined : this.tokenToId(token);
      return token === null || id === undefined ? null : { id, token };
    };
    const config: Component = bosEosTemplate(withId(bos), withId(eos));
    this.postProcessorConfig = config;
    this.currentPostProcessor = buildPostProcessor(config);
  }

  /** The file as it is now: with the tokens that were added, and the current post-processor. */
  toJSON(): Record<string, unknown> {
    const added_tokens = this.addedTokens.list().map(({ id, ...token }) => ({ id, ...token }));
    return { ...this.file, added_tokens, post_processor: this.postProcessorConfig };
  }

  /** The id of a token of the vocabulary or an added one. */
  tokenToId(token: string): number | undefined {
    return this.addedTokens.get(token)?.id ?? this.model.vocab.get(token);
  }

  tokenOf(id: number): string | undefined {
    return this.idToToken.get(id);
  }

  /** All tokens with their ids. */
  vocab(): Map<string, number> {
    const vocab = new Map(this.model.vocab);
    for (const { content, id } of this.addedTokens.list()) vocab.set(content, id);
    return vocab;
  }

  /** Adds tokens; one that has an id keeps it, others get the next free ones. @returns how many were taken up */
  add(tokens: readonly AddedToken[]): number {
    const fresh = tokens.filter((token) => token.content !== "" && !this.hasExactly(token));
    let next = Math.max(this.model.vocab.size, ...this.addedTokens.list().map(({ id }) => id + 1));
    const placed: (AddedToken & { id: number })[] = [];
    const newIds = new Map<string, number>();
    for (const token of fresh) {
      const id = this.tokenToId(token.content) ?? newIds.get(token.content) ?? next++;
      newIds.set(token.content, id);
      placed.push({ ...token, id });
    }
    if (placed.length > 0) this.addAt(placed);
    return placed.length;
  }

  private hasExactly(token: AddedToken): boolean {
    const known = this.addedTokens.get(token.content);
    return (
      known !== undefined &&
      (Object.keys(token) as (keyof AddedToken)[]).every((key) => key in known && known[key] === token[key])
    );
  }

  private addAt(tokens: readonly (AddedToken & { id: number })[]): void {
    this.addedTokens.add(tokens);
    for (const token of tokens) this.idToToken.set(token.id, this.addedTokens.formOf(token));
  }

  /** Text, or a pair of texts, to ids with offsets and masks. Lone surrogates become U+FFFD. */
  encode(first: TextInput, second: TextInput | null, options: EncodeOptions): Encoding {
    let one = this.encodeOne(first, 0, options.splitSpecialTokens);
    let two = second === null ? null : this.encodeOne(second, 1, options.splitSpecialTokens);
    const added = options.addSpecialTokens ? (this.postProcessor?.added(two !== null) ?? 0) : 0;
    if (options.cut !== undefined) [one, two] = options.cut(one, two, added);
    if (this.currentPostProcessor !== null)
      return this.currentPostProcessor.process(one, two, options.addSpecialTokens);
    return two === null ? one : joined(one, two);
  }

  /** The ids of a text in which no added token is looked for, special or not. */
  encodePlain(text: string): number[] {
    const source = AlignedText.of(wellFormed(text));
    const normalized = this.normalize === null ? source : this.normalize(source);
    return this.words(normalized).flatMap((word) => this.model.tokenize(word.text).map(({ id }) => id));
  }

  /** Ids to text. Ids without a token are left out. */
  decode(ids: readonly number[], skipSpecialTokens: boolean): string {
    const tokens: string[] = [];
    for (const id of ids) {
      const token = this.idToToken.get(id);
      if (token === undefined || (skipSpecialTokens && this.addedTokens.isSpecial(token))) continue;
      tokens.push(token);
    }
    return this.join(tokens);
  }

  /** Tokens to text. */
  join(tokens: string[]): string {
    return this.decoder === null ? tokens.join(" ") : this.decoder(tokens).join("");
  }

  private encodeOne(input: TextInput, sequence: number, splitSpecial: boolean): Encoding {
    const encoding = new Encoding();
    if (typeof input === "string") this.encodeText(encoding, input, sequence, splitSpecial);
    else for (const [i, word] of input.entries()) this.encodeText(encoding, word, sequence, splitSpecial, i);
    return encoding;
  }

  /** Adds the tokens of a text. `word` is its place among given words; without it, words are counted here. */
  private encodeText(
    encoding: Encoding,
    text: string,
    sequence: number,
    splitSpecial: boolean,
    word?: number,
  ): void {
    const source = wellFormed(text);
    const index = codePointIndex(source);
    let count = 0;
    const push = (id: number, token: string, piece: AlignedText, from: number, to: number): void => {
      encoding.push({
        id,
        token,
        type_id: sequence,
        offset: [index(piece.starts[from]), index(piece.ends[to - 1])],
        word: word ?? count,
        sequence,
      });
    };
    for (const section of this.addedTokens.sections(AlignedText.of(source), splitSpecial)) {
      if (section.token !== undefined) {
        push(section.token.id, this.addedTokens.formOf(section.token), section.text, 0, section.text.length);
        count++;
        continue;
      }
      for (const piece of this.words(section.text)) {
        for (const { id, token, from, to } of this.model.tokenize(piece.text))
          push(id, token, piece, from, to);
        count++;
      }
    }
  }

  private words(text: AlignedText): AlignedText[] {
    if (text.length === 0) return [];
    return this.preTokenizer === null ? [text] : this.preTokenizer(text);
  }
}

function readAddedTokens(list: unknown): (AddedToken & { id: number })[] {
  if (!Array.isArray(list)) throw broken("added_tokens", "a list", list);
  return list.map((entry: unknown, i) => {
    const where = `added_tokens[${i}]`;
    const token = readAddedToken(entry, where);
    const id = isRecord(entry) ? entry.id : undefined;
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > 0x7fffffff) {
      throw broken(`${where}.id`, "an id", id);
    }
    return { ...token, id: id as number };
  });
}

/** Lone halves of surrogate pairs become U+FFFD: there is no UTF-8 for them. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}
