import { UnsupportedError } from "../base/errors.ts";
import { broken, isRecord, unsupported } from "./component.ts";
import { BPE } from "./library.ts";

/** A token of a word, and the part `[from, to)` of the word (UTF-16 units) that it stands for. */
export interface Token {
  id: number;
  token: string;
  from: number;
  to: number;
}

/** The part of a tokenizer that cuts a word into tokens of its vocabulary. */
export interface TokenModel {
  /** `BPE`, `WordLevel`. */
  readonly type: string;
  readonly vocab: ReadonlyMap<string, number>;
  tokenize(word: string): Token[];
}

/** Most tokens and merges that are read: many times those of any published tokenizer. */
const MAX_VOCABULARY = 4_000_000;
const MAX_MERGES = 16_000_000;

/**
 * Characters of words that the library may remember: its own limit is a number of words, and where a tokenizer takes a
 * whole text for one word, each text ever seen would be remembered with all of its tokens.
 */
const REMEMBERED = 2 ** 17;

/** @throws CheckpointError for a damaged model, UnsupportedError for a type that this library does not know */
export function buildModel(config: unknown): TokenModel {
  if (!isRecord(config)) throw broken("model", "an object", config);
  // Files of before 2021 leave the type out; those with merges are BPE.
  const type = typeof config.type === "string" ? config.type : "merges" in config ? "BPE" : "WordLevel";
  const vocab = readVocab(config.vocab);
  if (type === "BPE") return bpeModel(config, vocab);
  if (type === "WordLevel") return wordLevelModel(config, vocab);
  throw unsupported("model", type, ["BPE", "WordLevel"]);
}

function bpeModel(config: Record<string, unknown>, vocab: Map<string, number>): TokenModel {
  for (const option of ["dropout", "continuing_subword_prefix", "end_of_word_suffix"]) {
    if (config[option]) {
      throw new UnsupportedError(`tokenizer.json: BPE with '${option}' is not supported.`, { where: option });
    }
  }
  const merges = readMerges(config.merges);
  const unkToken = typeof config.unk_token === "string" ? config.unk_token : null;
  const ignoreMerges = config.ignore_merges === true;
  const byteFallback = config.byte_fallback === true;
  const fuseUnk = config.fuse_unk === true;
  const library = new BPE({ vocab: config.vocab as Record<string, number>, merges });
  const bytes = byteFallback ? byteTokens(vocab) : null;
  const unk = unkToken === null ? undefined : vocab.get(unkToken);
  let remembered = 0;

  const cut = (word: string): string[] => {
    if (word.length < library.max_length_to_cache) remembered += word.length;
    if (remembered > REMEMBERED) {
      library.clear_cache();
      remembered = word.length;
    }
    return library.bpe(word);
  };

  const tokenize = (word: string): Token[] => {
    const whole = ignoreMerges ? vocab.get(word) : undefined;
    if (whole !== undefined) return [{ id: whole, token: word, from: 0, to: word.length }];
    const tokens: Token[] = [];
    let at = 0;
    for (const part of cut(word)) {
      const id = vocab.get(part);
      if (id !== undefined) tokens.push({ id, token: part, from: at, to: at + part.length });
      else unknown(tokens, part, at);
      at += part.length;
    }
    return tokens;
  };

  // A part that is not in the vocabulary is a single character: merges only lead to tokens.
  const unknown = (tokens: Token[], part: string, at: number): void => {
    const to = at + part.length;
    const spelled = bytes && Array.from(utf8.encode(part), (byte) => bytes[byte]);
    if (spelled?.every((token) => token !== undefined)) {
      for (const { id, token } of spelled) tokens.push({ id, token, from: at, to });
    } else if (unk !== undefined && unkToken !== null) {
      const last = tokens.at(-1);
      if (fuseUnk && last?.id === unk && last.to === at) last.to = to;
      else tokens.push({ id: unk, token: unkToken, from: at, to });
    }
  };

  return { type: "BPE", vocab, tokenize };
}

function wordLevelModel(config: Record<string, unknown>, vocab: Map<string, number>): TokenModel {
  const unkToken = typeof config.unk_token === "string" ? config.unk_token : "<unk>";
  const unk = vocab.get(unkToken);
  return {
    type: "WordLevel",
    vocab,
    tokenize(word) {
      const id = vocab.get(word);
      if (id !== undefined) return [{ id, token: word, from: 0, to: word.length }];
      return unk === undefined ? [] : [{ id: unk, token: unkToken, from: 0, to: word.length }];
    },
  };
}

const utf8 = new TextEncoder();

/** The tokens `<0x00>` to `<0xFF>`, where the vocabulary has them. */
function byteTokens(vocab: ReadonlyMap<string, number>): ({ id: number; token: string } | undefined)[] {
  return Array.from({ length: 256 }, (_, byte) => {
    const token = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    const id = vocab.get(token);
    return id === undefined ? undefined : { id, token };
  });
}

function readVocab(value: unknown): Map<string, number> {
  if (!isRecord(value)) throw broken("model.vocab", "an object from tokens to ids", value);
  const entries = Object.entries(value);
  if (entries.length > MAX_VOCABULARY) {
    throw broken("model.vocab", `at most ${MAX_VOCABULARY} tokens`, entries.length);
  }
  const vocab = new Map<string, number>();
  for (const [token, id] of entries) {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > 0x7fffffff) {
      throw broken(`model.vocab[${JSON.stringify(token)}]`, "an id", id);
    }
    vocab.set(token, id as number);
  }
  return vocab;
}

/** Merges as pairs; older files write each as one string with a space. */
function readMerges(value: unknown): [string, string][] {
  if (!Array.isArray(value)) throw broken("model.merges", "a list", value);
  if (value.length > MAX_MERGES) throw broken("model.merges", `at most ${MAX_MERGES} merges`, value.length);
  return value.map((merge: unknown, i) => {
    const pair = typeof merge === "string" ? splitMerge(merge) : merge;
    if (Array.isArray(pair) && pair.length === 2 && pair.every((side) => typeof side === "string")) {
      return pair as [string, string];
    }
    throw broken(`model.merges[${i}]`, "two tokens", merge);
  });
}

function splitMerge(merge: string): string[] {
  const at = merge.indexOf(" ");
  return at < 0 ? [merge] : [merge.slice(0, at), merge.slice(at + 1)];
}
