import type { StepOptions, Value } from "../devices/device.ts";
import { argmax, mergeRows, takeRows } from "../nn/functional.ts";
import { Rows, type Segment } from "../nn/rows.ts";
import type { Trace } from "../nn/trace.ts";
import { Tensor } from "../tensor/tensor.ts";
import type { RaggedModel } from "./ragged_model.ts";
import type { Input, Sequence } from "./sequence.ts";

/** What is to be seen of the layers. */
export interface Traced {
  hidden_states: boolean;
  attentions: boolean;
}

/** What the layers computed for a run of one sequence's rows. */
export interface TraceBlock {
  rows: number;
  /** Keys that the last of them sees, itself included. */
  keys: number;
  /** The input of each layer, and the output of the last: [rows, D] each. */
  hidden_states: Float32Array[];
  /** Each layer's probabilities, [H, rows, keys]. */
  attentions: Float32Array[];
}

/** What a step gives of one sequence. */
export interface SequenceOutput {
  /** Logits of the last rows, as many as were wanted: [V] each. None, where nobody in the step looks at them. */
  logits: Float32Array[];
  /** The likeliest token of each of these rows, where the share is `greedy`. */
  best: number[];
  /** A block for each step that computed a part of the input, where the layers are to be seen. */
  trace: TraceBlock[];
}

/** The rows that one sequence contributes to a step. */
export interface Share {
  sequence: Sequence;
  rows: number;
  /** Tokens of the longest row of its call. */
  longest: number;
  traced?: Traced;
  /** Only the likeliest tokens are looked at, no logits. */
  greedy?: boolean;
  /** Tokens that its group will choose of it at most; without: nobody knows. */
  left?: number;
  /** They are a prompt's. Where prompts are computed apart, either all are or none. */
  prompt: boolean;
}

/**
 * Computes the next rows of several sequences: at once, or first those that are no prompts' where these are computed apart.
 * Their caches must have been prepared.
 */
export async function computeStep(
  model: RaggedModel,
  shares: readonly Share[],
  signal?: AbortSignal,
): Promise<SequenceOutput[]> {
  if (!model.promptsApart) return computeRows(model, shares, { signal });
  const outputs = new Map<Share, SequenceOutput>();
  for (const prompt of [false, true]) {
    const some = shares.filter((share) => share.prompt === prompt);
    const given = some.length > 0 ? await computeRows(model, some, { signal, prompt }) : [];
    for (const [s, output] of given.entries()) outputs.set(some[s], output);
  }
  return shares.map((share) => outputs.get(share) as SequenceOutput);
}

/**
 * Computes the one next row of several sequences, a chosen token of which the likeliest next one is wanted, and then `ahead`
 * rows of those that are the likeliest, as if they had been chosen: what a sequence does not `confirm` is nobody's. Their
 * caches must have been prepared for all of these rows.
 *
 * @returns for the row, and each that was foreseen: what it gives of each sequence
 */
export async function computeAhead(
  model: RaggedModel,
  shares: readonly Share[],
  ahead: number,
  signal?: AbortSignal,
): Promise<SequenceOutput[][]> {
  const likeliest = (x: Value, segments: Segment[]): Value =>
    argmax(model.logits(model.hidden(x, new Rows(model.device, model.pool, segments))));
  const record = (): Value[] => {
    const inputs = shares.map(({ sequence }) => sequence.take(1).input);
    const segments = shares.map(({ sequence: { cache }, longest }, s) => ({
      cache,
      positions: inputs[s].positions,
      longest,
    }));
    const chosen = [likeliest(model.embed(inputs.flatMap(({ ids }) => ids)), segments)];
    for (let i = 0; i < ahead; i++) {
      const next = segments.map(({ cache, longest }) => ({
        cache,
        positions: [cache.length + i],
        longest: longest + 1 + i,
        foreseen: true,
      }));
      chosen.push(likeliest(model.embed(chosen[i]), next));
    }
    return chosen;
  };
  const tensors = await model.device.step(record, { signal });
  return tensors.map(({ data }) =>
    shares.map((_, s) => ({ logits: [], best: [Number(data[s])], trace: [] })),
  );
}

