import { OptionError, ShapeError } from "../base/errors.ts";
import { checkCached, DynamicCache } from "../nn/dynamic_cache.ts";
import { type Ids, idRows } from "../tensor/ids.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GenerationConfig } from "./configuration_utils.ts";
import type { PromptSource } from "./generation_model.ts";
import type { Input } from "./sequence.ts";

/** What `generate` continues. Shapes: B rows, L columns, D the text model's size. */
export interface GenerationInputs {
  /** [B, L] */
  input_ids?: Ids | null;
  /** The same: the name of Transformers' first argument. */
  inputs?: Ids | null;
  /** [B, L], or [B, cached + L] with ids that are all new. */
  attention_mask?: Ids | null;
  /** [B, L, D], in place of ids or beside them. */
  inputs_embeds?: Tensor | null;
  /** Grows by what is generated. */
  past_key_values?: DynamicCache | null;
}

/** Checked prompts, padding still in them. */
export interface PromptRows {
  /** [B, L]; rows without tokens (embeddings alone) are empty. */
  tokens: number[][];
  /** [B, L'] where L' counts embeddings, too. */
  mask: boolean[][];
  /** Columns of the mask: tokens or embeddings. */
  length: number;
  /** Columns that the cache holds. */
  cached: number;
}

/** What a row begins with. */
export interface Prompt {
  /** [L], padding included. */
  tokens: readonly number[];
  /** What the cache does not hold yet, padding left out. */
  input: Input;
  /** Columns of `input`, counted from the first that the cache does not hold. */
  columns: readonly number[];
}

/**
 * Checks and completes what is to be continued.
 *
 * @param bind told of a cache that is given, and how many rows it should have: one for each continuation of each prompt
 */
export function promptRows(
  inputs: GenerationInputs,
  config: GenerationConfig,
  bind: (past: DynamicCache, rows: number) => void,
): PromptRows {
  const { inputs_embeds, past_key_values: past } = inputs;
  if (past && !(past instanceof DynamicCache)) {
    throw new OptionError("past_key_values: expected what an earlier call gave", {
      where: "past_key_values",
    });
  }
  const tokens = givenTokens(inputs) ?? defaultTokens(inputs, config);
  if (tokens.length === 0)
    throw new ShapeError("input_ids: there is no row", { where: "input_ids", got: [0] });
  const copies = Math.max(config.num_beams ?? 1, config.num_return_sequences ?? 1);
  if (past) bind(past, tokens.length * copies);
  const length = inputs_embeds?.shape[1] ?? tokens[0].length;
  if (
    inputs_embeds &&
    tokens[0]?.length > 0 &&
    (inputs_embeds.shape[0] !== tokens.length || length !== tokens[0].length)
  ) {
    throw new ShapeError(
      `inputs_embeds: shape [${inputs_embeds.shape}] does not fit input_ids [${tokens.length}, ${tokens[0].length}]`,
      { where: "inputs_embeds", expected: [tokens.length, tokens[0].length], got: inputs_embeds.shape },
    );
  }
  if (length === 0)
    throw new ShapeError("input_ids: there is no token", { where: "input_ids", got: [tokens.length, 0] });
  const held = past?.get_seq_length() ?? 0;
  const mask = maskRows(inputs, tokens, length, held, config);
  // Ids that are all new come with a mask that is longer by what the cache holds.
  const allNew = held > 0 && mask[0].length === held + length;
  if (!allNew && held >= length) {
    throw new ShapeError(
      `past_key_values holds ${held} columns, input_ids has ${length}: give all ids, or the new ones with an ` +
        `attention_mask of ${held} + ${length} columns`,
      { where: "past_key_values", expected: `fewer than ${length}`, got: held },
    );
  }
  if (past) checkCacheRows(past, tokens.length, copies);
  if (past && inputs.attention_mask) checkCached(repeatedRows(mask, copies), past);
  return {
    tokens,
    mask: allNew ? mask.map((row) => row.slice(held)) : mask,
    length,
    cached: allNew ? 0 : held,
  };
}

