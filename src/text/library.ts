import * as tokenizers from "@huggingface/tokenizers";

/** The parts of the library that are used here. Its own declarations leave out file endings, so Node's rules find nothing in them. */
interface Library {
  /** Byte-pair merging by rank. */
  readonly BPE: new (config: {
    vocab: Record<string, number>;
    merges: readonly (readonly [string, string])[];
  }) => { bpe(word: string): string[] };
  /** Compiles Oniguruma patterns to JavaScript's. */
  readonly SplitPreTokenizer: new (config: {
    pattern: { String: string } | { Regex: string };
  }) => { readonly pattern: RegExp | null };
}

export const { BPE, SplitPreTokenizer } = tokenizers as unknown as Library;