async function computeRows(
  model: RaggedModel,
  shares: readonly Share[],
  options: StepOptions,
): Promise<SequenceOutput[]> {
  const { device } = model;
  const attentions = shares.some(({ traced }) => traced?.attentions);
  const states = attentions || shares.some(({ traced }) => traced?.hidden_states);
  const trace: Trace = { hidden_states: [], attentions: attentions ? [] : undefined };
  const recorded: { wanted: number[]; rows?: Rows; logits: boolean } = { wanted: [], logits: false };
  const tensors = await device.step(() => {
    const taken = shares.map(({ sequence, rows }) => sequence.take(rows));
    const inputs = taken.map(({ input }) => input);
    const segments = shares.map(({ sequence, longest }, s) => ({
      cache: sequence.cache,
      positions: inputs[s].positions,
      longest,
    }));
    const rows = new Rows(device, model.pool, segments);
    recorded.rows = rows;
    recorded.wanted = taken.map(({ wanted }) => wanted);
    const hidden = model.hidden(embedded(model, inputs), rows, states ? trace : undefined); // [T, D]
    const last = lastRows(rows, recorded.wanted);
    const logits = last.length > 0 ? [model.logits(takeRows(hidden, last))] : [];
    const chosen = shares.some(({ greedy }) => greedy) ? logits.map(argmax) : [];
    const looked = shares.every(({ greedy }) => greedy) ? [] : logits;
    recorded.logits = looked.length > 0;
    return [...trace.hidden_states, ...(trace.attentions ?? []), ...looked, ...chosen];
  }, options);
  const read = tensors.slice(trace.hidden_states.length + (trace.attentions?.length ?? 0));
  const logits = splitLogits(recorded.logits ? read[0] : undefined, recorded.wanted);
  const best = splitBest(recorded.logits ? read[1] : read[0], recorded.wanted);
  const blocks = states && recorded.rows && traceBlocks(recorded.rows, tensors, trace);
  return shares.map(({ traced, greedy }, s) => ({
    logits: logits[s],
    best: greedy ? best[s] : [],
    trace: traced && blocks ? [seen(blocks[s], traced)] : [],
  }));
}

function seen({ hidden_states, attentions, ...block }: TraceBlock, traced: Traced): TraceBlock {
  return {
    ...block,
    hidden_states: traced.hidden_states ? hidden_states : [],
    attentions: traced.attentions ? attentions : [],
  };
}

/** Numbers of the rows whose logits are wanted. */
function lastRows({ ranges }: Rows, wanted: readonly number[]): number[] {
  return ranges.flatMap(({ first, rows }, s) =>
    Array.from({ length: wanted[s] }, (_, i) => first + rows - wanted[s] + i),
  );
}

/**
 * [rows, V] -> for each share [V] for each row that it wanted. Without logits: nothing. No copies: memory outside of V8's
 * heap makes it collect all of that.
 */
function splitLogits(logits: Tensor | undefined, wanted: readonly number[]): Float32Array[][] {
  let next = 0;
  return wanted.map((count) => {
    if (!logits) return [];
    const { shape, data } = logits;
    return Array.from({ length: count }, () => {
      const from = next++ * shape[1];
      return (data as Float32Array).subarray(from, from + shape[1]);
    });
  });
}

/** [rows] -> for each share the tokens of the rows that it wanted. */
function splitBest(best: Tensor | undefined, wanted: readonly number[]): number[][] {
  let next = 0;
  return wanted.map((count) => {
    const from = next;
    next += count;
    return best ? Array.from(best.data.subarray(from, next), Number) : [];
  });
}

/** What each share has of the layers' values, which are the first that were read. */
function traceBlocks(rows: Rows, read: readonly Tensor[], trace: Trace): TraceBlock[] {
  const states = trace.hidden_states.length;
  const layers = read.map(({ data }) => data as Float32Array);
  const hidden = layers.slice(0, states);
  const attentions = layers.slice(states, states + (trace.attentions?.length ?? 0));
  let key = 0;
  return rows.ranges.map(({ first, rows: count, past }) => {
    const weights = count * (past + count);
    const block = {
      rows: count,
      keys: past + count,
      hidden_states: hidden.map((values) => part(values, first, count, rows.count)),
      attentions: attentions.map((values) => part(values, key, weights, rows.weightsSize(1))),
    };
    key += weights;
    return block;
  });
}

/** The elements of `count` rows, of `total` that the array has. */
function part(values: Float32Array, first: number, count: number, total: number): Float32Array {
  const size = values.length / total;
  return values.slice(first * size, (first + count) * size);
}

/** The rows before the first layer: embeddings of tokens, with the rows of other sources in their places. [T, D] */
function embedded(model: RaggedModel, inputs: readonly Input[]): Value {
  const x = model.embed(inputs.flatMap(({ ids }) => ids));
  const taken: Float32Array[] = [];
  const places = inputs.flatMap(({ source, index, ids }) =>
    ids.map((_, i) => {
      const row = index?.[i] ?? -1;
      return source && row >= 0 ? taken.push(rowOf(source, row)) - 1 : -1;
    }),
  );
  if (taken.length === 0) return x;
  const D = x.shape[1];
  const rows = new Float32Array(taken.length * D);
  for (const [i, row] of taken.entries()) rows.set(row, i * D);
  return mergeRows(x, model.device.upload(new Tensor("float32", [taken.length, D], rows)), places);
}

/** [rows, D] -> [D] */
function rowOf({ shape, data }: Tensor, row: number): Float32Array {
  return (data as Float32Array).subarray(row * shape[1], (row + 1) * shape[1]);
}