/** @throws ShapeError where there is not a row for each continuation of each prompt */
function checkCacheRows(past: DynamicCache, rows: number, copies: number): void {
  if (past.batch_size === rows * copies) return;
  const many =
    copies === 1
      ? ""
      : `, each of which is continued ${copies} times; past_key_values.batch_repeat_interleave(${copies}) makes the rows`;
  throw new ShapeError(`past_key_values has ${past.batch_size} rows, input_ids has ${rows}${many}`, {
    where: "past_key_values",
    expected: rows * copies,
    got: past.batch_size,
  });
}

/** Each row so many times, one after the other. */
export function repeatedRows<Row>(rows: readonly Row[], copies: number): Row[] {
  return rows.flatMap((row) => Array<Row>(copies).fill(row));
}

function givenTokens({ inputs, input_ids }: GenerationInputs): number[][] | undefined {
  if (inputs && input_ids) {
    throw new OptionError("inputs and input_ids are the same: give one of the two", { where: "inputs" });
  }
  if (inputs) return idRows("inputs", inputs);
  return input_ids ? idRows("input_ids", input_ids) : undefined;
}

/** A BOS for each row of the mask, or nothing beside embeddings. */
function defaultTokens(
  { inputs_embeds, attention_mask }: GenerationInputs,
  { bos_token_id }: GenerationConfig,
): number[][] {
  if (inputs_embeds) return Array.from({ length: inputs_embeds.shape[0] }, () => []);
  if (bos_token_id === null) {
    throw new OptionError(
      "generate: give input_ids or inputs_embeds; there is no bos_token_id to begin with",
      { where: "input_ids" },
    );
  }
  const rows = attention_mask ? idRows("attention_mask", attention_mask).length : 1;
  return Array.from({ length: rows }, () => [bos_token_id]);
}

function maskRows(
  { attention_mask, input_ids, inputs }: GenerationInputs,
  tokens: readonly number[][],
  length: number,
  held: number,
  config: GenerationConfig,
): boolean[][] {
  if (attention_mask === undefined || attention_mask === null) {
    const { pad_token_id: pad, eos_token_id: eos } = config;
    const padded =
      (input_ids || inputs) &&
      pad !== null &&
      ![eos].flat().includes(pad) &&
      tokens.some((row) => row.includes(pad));
    return tokens.map((row) => (padded ? row.map((id) => id !== pad) : Array<boolean>(length).fill(true)));
  }
  const rows = idRows("attention_mask", attention_mask);
  const width = rows[0]?.length;
  if (rows.length !== tokens.length || (width !== length && width !== held + length)) {
    throw new ShapeError(
      `attention_mask: expected shape [${tokens.length}, ${length}], got [${rows.length}, ${width}]`,
      { where: "attention_mask", expected: [tokens.length, length], got: [rows.length, width] },
    );
  }
  return rows.map((row) => row.map((value) => value !== 0));
}

/**
 * The prompts without their padding and without what the cache holds, for the decoding loop: one for each prompt, or for
 * each row of a cache that was given.
 */
export function promptsOf(
  { tokens, mask, length, cached }: PromptRows,
  past: DynamicCache | undefined,
  source: PromptSource | undefined,
): Prompt[] {
  const copies = (past?.batch_size ?? tokens.length) / tokens.length;
  return repeatedRows([...tokens.keys()], copies).map((b, i) => {
    const row = tokens[b];
    const columns = Array.from({ length }, (_, c) => c).filter((c) => c >= cached && mask[b][c]);
    if (columns.length === 0) {
      throw new ShapeError(`attention_mask: row ${b} has no token to continue from`, {
        where: "attention_mask",
        got: b,
      });
    }
    const first = past?.row(i).length ?? 0;
    return {
      tokens: row,
      columns: columns.map((c) => c - cached),
      input: {
        source: source?.source,
        ids: columns.map((c) => row[c] ?? 0),
        index: source && columns.map((c) => source.index[b][c]),
        names: source?.names,
        positions: columns.map((_, i) => first + i),
        given: columns.length,
      },
    };
  });
}
