import * as tokenizers from "@huggingface/tokenizers";

/** The parts of the library that are used here. Its own declarations leave out file endings, so Node's rules find nothing in them. */
interface Library {
  /** Byte-pair merging by rank. */
  readonly BPE: new (config: {
    vocab: Record<string, number>;
    merges: readonly (readonly [string, string])[];
  }) => {
    bpe(word: string): string[];
    /** Longer words are not remembered. */
    readonly max_length_to_cache: number;
    /** Forgets the words that were cut before. */
    clear_cache(): void;
  };
  /** Compiles Oniguruma patterns to JavaScript's. */
  readonly SplitPreTokenizer: new (config: {
    pattern: { String: string } | { Regex: string };
  }) => { readonly pattern: RegExp | null };
}

export const { BPE, SplitPreTokenizer } = tokenizers as unknown as Library;
